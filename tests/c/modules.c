/** @file
 * Ring-0 modules and the calls of their services, with the tutorial module hello.r0.
 */

#include "check.h"
#include "hello.h"
#include <limits.h>
#include <unistd.h>

static char g_szHello[4096];

/** Whether the driver loads what is signed, and nothing else: the kernel's does. */
#define IS_SIGNED (getenv("SUP_BACKEND") && !strcmp(getenv("SUP_BACKEND"), "kernel"))

/** Makes a file of the same code with one byte more, and names it. */
static void makeOther(char *pszOther)
{
    static char s_ach[1 << 20];
    FILE  *pHello = fopen(g_szHello, "rb");
    size_t cb     = pHello ? fread(s_ach, 1, sizeof(s_ach) - 1, pHello) : 0;
    int    fd     = mkstemp(strcpy(pszOther, "/tmp/other-XXXXXX"));

    CHECK(cb > 0 && cb < sizeof(s_ach) - 1 && fd >= 0);
    CHECK(write(fd, s_ach, cb + 1) == (ssize_t)(cb + 1));
    CHECK(close(fd) == 0 && fclose(pHello) == 0);
}

static void checkLoad(void)
{
    char      szOther[32];
    void     *pvBase = BAD(void *);
    void     *pvAgain, *pvValue;
    char      szText[256] = "old";
    char      szSmall[8];
    char      szPath[PATH_MAX + 1];
    char      szName[65];
    int       rc;
    RTERRINFO Info = { RTERRINFO_FLAGS_MAGIC, 0, sizeof(szText), szText, { NULL, NULL } };

    CHECK_RC(SUPR3LoadModule(NULL, "hello", &pvBase, NULL), VERR_INVALID_PARAMETER);
    CHECK_RC(SUPR3LoadModule(g_szHello, NULL, &pvBase, NULL), VERR_INVALID_PARAMETER);
    CHECK_RC(SUPR3LoadModule(g_szHello, "hello", NULL, NULL), VERR_INVALID_PARAMETER);
    CHECK_RC(SUPR3LoadModule((const char *)7, "hello", &pvBase, NULL), VERR_INVALID_PARAMETER);
    CHECK_RC(SUPR3LoadModule(g_szHello, (const char *)7, &pvBase, NULL), VERR_INVALID_PARAMETER);
    CHECK_RC(SUPR3LoadModule(g_szHello, "hello", BAD(void **), NULL), VERR_INVALID_PARAMETER);
    CHECK_RC(SUPR3LoadModule("", "hello", &pvBase, NULL), VERR_INVALID_PARAMETER);
    CHECK_RC(SUPR3LoadModule(g_szHello, "", &pvBase, NULL), VERR_INVALID_PARAMETER);
    CHECK_RC(SUPR3LoadModule(g_szHello, "hel\nlo", &pvBase, NULL), VERR_INVALID_PARAMETER);
    /* The longest path is the system's, and what is longer is not even looked for. */
    memset(szPath, '/', sizeof(szPath));
    szPath[sizeof(szPath) - 1] = '\0';
    CHECK_RC(SUPR3LoadModule(szPath, "hello", &pvBase, NULL), VERR_FILENAME_TOO_LONG);
    szPath[PATH_MAX - 1] = '\0';
    CHECK_RC(SUPR3LoadModule(szPath, "hello", &pvBase, NULL), VERR_IS_A_DIRECTORY);
    CHECK_RC(SUPR3LoadModule(g_szHello, "0123456789abcdef0123456789abcdef", &pvBase, NULL), VERR_FILENAME_TOO_LONG);

    /* Another file under a name that is loaded. Where modules have to be signed, that comes first, and it is not. */
    makeOther(szOther);
    REQUIRE_RC(SUPR3LoadModule(g_szHello, "hello", &pvBase, NULL), VINF_SUCCESS);
    rc = SUPR3LoadModule(szOther, "hello", &pvAgain, &Info);
    CHECK(rc == (IS_SIGNED ? VERR_ACCESS_DENIED : VERR_ALREADY_EXISTS) && pvAgain == NULL);
    CHECK(strstr(szText, IS_SIGNED ? "sign" : "sha256") != NULL);
    CHECK_RC(SUPR3FreeModule(pvBase), VINF_SUCCESS);
    CHECK(unlink(szOther) == 0);

    /* A failure has words, if there is room for them. */
    CHECK_RC(SUPR3LoadModule("/no/such/file", "hello", &pvBase, &Info), VERR_FILE_NOT_FOUND);
    CHECK(pvBase == NULL && Info.rc == VERR_FILE_NOT_FOUND && (Info.fFlags & RTERRINFO_FLAGS_SET));
    CHECK(strstr(szText, "/no/such/file") != NULL);
    Info.pszMsg = szSmall;
    Info.cbMsg  = sizeof(szSmall);
    /* This program is no module, and where modules have to be signed it is not even looked at. */
    rc = SUPR3LoadModule("/proc/self/exe", "hello", &pvBase, &Info);
    CHECK(rc == VERR_BAD_EXE_FORMAT || rc == VERR_ACCESS_DENIED);
    CHECK(Info.rc == rc && strlen(szSmall) == sizeof(szSmall) - 1);

    REQUIRE_RC(SUPR3LoadModule(g_szHello, "hello", &pvBase, &Info), VINF_SUCCESS);
    CHECK(pvBase != NULL && !(Info.fFlags & RTERRINFO_FLAGS_SET) && Info.rc == 0 && szSmall[0] == '\0');
    CHECK_RC(SUPR3LoadModule(g_szHello, "hello", &pvAgain, NULL), VINF_SUCCESS);
    CHECK(pvAgain == pvBase);

    CHECK_RC(SUPR3GetSymbolR0(pvBase, "g_szHelloVersion", NULL), VERR_INVALID_POINTER);
    CHECK_RC(SUPR3GetSymbolR0(pvBase, "g_szHelloVersion", BAD(void **)), VERR_INVALID_POINTER);
    memset(szName, 'n', sizeof(szName));
    for (unsigned cch = 63; cch <= 64; cch++)
    {
        szName[cch] = '\0';
        CHECK_RC(SUPR3GetSymbolR0(pvBase, szName, &pvValue), VERR_SYMBOL_NOT_FOUND);
        szName[cch] = 'n';
    }
    CHECK_RC(SUPR3GetSymbolR0(pvBase, "g_szHelloVersion", &pvValue), VINF_SUCCESS);
    CHECK(pvValue != NULL);
    CHECK_RC(SUPR3GetSymbolR0(pvBase, "no such symbol", &pvValue), VERR_SYMBOL_NOT_FOUND);
    CHECK_RC(SUPR3GetSymbolR0(pvBase, "no UTF-8: \xff", &pvValue), VERR_SYMBOL_NOT_FOUND);
    CHECK(pvValue == NULL);
    CHECK_RC(SUPR3GetSymbolR0(pvBase, (const char *)7, &pvValue), VERR_SYMBOL_NOT_FOUND);
    CHECK_RC(SUPR3GetSymbolR0(pvBase, NULL, &pvValue), VERR_SYMBOL_NOT_FOUND);
    CHECK_RC(SUPR3GetSymbolR0(&Info, "g_szHelloVersion", &pvValue), VERR_INVALID_HANDLE);

    CHECK_RC(SUPR3FreeModule(pvBase), VINF_SUCCESS);
    CHECK_RC(SUPR3FreeModule(pvBase), VINF_SUCCESS);
    CHECK_RC(SUPR3FreeModule(pvBase), VERR_INVALID_HANDLE);
    CHECK_RC(SUPR3FreeModule(NULL), VERR_INVALID_HANDLE);
    CHECK_RC(SUPR3FreeModule(&Info), VERR_INVALID_HANDLE);
}

static void checkService(void)
{
    void         *pvBase;
    HELLOGREETREQ Req;
    struct { HELLOSUMREQ Sum; uint64_t au64[3]; } SumReq;
    static char   s_achLarge[4096];

    CHECK_RC(SUPR3LoadServiceModule(g_szHello, "hello", NULL, &pvBase), VERR_INVALID_PARAMETER);
    CHECK_RC(SUPR3LoadServiceModule(g_szHello, "hello", (const char *)7, &pvBase), VERR_INVALID_PARAMETER);
    /* Before the file and everything else. */
    CHECK_RC(SUPR3LoadServiceModule("/no/such/file", NULL, NULL, NULL), VERR_INVALID_PARAMETER);
    CHECK_RC(SUPR3LoadServiceModule("/no/such/file", "hello", "handler", &pvBase), VERR_FILE_NOT_FOUND);
    CHECK_RC(SUPR3LoadServiceModule(g_szHello, "hello", "", &pvBase), VERR_SYMBOL_NOT_FOUND);
    /* A handler without a name is looked for when everything else is there. */
    CHECK_RC(SUPR3LoadServiceModule(NULL, "hello", "", &pvBase), VERR_INVALID_PARAMETER);
    CHECK_RC(SUPR3LoadServiceModule("/no/such/file", "hello", "", &pvBase), VERR_FILE_NOT_FOUND);
    CHECK_RC(SUPR3LoadServiceModule("/no/such/file", "VMMR0.r0", "", &pvBase), VERR_INTERNAL_ERROR);
    CHECK_RC(SUPR3LoadServiceModule(g_szHello, "hello", "noSuchHandler", &pvBase), VERR_SYMBOL_NOT_FOUND);
    CHECK_RC(SUPR3LoadServiceModule(g_szHello, "VMMR0.r0", "helloServiceReqHandler", &pvBase), VERR_INTERNAL_ERROR);
    CHECK_RC(SUPR3CallR0Service("hello", 5, HELLO_OP_NOP, 0, NULL), VERR_SUPDRV_SERVICE_NOT_FOUND);
    REQUIRE_RC(SUPR3LoadServiceModule(g_szHello, "hello", "helloServiceReqHandler", &pvBase), VINF_SUCCESS);

    CHECK_RC(SUPR3CallR0Service("hello", 5, HELLO_OP_NOP, 0, NULL), VINF_SUCCESS);
    CHECK_RC(SUPR3CallR0Service("hello", 5, HELLO_OP_ECHO_ARG, (uint32_t)-77, NULL), -77);
    CHECK_RC(SUPR3CallR0Service("hello", 5, HELLO_OP_ECHO_ARG, 77, NULL), 77);
    CHECK_RC(SUPR3CallR0Service("hello", 4, HELLO_OP_NOP, 0, NULL), VERR_SUPDRV_SERVICE_NOT_FOUND);
    CHECK_RC(SUPR3CallR0Service("hello", 6, HELLO_OP_NOP, 0, NULL), VERR_INVALID_PARAMETER);
    CHECK_RC(SUPR3CallR0Service("hello", 28, HELLO_OP_NOP, 0, NULL), VERR_INVALID_PARAMETER);
    CHECK_RC(SUPR3CallR0Service("0123456789abcdef0123456789a", 27, HELLO_OP_NOP, 0, NULL), VERR_SUPDRV_SERVICE_NOT_FOUND);
    CHECK_RC(SUPR3CallR0Service("Hello", 5, HELLO_OP_NOP, 0, NULL), VERR_SUPDRV_SERVICE_NOT_FOUND);
    CHECK_RC(SUPR3CallR0Service(NULL, 5, HELLO_OP_NOP, 0, NULL), VERR_INVALID_POINTER);
    CHECK_RC(SUPR3CallR0Service("hello", 5, HELLO_OP_OBJECT, 0, NULL), VINF_SUCCESS);
    CHECK_RC(SUPR3CallR0Service("hello", 5, HELLO_OP_SEMAPHORE, 0, NULL), VINF_SUCCESS);

    memset(&Req, 0, sizeof(Req));
    Req.Hdr.u32Magic = SUPR0SERVICEREQHDR_MAGIC;
    Req.Hdr.cbReq    = sizeof(Req);
    strcpy(Req.szName, "C");
    CHECK_RC(SUPR3CallR0Service("hello", 5, HELLO_OP_GREET, 0, &Req.Hdr), VINF_SUCCESS);
    CHECK(strstr(Req.szGreeting, "C") != NULL);

    memset(&SumReq, 0, sizeof(SumReq));
    SumReq.Sum.Hdr.u32Magic = SUPR0SERVICEREQHDR_MAGIC;
    SumReq.Sum.Hdr.cbReq    = sizeof(SumReq);
    SumReq.Sum.cValues      = 3;
    SumReq.au64[0] = 1, SumReq.au64[1] = 20, SumReq.au64[2] = UINT64_MAX;
    CHECK_RC(SUPR3CallR0Service("hello", 5, HELLO_OP_SUM, 0, &SumReq.Sum.Hdr), VINF_SUCCESS);
    CHECK(SumReq.Sum.u64Sum == 20);

    /* Packets that are none. */
    CHECK_RC(SUPR3CallR0Service("hello", 5, HELLO_OP_GREET, 0, BAD(PSUPR0SERVICEREQHDR)), VERR_INVALID_POINTER);
    Req.Hdr.u32Magic++;
    CHECK_RC(SUPR3CallR0Service("hello", 5, HELLO_OP_GREET, 0, &Req.Hdr), VERR_INVALID_MAGIC);
    Req.Hdr.u32Magic--;
    for (uint32_t cb = 0; cb < sizeof(Req.Hdr); cb++)
    {
        Req.Hdr.cbReq = cb;
        CHECK_RC(SUPR3CallR0Service("hello", 5, HELLO_OP_GREET, 0, &Req.Hdr), VERR_INVALID_PARAMETER);
    }
    Req.Hdr.cbReq = 4032;
    CHECK_RC(SUPR3CallR0Service("hello", 5, HELLO_OP_GREET, 0, &Req.Hdr), VERR_INTERNAL_ERROR);
    /* The size comes first. */
    Req.Hdr.u32Magic++;
    CHECK_RC(SUPR3CallR0Service("hello", 5, HELLO_OP_GREET, 0, &Req.Hdr), VERR_INTERNAL_ERROR);
    Req.Hdr.u32Magic--;
    ((PSUPR0SERVICEREQHDR)s_achLarge)->u32Magic = SUPR0SERVICEREQHDR_MAGIC;
    ((PSUPR0SERVICEREQHDR)s_achLarge)->cbReq    = 4031;
    CHECK_RC(SUPR3CallR0Service("hello", 5, HELLO_OP_ECHO_ARG, 5, (PSUPR0SERVICEREQHDR)s_achLarge), 5);

    CHECK_RC(SUPR3FreeModule(pvBase), VINF_SUCCESS);
    CHECK_RC(SUPR3CallR0Service("hello", 5, HELLO_OP_NOP, 0, NULL), VERR_SUPDRV_SERVICE_NOT_FOUND);
}

int main(int cArgs, char **papszArgs)
{
    snprintf(g_szHello, sizeof(g_szHello), "%s/hello.r0", cArgs > 1 ? papszArgs[1] : ".");
    REQUIRE_RC(SUPR3Init(NULL), VINF_SUCCESS);
    checkLoad();
    checkService();
    CHECK_RC(SUPR3Term(0), VINF_SUCCESS);
    return checkEnd();
}
