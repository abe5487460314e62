/** @file
 * The header in C++: SUPR3Term with its default argument, and linkage as in C.
 */

#include "check.h"

int main()
{
    PSUPDRVSESSION pSession = NULL;
    SUPSEMEVENT    hEvent   = NIL_SUPSEMEVENT;

    REQUIRE_RC(SUPR3Init(&pSession), VINF_SUCCESS);
    REQUIRE_RC(SUPR3Init(NULL), VINF_SUCCESS);
    CHECK_RC(SUPSemEventCreate(pSession, &hEvent), VINF_SUCCESS);
    CHECK_RC(SUPR3Term(), VINF_SUCCESS);
    CHECK(SUPGetGIP() != NULL);
    CHECK_RC(SUPSemEventSignal(pSession, hEvent), VINF_SUCCESS);
    CHECK_RC(SUPR3Term(), VINF_SUCCESS);
    CHECK(SUPGetGIP() == NULL);
    CHECK_RC(SUPR3Term(), VERR_WRONG_ORDER);

    REQUIRE_RC(SUPR3Init(NULL), VINF_SUCCESS);
    REQUIRE_RC(SUPR3Init(NULL), VINF_SUCCESS);
    CHECK_RC(SUPR3Term(true), VINF_SUCCESS);
    CHECK_RC(SUPR3Term(), VERR_WRONG_ORDER);
    return checkEnd();
}
