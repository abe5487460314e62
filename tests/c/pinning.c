/** @file
 * Pages of the process that are locked where they are. The two functions are
 * the library's, for run-time libraries; sup.h does not have them.
 */

#include "check.h"
#include <sys/mman.h>

int supR3PageLock(void *pvStart, size_t cPages, PSUPPAGE paPages);
int supR3PageUnlock(void *pvStart);

enum { BUFFERS = 100, PAGES = 15 };

int main(void)
{
    char    *apch[BUFFERS];
    SUPPAGE  aPages[PAGES];
    RTR0PTR  R0 = NIL_RTR0PTR;

    CHECK_RC(supR3PageLock(&aPages, 1, aPages), VERR_INVALID_HANDLE);
    REQUIRE_RC(SUPR3Init(NULL), VINF_SUCCESS);
    for (unsigned i = 0; i < BUFFERS; i++)
    {
        REQUIRE_RC(SUPR3PageAlloc(PAGES, (void **)&apch[i]), VINF_SUCCESS);
        memset(apch[i], (int)i, PAGES * PAGE);
        REQUIRE_RC(supR3PageLock(apch[i], PAGES, aPages), VINF_SUCCESS);
        for (unsigned iPage = 0; iPage < PAGES; iPage++)
            CHECK((aPages[iPage].Phys & (PAGE - 1)) == 0 && aPages[iPage].uReserved == 0);
        CHECK(apch[i][0] == (char)i && apch[i][PAGES * PAGE - 1] == (char)i);
    }
    CHECK_RC(SUPR3PageMapKernel(apch[0], 0, PAGES * PAGE, 0, &R0), VINF_SUCCESS);
    CHECK(R0 != NIL_RTR0PTR);

    CHECK_RC(supR3PageLock(NULL, 1, aPages), VERR_INVALID_POINTER);
    CHECK_RC(supR3PageLock(apch[0], 1, NULL), VERR_INVALID_POINTER);
    CHECK_RC(supR3PageLock(apch[0], 0, aPages), VERR_INVALID_PARAMETER);
    CHECK_RC(supR3PageLock(apch[0] + 1, 1, aPages), VERR_INVALID_PARAMETER);
    CHECK_RC(supR3PageLock((void *)main, 1, aPages), VERR_INVALID_PARAMETER);
    mprotect(apch[0], PAGE, PROT_READ);
    CHECK_RC(supR3PageLock(apch[0], 1, aPages), VERR_LOCK_FAILED);
    mprotect(apch[0], PAGE, PROT_READ | PROT_WRITE);

    /* Twice is two locks. */
    CHECK_RC(supR3PageLock(apch[1], PAGES, aPages), VINF_SUCCESS);
    CHECK_RC(supR3PageUnlock(apch[1]), VINF_SUCCESS);
    for (unsigned i = 0; i < BUFFERS; i++)
        CHECK_RC(supR3PageUnlock(apch[i]), VINF_SUCCESS);
    CHECK_RC(supR3PageUnlock(apch[1]), VERR_INVALID_PARAMETER);
    CHECK_RC(supR3PageUnlock(NULL), VERR_INVALID_POINTER);
    for (unsigned i = 0; i < BUFFERS; i++)
        CHECK_RC(SUPR3PageFree(apch[i], PAGES), VINF_SUCCESS);
    CHECK_RC(SUPR3Term(0), VINF_SUCCESS);
    return checkEnd();
}
