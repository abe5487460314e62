/** @file
 * What the library and the driver in the process tell on standard error, if SUP_LOG asks for it.
 */

#include "check.h"
#include "hello.h"
#include <fcntl.h>
#include <unistd.h>

static char g_szTold[16384];

/** Whether a text was told, on one line behind what says how bad it is. */
static int wasTold(const char *pszLevel, const char *pszText)
{
    const char *pszPlace = strstr(g_szTold, pszText);
    const char *pszLine  = pszPlace;

    while (pszLine && pszLine > g_szTold && pszLine[-1] != '\n')
        pszLine--;
    return pszPlace && strstr(pszLine, pszLevel) && strstr(pszLine, pszLevel) < pszPlace;
}

int main(int argc, char **argv)
{
    char        szHello[4096];
    void       *pvBase;
    int         isHere  = getenv("SUP_BACKEND") && !strcmp(getenv("SUP_BACKEND"), "embedded");
    int         fdError = dup(STDERR_FILENO);
    int         fdTold  = fileno(tmpfile());
    ssize_t     cb;

    snprintf(szHello, sizeof(szHello), "%s/hello.r0", argc > 1 ? argv[1] : ".");
    CHECK(setenv("SUP_LOG", "info", 1) == 0);
    CHECK(dup2(fdTold, STDERR_FILENO) == STDERR_FILENO);

    /* Also what needs no session tells. */
    CHECK_RC(SUPR3HardenedVerifyFile("/usr/bin/nothing-of-ours", "a program of mine", NULL), VERR_NOT_FOUND);
    CHECK_RC(SUPR3HardenedVerifyFile("/usr/bin/nothing-of-ours", NULL, NULL), VERR_NOT_FOUND);
    CHECK_RC(SUPR3Init(NULL), VINF_SUCCESS);
    CHECK_RC(SUPR3LoadServiceModule(szHello, "hello", "helloServiceReqHandler", &pvBase), VINF_SUCCESS);
    CHECK_RC(SUPR3FreeModule(pvBase), VINF_SUCCESS);
    CHECK_RC(SUPR3Term(0), VINF_SUCCESS);

    CHECK(dup2(fdError, STDERR_FILENO) == STDERR_FILENO);
    cb = pread(fdTold, g_szTold, sizeof(g_szTold) - 1, 0);
    CHECK(cb > 0);
    CHECK(wasTold("ERROR", "a program of mine: /usr/bin/nothing-of-ours: VERR_NOT_FOUND (-78): "));
    CHECK(wasTold("ERROR", "a file: /usr/bin/nothing-of-ours: VERR_NOT_FOUND (-78): "));
    /* The kernel's driver tells the kernel. */
    CHECK(wasTold("INFO", "hello from ring 0") == isHere);
    CHECK(wasTold("INFO", "goodbye from module") == isHere);
    if (g_cFailures)
        fprintf(stderr, "%s", g_szTold);
    return checkEnd();
}
