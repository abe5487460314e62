/** @file
 * wild: a service that faults as it is told, for crash.rs.
 */

#define IN_RING0
#include <VBox/sup.h>

FNSUPR0SERVICEREQHANDLER wildServiceReqHandler;

static __attribute__((__noinline__)) void wildWrite(uint64_t uAddress)
{
    *(volatile int *)(uintptr_t)uAddress = 1; /* faults here */
}

static __attribute__((__noinline__)) int wildDivide(uint32_t uDivisor)
{
    return (int)(42 / uDivisor); /* divides here */
}

/* 0: writes to an address, 1: calls it, 2: divides by it, 3: as SIGILL would have it. */
int wildServiceReqHandler(PSUPDRVSESSION pSession, uint32_t uOperation, uint64_t u64Arg, PSUPR0SERVICEREQHDR pReqHdr)
{
    int rc = 0;
    (void)pSession;
    (void)pReqHdr;
    if (uOperation == 0)
        wildWrite(u64Arg);
    else if (uOperation == 1)
        rc = ((int (*)(void))(uintptr_t)u64Arg)() * 2; /* calls here */
    else if (uOperation == 2)
        rc = wildDivide((uint32_t)u64Arg);
    else
        __asm__ __volatile__("ud2");
    return rc - 1;
}
