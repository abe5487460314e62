/** @file
 * The Global Information Page as a program in C reads it: its head, its frequency, its time.
 */

#include <cpuid.h>
#include <stdint.h>

/* The header's reader of the frequency wants this from its run-time library. */
#define ___iprt_asm_amd64_x86_h
static inline uint8_t ASMGetApicId(void)
{
    unsigned uEax = 0, uEbx = 0, uEcx = 0, uEdx = 0;
    __get_cpuid(1, &uEax, &uEbx, &uEcx, &uEdx);
    return (uint8_t)(uEbx >> 24);
}

#include "check.h"

/** The time by the first line of the page; 0 if it was being written. */
static uint64_t sample(PSUPGLOBALINFOPAGE pGip)
{
    SUPGIPCPU volatile *pCpu = &pGip->aCPUs[0];
    uint32_t idBefore   = __atomic_load_n(&pCpu->u32TransactionId, __ATOMIC_ACQUIRE);
    uint64_t uTsc       = pCpu->u64TSC;
    uint64_t uNanoTS    = pCpu->u64NanoTS;
    uint32_t cTicks     = pCpu->u32UpdateIntervalTSC;
    uint32_t cNanos     = pGip->u32UpdateIntervalNS;
    uint64_t uDelta     = __builtin_ia32_rdtsc() - uTsc;
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    if (pCpu->u32TransactionId != idBefore || (idBefore & 1) || cTicks == 0)
        return 0;
    if (uDelta > cTicks)
        uDelta = cTicks;
    return uNanoTS + uDelta * cNanos / cTicks;
}

int main(void)
{
    RTHCPHYS           Phys = 0;
    PSUPGLOBALINFOPAGE pGip;
    struct timespec    Pause  = { 0, 300000000 };
    unsigned           cGood  = 0;
    uint32_t           idFirst;
    uint64_t           cHz;

    REQUIRE_RC(SUPR3Init(NULL), VINF_SUCCESS);
    pGip = SUPGetGIP();
    CHECK(pGip == g_pSUPGlobalInfoPage && pGip != NULL);
    if (pGip == NULL)
        return 1;
    CHECK(pGip->u32Magic == SUPGLOBALINFOPAGE_MAGIC);
    CHECK(pGip->u32Version >> 16 == SUPGLOBALINFOPAGE_VERSION >> 16);
    CHECK(pGip->u32Mode == SUPGIPMODE_SYNC_TSC || pGip->u32Mode == SUPGIPMODE_ASYNC_TSC);
    CHECK(pGip->cCpus >= 1 && pGip->cOnlineCpus >= 1 && pGip->cPages >= 1);
    CHECK_RC(SUPR3GipGetPhys(NULL), VERR_INVALID_POINTER);
    CHECK_RC(SUPR3GipGetPhys(&Phys), VINF_SUCCESS);
    CHECK(Phys != NIL_RTHCPHYS && (Phys & (PAGE - 1)) == 0);

    /* It is kept up to date. */
    idFirst = pGip->aCPUs[0].u32TransactionId;
    nanosleep(&Pause, NULL);
    CHECK(pGip->aCPUs[0].u32TransactionId - idFirst >= 4);
    cHz = SUPGetCpuHzFromGIP(pGip);
    CHECK(cHz > 100000000 && cHz < UINT64_C(20000000000));

    /* The time lies between two looks at the system's, with room for a late update. */
    for (unsigned i = 0; i < 2000; i++)
    {
        uint64_t nsBefore = checkNow();
        uint64_t nsNow    = sample(pGip);
        uint64_t nsAfter  = checkNow();
        if (nsNow != 0 && nsNow + 100000000 >= nsBefore && nsNow <= nsAfter + 1000000)
            cGood++;
    }
    if (pGip->u32Mode == SUPGIPMODE_SYNC_TSC)
        CHECK(cGood >= 1500);

    CHECK_RC(SUPR3Term(0), VINF_SUCCESS);
    CHECK(SUPGetGIP() == NULL && g_pSUPGlobalInfoPage == NULL);
    CHECK(SUPGetCpuHzFromGIP(SUPGetGIP()) == UINT64_MAX);
    return checkEnd();
}
