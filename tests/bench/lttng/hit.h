/** @file
 * A probe of LTTng-UST with five arguments of 64 bits, as the one that it is compared with has.
 *
 * The header is read several times, as LTTng has it.
 */

#undef LTTNG_UST_TRACEPOINT_PROVIDER
#define LTTNG_UST_TRACEPOINT_PROVIDER supbench
#undef LTTNG_UST_TRACEPOINT_INCLUDE
#define LTTNG_UST_TRACEPOINT_INCLUDE "./hit.h"

#if !defined(SUPBENCH_HIT_H) || defined(LTTNG_UST_TRACEPOINT_HEADER_MULTI_READ)
#define SUPBENCH_HIT_H

#include <stdint.h>
#include <lttng/tracepoint.h>

LTTNG_UST_TRACEPOINT_EVENT(supbench, hit,
    LTTNG_UST_TP_ARGS(uint64_t, a, uint64_t, b, uint64_t, c, uint64_t, d, uint64_t, e),
    LTTNG_UST_TP_FIELDS(
        lttng_ust_field_integer(uint64_t, a, a)
        lttng_ust_field_integer(uint64_t, b, b)
        lttng_ust_field_integer(uint64_t, c, c)
        lttng_ust_field_integer(uint64_t, d, d)
        lttng_ust_field_integer(uint64_t, e, e)))

#endif

#include <lttng/tracepoint-event.h>
