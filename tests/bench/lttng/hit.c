/** @file
 * Fires a probe of LTTng-UST as often as each line of standard input says, and answers with a line: how many
 * nanoseconds it took.
 */

#define LTTNG_UST_TRACEPOINT_CREATE_PROBES
#define LTTNG_UST_TRACEPOINT_DEFINE
#include "hit.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

static uint64_t now(void)
{
    struct timespec Now;
    clock_gettime(CLOCK_MONOTONIC, &Now);
    return (uint64_t)Now.tv_sec * 1000000000 + (uint64_t)Now.tv_nsec;
}

int main(void)
{
    uint64_t cHits;
    while (scanf("%" SCNu64, &cHits) == 1)
    {
        uint64_t i;
        uint64_t const uStart = now();
        for (i = 0; i < cHits; i++)
            lttng_ust_tracepoint(supbench, hit, 1, i, 2, 3, 4);
        printf("%" PRIu64 "\n", now() - uStart);
        fflush(stdout);
    }
    return 0;
}
