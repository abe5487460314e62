/** @file
 * What the machine is like.
 */

#include "check.h"

int main(void)
{
    uint32_t fCaps = UINT32_MAX;
    int      rc;

    /* No driver is needed for this. */
    CHECK_RC(SUPR3QueryVTxSupported(), VINF_SUCCESS);
    REQUIRE_RC(SUPR3Init(NULL), VINF_SUCCESS);
    CHECK(SUPR3GetPagingMode() >= SUPPAGINGMODE_AMD64);
    CHECK(SUPR3GetPagingMode() <= SUPPAGINGMODE_AMD64_GLOBAL_NX);

    CHECK_RC(SUPR3QueryVTCaps(NULL), VERR_INVALID_POINTER);
    CHECK_RC(SUPR3QueryVTCaps(BAD(uint32_t *)), VERR_INVALID_POINTER);
    /* Why there are none is the machine's to say. */
    rc = SUPR3QueryVTCaps(&fCaps);
    if (rc == VINF_SUCCESS)
        CHECK((fCaps & ~(uint32_t)(SUPVTCAPS_AMD_V | SUPVTCAPS_VT_X | SUPVTCAPS_NESTED_PAGING)) == 0 && fCaps != 0);
    else
        CHECK(rc < 0 && fCaps == 0);
    CHECK_RC(SUPR3Term(0), VINF_SUCCESS);
    return checkEnd();
}
