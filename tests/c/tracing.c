/** @file
 * Probes of this program, and the tracer's clients: there is no tracer here, and that has its statuses.
 */

#include "check.h"
#include "../conformance/modules/vtg.h"

int main(void)
{
    VTGOBJHDR   Bad = g_VTGObjHeader.Hdr;
    char        szLong[65];
    int32_t     i32 = 42;
    unsigned    i;
    uintptr_t   uHdr = (uintptr_t)&g_VTGObjHeader.Hdr;
    struct VTGOBJHDR *pHdr = (struct VTGOBJHDR *)&g_VTGObjHeader.Hdr;
    const char *pszFunction = g_VTGObjHeader.aLocs[0].pszFunction;

    /* Nobody is there to be told. */
    SUPTracerFireProbe((struct VTGPROBELOC *)&g_VTGObjHeader.aLocs[0], 1, 2, 3, 4, 5);
    CHECK_RC(SUPR3TracerOpen(1, 2), VERR_INVALID_HANDLE);
    CHECK_RC(SUPR3TracerClose(), VERR_INVALID_HANDLE);
    /* A module without probes is none of the driver's business; one with probes is. */
    Bad.Probes.cb = 0;
    CHECK_RC(SUPR3TracerRegisterModule(~(uintptr_t)0, "tracing", (struct VTGOBJHDR *)&Bad, uHdr, SUP_TRACER_UMOD_FLAGS_EXE),
             VINF_SUCCESS);
    CHECK_RC(SUPR3TracerDeregisterModule((struct VTGOBJHDR *)&Bad), VINF_SUCCESS);
    CHECK_RC(SUPR3TracerRegisterModule(~(uintptr_t)0, "tracing", pHdr, uHdr, SUP_TRACER_UMOD_FLAGS_EXE), VERR_INVALID_HANDLE);
    CHECK_RC(SUPR3TracerDeregisterModule(pHdr), VERR_INVALID_HANDLE);
    REQUIRE_RC(SUPR3Init(NULL), VINF_SUCCESS);

    CHECK_RC(SUPR3TracerOpen(1, 2), VERR_SUPDRV_TRACER_NOT_PRESENT);
    CHECK_RC(SUPR3TracerClose(), VERR_SUPDRV_TRACER_NOT_OPENED);
    CHECK_RC(SUPR3TracerIoCtl(1, 2, &i32), VERR_SUPDRV_TRACER_NOT_OPENED);
    CHECK(i32 == 0);
    CHECK_RC(SUPR3TracerIoCtl(1, 2, NULL), VERR_INVALID_POINTER);

    CHECK_RC(SUPR3TracerRegisterModule(~(uintptr_t)0, "tracing", NULL, 0, SUP_TRACER_UMOD_FLAGS_EXE), VERR_INVALID_POINTER);
    Bad.szMagic[0] = 'v';
    CHECK_RC(SUPR3TracerRegisterModule(~(uintptr_t)0, "tracing", (struct VTGOBJHDR *)&Bad, uHdr, SUP_TRACER_UMOD_FLAGS_EXE),
             VERR_SUPDRV_VTG_MAGIC);
    CHECK_RC(SUPR3TracerRegisterModule(~(uintptr_t)0, NULL, pHdr, uHdr, SUP_TRACER_UMOD_FLAGS_EXE), VERR_INVALID_POINTER);
    for (i = 0; i < sizeof(szLong) - 1; i++)
        szLong[i] = 'n';
    szLong[i] = '\0';
    CHECK_RC(SUPR3TracerRegisterModule(~(uintptr_t)0, szLong, pHdr, uHdr, SUP_TRACER_UMOD_FLAGS_EXE), VERR_FILENAME_TOO_LONG);
    CHECK_RC(SUPR3TracerRegisterModule(~(uintptr_t)0, "/bin/tracing", pHdr, uHdr, SUP_TRACER_UMOD_FLAGS_EXE), VERR_INVALID_PARAMETER);
    CHECK_RC(SUPR3TracerRegisterModule(~(uintptr_t)0, "tracing", pHdr, uHdr, 0), VERR_INVALID_PARAMETER);

    CHECK_RC(SUPR3TracerRegisterModule(~(uintptr_t)0, "tracing", pHdr, uHdr, SUP_TRACER_UMOD_FLAGS_EXE), VINF_SUCCESS);
    for (i = 0; i < 5; i++)
        CHECK(g_VTGObjHeader.aLocs[i].idProbe == i);
    CHECK(g_VTGObjHeader.aLocs[0].pszFunction == pszFunction);
    /* Again: refused, and the numbers of the registration that there is stay. */
    CHECK_RC(SUPR3TracerRegisterModule(~(uintptr_t)0, "tracing", pHdr, uHdr, SUP_TRACER_UMOD_FLAGS_EXE),
             VERR_SUPDRV_VTG_ALREADY_REGISTERED);
    for (i = 0; i < 5; i++)
        CHECK(g_VTGObjHeader.aLocs[i].idProbe == i);
    /* A hit that nobody switched on. */
    SUPTracerFireProbe((struct VTGPROBELOC *)&g_VTGObjHeader.aLocs[1], 1, 2, 3, 4, 5);
    CHECK_RC(SUPR3TracerDeregisterModule(pHdr), VINF_SUCCESS);
    for (i = 0; i < 5; i++)
        CHECK(g_VTGObjHeader.aLocs[i].idProbe == 0);
    CHECK_RC(SUPR3TracerDeregisterModule(pHdr), VERR_NOT_FOUND);
    CHECK_RC(SUPR3TracerDeregisterModule(NULL), VERR_INVALID_POINTER);
    CHECK_RC(SUPR3TracerDeregisterModule((struct VTGOBJHDR *)&Bad), VERR_SUPDRV_VTG_MAGIC);

    /* What is left registered goes with the session. */
    CHECK_RC(SUPR3TracerRegisterModule(~(uintptr_t)0, "tracing", pHdr, uHdr, SUP_TRACER_UMOD_FLAGS_SHARED), VINF_SUCCESS);
    CHECK_RC(SUPR3Term(0), VINF_SUCCESS);
    return checkEnd();
}
