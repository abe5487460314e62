/** @file
 * Probes of this program, made by supdrv/probe.h: what they evaluate, what the driver makes of them, and what
 * the object says.
 */

#include "check.h"
#include <supdrv/probe.h>
#include "../conformance/modules/vtg.h"

#define FILES_PROBES(PROBE) \
    PROBE(files, open, int32_t, uint64_t, ptr) \
    PROBE(files, read__done, int8_t, uint8_t, int16_t, uint16_t, int32_t, uint32_t, int64_t, uint64_t, intptr_t, uintptr_t) \
    PROBE(files, idle)

SUPPROBE_DECLARE(files, FILES_PROBES)
SUPPROBE_DEFINE(files, FILES_PROBES);

static unsigned g_cEvaluated;

static uint64_t evaluate(uint64_t uValue)
{
    g_cEvaluated++;
    return uValue;
}

/** The lines of the places in fire. */
static unsigned g_auLines[3];

static void fire(void)
{
    g_auLines[0] = __LINE__; SUPPROBE(files, open, 3, evaluate(4096), g_auLines);
    g_auLines[1] = __LINE__; SUPPROBE(files, read__done, (int8_t)-1, (uint8_t)2, (int16_t)-3, (uint16_t)4, -5, 6U, INT64_C(-7), evaluate(8), -9, (uintptr_t)10);
    g_auLines[2] = __LINE__; SUPPROBE(files, idle);
}

int main(void)
{
    struct VTGOBJHDR  *pHdr = SUPPROBE_HEADER(files);
    VTGOBJHDR         *pObj = (VTGOBJHDR *)pHdr;
    VTGPROBELOC       *paLocs = (VTGPROBELOC *)(uintptr_t)pObj->uProbeLocs;
    const char        *pszStrings = (const char *)pObj + pObj->StrTab.off;
    VTGPROBE          *paProbes = (VTGPROBE *)((uint8_t *)pObj + pObj->Probes.off);
    VTGARGLIST        *pList = (VTGARGLIST *)((uint8_t *)pObj + pObj->ArgLists.off + paProbes[1].offArgList);
    uint32_t          *pacEnabled = (uint32_t *)((uint8_t *)pObj + pObj->ProbeEnabled.off);
    unsigned           i, j, cFound = 0;

    fire();
    CHECK(g_cEvaluated == 0);
    CHECK(!SUPPROBE_ENABLED(files, idle));

    CHECK(!strcmp(pszStrings + paProbes[0].offName, "open"));
    CHECK(!strcmp(pszStrings + paProbes[1].offName, "read-done"));
    CHECK(!strcmp(pszStrings + paProbes[2].offName, "idle"));
    CHECK(pList->cArgs == 10 && pList->fHaveLargeArgs == 1);
    CHECK(!strcmp(pszStrings + ((VTGARG *)(pList + 1))[9].offType, "uintptr_t"));
    CHECK(pObj->uProbeLocsEnd - pObj->uProbeLocs == 3 * sizeof(VTGPROBELOC));
    for (i = 0; i < 3; i++)
        for (j = 0; j < 3; j++)
            if (paLocs[i].pProbe == &paProbes[j])
                cFound += paLocs[i].uLineAndEnabled == g_auLines[j] && !strcmp(paLocs[i].pszFunction, "fire");
    CHECK(cFound == 3);

    /* The driver has looked at all of it, and numbers the places. */
    REQUIRE_RC(SUPR3Init(NULL), VINF_SUCCESS);
    REQUIRE_RC(SUPR3TracerRegisterModule(~(uintptr_t)0, "probes", pHdr, (uintptr_t)pHdr, SUP_TRACER_UMOD_FLAGS_EXE), VINF_SUCCESS);
    for (i = 0; i < 3; i++)
        CHECK(paLocs[i].idProbe == i);
    /* As if somebody asked; the driver knows that nobody does. */
    for (i = 0; i < 3; i++)
    {
        pacEnabled[i] = 1;
        paLocs[i].uLineAndEnabled |= UINT32_C(0x80000000);
    }
    CHECK(SUPPROBE_ENABLED(files, idle));
    fire();
    CHECK(g_cEvaluated == 2);
    CHECK_RC(SUPR3TracerDeregisterModule(pHdr), VINF_SUCCESS);
    CHECK_RC(SUPR3Term(0), VINF_SUCCESS);
    return checkEnd();
}
