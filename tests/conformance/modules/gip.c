/** @file
 * A module that reads the Global Information Page in each of the ways that the header has for ring 0.
 */

#define IN_RING0
#include <VBox/sup.h>

#define VINF_SUCCESS            0
#define VERR_GENERAL_FAILURE    (-1)
#define VERR_NOT_IMPLEMENTED    (-12)

/** The driver's variable. For modules the header makes its name a macro. */
extern PSUPGLOBALINFOPAGE gipVariable __asm__("g_pSUPGlobalInfoPage");

int gipServiceReqHandler(PSUPDRVSESSION pSession, uint32_t uOperation, uint64_t u64Arg, PSUPR0SERVICEREQHDR pReqHdr);

/** Each operation is one way, compared with SUPGetGIP. */
int gipServiceReqHandler(PSUPDRVSESSION pSession, uint32_t uOperation, uint64_t u64Arg, PSUPR0SERVICEREQHDR pReqHdr)
{
    PSUPGLOBALINFOPAGE pGip;
    (void)pSession;
    (void)u64Arg;
    (void)pReqHdr;
    switch (uOperation)
    {
        case 0: pGip = g_pSUPGlobalInfoPage; break;
        case 1: pGip = &g_SUPGlobalInfoPage; break;
        case 2: pGip = gipVariable; break;
        case 3: return g_pSUPGlobalInfoPage->u32Magic == SUPGLOBALINFOPAGE_MAGIC ? VINF_SUCCESS : VERR_GENERAL_FAILURE;
        default: return VERR_NOT_IMPLEMENTED;
    }
    return pGip && pGip == SUPGetGIP() ? VINF_SUCCESS : VERR_GENERAL_FAILURE;
}
