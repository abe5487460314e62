/** @file
 * The driver's loggers, which are the machine's: whoever may load modules changes them.
 */

#include "check.h"

int main(void)
{
    static char s_szLong[16340];
    size_t i;

    CHECK_RC(SUPR3LoggerSettings(SUPLOGGER_DEBUG, NULL, NULL, NULL), VERR_INVALID_HANDLE);
    REQUIRE_RC(SUPR3Init(NULL), VINF_SUCCESS);

    CHECK_RC(SUPR3LoggerSettings((SUPLOGGER)0, NULL, NULL, NULL), VERR_INVALID_PARAMETER);
    CHECK_RC(SUPR3LoggerCreate((SUPLOGGER)3, NULL, NULL, NULL), VERR_INVALID_PARAMETER);
    CHECK_RC(SUPR3LoggerDestroy((SUPLOGGER)0), VERR_INVALID_PARAMETER);
    CHECK_RC(SUPR3LoggerSettings(SUPLOGGER_DEBUG, BAD(const char *), NULL, NULL), VERR_INVALID_POINTER);

    CHECK_RC(SUPR3LoggerSettings(SUPLOGGER_DEBUG, "tid", "all", NULL), VERR_NOT_FOUND);
    CHECK_RC(SUPR3LoggerCreate(SUPLOGGER_DEBUG, "disabled tid", "all.e.l2", "file=/nowhere"), VINF_SUCCESS);
    CHECK_RC(SUPR3LoggerCreate(SUPLOGGER_DEBUG, NULL, NULL, NULL), VERR_ALREADY_EXISTS);
    CHECK_RC(SUPR3LoggerSettings(SUPLOGGER_DEBUG, "no", "+", ""), VINF_SUCCESS);
    CHECK_RC(SUPR3LoggerSettings(SUPLOGGER_DEBUG, "", "nobody.nothing=x", NULL), VINF_SUCCESS);

    /* No text is an error, whatever its bytes are. */
    CHECK_RC(SUPR3LoggerSettings(SUPLOGGER_DEBUG, "\xff tid \xe4", "\xc3(", "\xfe"), VINF_SUCCESS);

    /* As long as the request's number has room for, and one more. */
    for (i = 0; i < sizeof(s_szLong) - 2; i++)
        s_szLong[i] = 'x';
    CHECK_RC(SUPR3LoggerSettings(SUPLOGGER_DEBUG, s_szLong, NULL, NULL), VINF_SUCCESS);
    s_szLong[i] = 'x';
    CHECK_RC(SUPR3LoggerSettings(SUPLOGGER_DEBUG, s_szLong, NULL, NULL), VERR_INVALID_PARAMETER);

    CHECK_RC(SUPR3LoggerDestroy(SUPLOGGER_DEBUG), VINF_SUCCESS);
    CHECK_RC(SUPR3LoggerDestroy(SUPLOGGER_DEBUG), VINF_SUCCESS);
    CHECK_RC(SUPR3LoggerDestroy(SUPLOGGER_RELEASE), VERR_ACCESS_DENIED);
    CHECK_RC(SUPR3Term(0), VINF_SUCCESS);
    return checkEnd();
}
