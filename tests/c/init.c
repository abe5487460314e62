/** @file
 * SUPR3Init and SUPR3Term: counting, forcing, before and after, forked children.
 */

#include "check.h"
#include <sys/wait.h>
#include <unistd.h>

/** What every group answers while no session is open. */
static void checkClosed(void)
{
    SUPSEMEVENT      hEvent;
    SUPSEMEVENTMULTI hMulti;
    void            *pv    = &hEvent;
    RTHCPHYS         Phys  = 1;
    SUPPAGE          Page;
    uint32_t         fCaps = 7;
    char             szName[65];
    SUPVMMR0REQHDR     Vmm     = { 0, sizeof(Vmm) };
    SUPR0SERVICEREQHDR Service = { 0, sizeof(Service) };

    CHECK(SUPGetGIP() == NULL);
    CHECK(g_pSUPGlobalInfoPage == NULL);
    CHECK_RC(SUPR3GipGetPhys(&Phys), VERR_WRONG_ORDER);
    CHECK(Phys == NIL_RTHCPHYS);
    CHECK(SUPR3GetPagingMode() == SUPPAGINGMODE_INVALID);
    CHECK_RC(SUPR3QueryVTCaps(&fCaps), VERR_INVALID_HANDLE);
    CHECK(fCaps == 0);

    CHECK_RC(SUPSemEventCreate(NULL, &hEvent), VERR_INVALID_HANDLE);
    CHECK_RC(SUPSemEventSignal(NULL, (SUPSEMEVENT)(uintptr_t)1), VERR_INVALID_HANDLE);
    CHECK_RC(SUPSemEventWaitNoResume(NULL, (SUPSEMEVENT)(uintptr_t)1, 0), VERR_INVALID_HANDLE);
    CHECK_RC(SUPSemEventClose(NULL, (SUPSEMEVENT)(uintptr_t)1), VERR_INVALID_HANDLE);
    CHECK_RC(SUPSemEventClose(NULL, NIL_SUPSEMEVENT), VINF_SUCCESS);
    CHECK(SUPSemEventGetResolution(NULL) == 10);
    CHECK_RC(SUPSemEventMultiCreate(NULL, &hMulti), VERR_INVALID_HANDLE);
    CHECK_RC(SUPSemEventMultiReset(NULL, (SUPSEMEVENTMULTI)(uintptr_t)1), VERR_INVALID_HANDLE);
    CHECK_RC(SUPSemEventMultiClose(NULL, NIL_SUPSEMEVENTMULTI), VINF_SUCCESS);
    CHECK(SUPSemEventMultiGetResolution(NULL) == 10);

    CHECK_RC(SUPR3PageAllocEx(1, 0, &pv, NULL, NULL), VERR_INVALID_HANDLE);
    CHECK(pv == NULL);
    CHECK_RC(SUPR3LowAlloc(1, &pv, NULL, &Page), VERR_INVALID_HANDLE);
    CHECK(SUPR3ContAlloc(1, NULL, &Phys) == NULL);
    CHECK_RC(SUPR3PageFreeEx(&hEvent, 1), VERR_INVALID_HANDLE);
    CHECK_RC(SUPR3LowFree(&hEvent, 1), VERR_INVALID_HANDLE);
    CHECK_RC(SUPR3ContFree(&hEvent, 1), VERR_INVALID_HANDLE);
    CHECK_RC(SUPR3LowFree(NULL, 1), VINF_SUCCESS);

    CHECK_RC(SUPR3LoadModule("/no/such/file", "m", &pv, NULL), VERR_FILE_NOT_FOUND);
    CHECK_RC(SUPR3LoadModule("/proc/self/exe", "m", &pv, NULL), VERR_INVALID_HANDLE);
    CHECK_RC(SUPR3FreeModule(&hEvent), VERR_INVALID_HANDLE);
    CHECK_RC(SUPR3GetSymbolR0(&hEvent, "name", &pv), VERR_INVALID_HANDLE);
    CHECK_RC(SUPR3UnloadVMM(), VERR_INVALID_HANDLE);
    CHECK_RC(SUPR3CallR0Service("hello", 5, 0, 0, NULL), VERR_INVALID_HANDLE);
    CHECK_RC(SUPR3CallVMMR0(NULL, 0, 3, NULL), VERR_INVALID_HANDLE);
    CHECK_RC(SUPR3CallVMMR0Fast(NULL, SUP_VMMR0_DO_NOP, 0), VERR_EBADF);
    CHECK_RC(SUPR3SetVMForFastIOCtl(NULL), VERR_INVALID_HANDLE);

    /* What the library can tell by itself comes before the device. */
    CHECK_RC(SUPR3CallVMMR0(NULL, 0, SUP_VMMR0_DO_NOP, NULL), VERR_INTERNAL_ERROR);
    CHECK_RC(SUPR3CallVMMR0Fast(NULL, SUP_VMMR0_DO_NOP + 1, 0), VERR_INTERNAL_ERROR);
    CHECK_RC(SUPR3CallVMMR0Ex(NULL, 0, 3, 0, BAD(PSUPVMMR0REQHDR)), VERR_INVALID_POINTER);
    CHECK_RC(SUPR3CallVMMR0Ex(NULL, 0, 3, 0, &Vmm), VERR_INVALID_MAGIC);
    Vmm.cbReq = 512 * 1024 + 1;
    CHECK_RC(SUPR3CallVMMR0Ex(NULL, 0, 3, 0, &Vmm), VERR_OUT_OF_RANGE);
    Vmm.u32Magic = SUPVMMR0REQHDR_MAGIC;
    Vmm.cbReq    = 0;
    CHECK_RC(SUPR3CallVMMR0Ex(NULL, 0, 3, 0, &Vmm), VERR_INVALID_HANDLE);
    CHECK_RC(SUPR3CallR0Service("hello", 28, 0, 0, NULL), VERR_INVALID_PARAMETER);
    CHECK_RC(SUPR3CallR0Service("hello", 5, 0, 0, BAD(PSUPR0SERVICEREQHDR)), VERR_INVALID_POINTER);
    CHECK_RC(SUPR3CallR0Service("hello", 5, 0, 0, &Service), VERR_INVALID_MAGIC);
    Service.cbReq = 4032;
    CHECK_RC(SUPR3CallR0Service("hello", 5, 0, 0, &Service), VERR_INTERNAL_ERROR);
    Service.u32Magic = SUPR0SERVICEREQHDR_MAGIC;
    Service.cbReq    = 0;
    CHECK_RC(SUPR3CallR0Service("hello", 5, 0, 0, &Service), VERR_INVALID_HANDLE);
    memset(szName, 'n', 64);
    szName[64] = '\0';
    CHECK_RC(SUPR3GetSymbolR0(&hEvent, szName, &pv), VERR_SYMBOL_NOT_FOUND);
    szName[63] = '\0';
    CHECK_RC(SUPR3GetSymbolR0(&hEvent, szName, &pv), VERR_INVALID_HANDLE);

    CHECK_RC(SUPR3Term(0), VERR_WRONG_ORDER);
    CHECK_RC(SUPR3Term(1), VERR_WRONG_ORDER);
}

/** A child has no session, and the parent keeps its own whatever the child does. */
static void checkFork(void)
{
    SUPSEMEVENT hEvent;
    void       *pvPages;
    int         iStatus = -1;
    pid_t       idChild;

    REQUIRE_RC(SUPSemEventCreate(NULL, &hEvent), VINF_SUCCESS);
    REQUIRE_RC(SUPR3PageAlloc(1, &pvPages), VINF_SUCCESS);
    fflush(NULL);
    idChild = fork();
    if (idChild == 0)
    {
        const char *pszEnd;
        void       *pv;
        g_cChecks = g_cFailures = 0;
        checkClosed();
        CHECK_RC(SUPR3PageFree(pvPages, 1), VINF_SUCCESS);
        REQUIRE_RC(SUPR3PageAlloc(1, &pv), VINF_SUCCESS);
        CHECK_RC(SUPR3PageFree(pv, 1), VINF_SUCCESS);
        /* The driver in the parent's process has no threads here; one in the kernel takes us. */
        if (SUPR3Init(NULL) == VINF_SUCCESS)
            CHECK_RC(SUPR3Term(0), VINF_SUCCESS);
        /* What the parent's threads left here is nobody's, and no leak of ours: valgrind stays out. */
        pszEnd = g_cFailures ? "false" : "true";
        execlp(pszEnd, pszEnd, (char *)NULL);
        _exit(127);
    }
    CHECK(idChild > 0 && waitpid(idChild, &iStatus, 0) == idChild);
    CHECK_RC(iStatus, 0);
    CHECK_RC(SUPSemEventSignal(NULL, hEvent), VINF_SUCCESS);
    CHECK_RC(SUPSemEventWaitNoResume(NULL, hEvent, 0), VINF_SUCCESS);
    CHECK_RC(SUPSemEventClose(NULL, hEvent), VINF_OBJECT_DESTROYED);
    *(char *)pvPages = 1;
    CHECK_RC(SUPR3PageFree(pvPages, 1), VINF_SUCCESS);
}

int main(void)
{
    PSUPDRVSESSION pSession = BAD(PSUPDRVSESSION);
    PSUPDRVSESSION pAgain   = NULL;

    checkClosed();
    CHECK_RC(SUPR3Init(BAD(PSUPDRVSESSION *)), VERR_INVALID_POINTER);
    checkClosed();

    REQUIRE_RC(SUPR3Init(&pSession), VINF_SUCCESS);
    CHECK(pSession != NULL && pSession != BAD(PSUPDRVSESSION));
    CHECK(SUPGetGIP() != NULL && SUPGetGIP() == g_pSUPGlobalInfoPage);
    CHECK(SUPGetGIP()->u32Magic == SUPGLOBALINFOPAGE_MAGIC);

    /* Each one needs its own end, and they are one session. */
    CHECK_RC(SUPR3Init(&pAgain), VINF_SUCCESS);
    CHECK(pAgain == pSession);
    CHECK_RC(SUPR3Init(NULL), VINF_SUCCESS);
    CHECK_RC(SUPR3Term(0), VINF_SUCCESS);
    CHECK(SUPGetGIP() != NULL);
    /* A C++ caller leaves the upper bytes of the flag to chance. */
    CHECK_RC(SUPR3Term(0x100), VINF_SUCCESS);
    CHECK(SUPGetGIP() != NULL);
    checkFork();
    CHECK_RC(SUPR3Term(0), VINF_SUCCESS);
    checkClosed();

    /* After the end there is a beginning again, with nothing left of what was. */
    REQUIRE_RC(SUPR3Init(&pAgain), VINF_SUCCESS);
    CHECK(pAgain != NULL && pAgain != pSession);
    CHECK_RC(SUPR3Init(NULL), VINF_SUCCESS);
    CHECK_RC(SUPR3Term(1), VINF_SUCCESS);
    checkClosed();
    return checkEnd();
}
