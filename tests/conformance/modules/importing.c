/** @file
 * A module that imports from VMMR0.r0, and names a function of the driver as older sources do.
 */

#define IN_RING0
#include <VBox/sup.h>

int VMMR0EntryEx(PVMR0 pVM, VMCPUID idCpu, unsigned uOperation, PSUPVMMR0REQHDR pReqHdr, uint64_t u64Arg,
                 PSUPDRVSESSION pSession);
SUPPAGINGMODE oldGetPagingMode(void) __asm__("SUPR0$SUPR0GetPagingMode");
int importingServiceReqHandler(PSUPDRVSESSION pSession, uint32_t uOperation, uint64_t u64Arg, PSUPR0SERVICEREQHDR pReqHdr);

/** Operation 0: the paging mode; any other: a call of VMMR0 with it. */
int importingServiceReqHandler(PSUPDRVSESSION pSession, uint32_t uOperation, uint64_t u64Arg, PSUPR0SERVICEREQHDR pReqHdr)
{
    (void)pReqHdr;
    if (!uOperation)
        return (int)oldGetPagingMode();
    return VMMR0EntryEx(NULL, 0, uOperation, NULL, u64Arg, pSession);
}
