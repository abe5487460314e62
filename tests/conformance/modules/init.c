/** @file
 * A module whose ModuleInit returns what the command line defines, at once or after a while.
 */

#define IN_RING0
#include <VBox/sup.h>

int initServiceReqHandler(PSUPDRVSESSION pSession, uint32_t uOperation, uint64_t u64Arg, PSUPR0SERVICEREQHDR pReqHdr);
int ModuleInit(void *hMod);

int initServiceReqHandler(PSUPDRVSESSION pSession, uint32_t uOperation, uint64_t u64Arg, PSUPR0SERVICEREQHDR pReqHdr)
{
    (void)pSession;
    (void)uOperation;
    (void)u64Arg;
    (void)pReqHdr;
    return STATUS;
}

int ModuleInit(void *hMod)
{
#ifdef SLOW
    /* A few hundred milliseconds on any processor. There is no session here to wait in. */
    uint64_t u64Start = __builtin_ia32_rdtsc();
    while (__builtin_ia32_rdtsc() - u64Start < UINT64_C(1000000000))
        __builtin_ia32_pause();
#endif
    (void)hMod;
    return STATUS;
}
