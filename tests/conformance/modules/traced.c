/** @file
 * A module with probes: its ModuleInit registers the object of vtg.h and returns what came of it.
 *
 * The command line may have it register twice, or a copy that is not in the image. What the object says
 * the suite may change in the image's file.
 */

#define IN_RING0
#include <VBox/sup.h>
#include "vtg.h"

#define VINF_SUCCESS            0
#define VERR_INVALID_PARAMETER  (-2)

/** Fires the location with the number u64Arg, if it is switched on. */
#define TRACED_OP_FIRE          1
/** Registers the object again, now that ModuleInit is over; answers what came of it. */
#define TRACED_OP_REGISTER      2
/** Fires the location in the low byte of u64Arg so often as the rest of it says; the second argument counts. */
#define TRACED_OP_FIRE_MANY     3

int tracedServiceReqHandler(PSUPDRVSESSION pSession, uint32_t uOperation, uint64_t u64Arg, PSUPR0SERVICEREQHDR pReqHdr);
int ModuleInit(void *hMod);

static void *g_hMod;

/** What a probe's macro and its stub do: look at the count, at the location, and only then at the arguments. */
static void tracedFire(VTGPROBELOC *pLoc, uintptr_t uArg0, uintptr_t uArg1)
{
    if (   __atomic_load_n(&g_VTGObjHeader.acEnabled[pLoc->pProbe->idxEnabled], __ATOMIC_RELAXED)
        && (__atomic_load_n(&pLoc->uLineAndEnabled, __ATOMIC_RELAXED) & UINT32_C(0x80000000)))
        SUPR0TracerFireProbe(pLoc, uArg0, uArg1, 2, 3, 4);
}

int tracedServiceReqHandler(PSUPDRVSESSION pSession, uint32_t uOperation, uint64_t u64Arg, PSUPR0SERVICEREQHDR pReqHdr)
{
    uint64_t i;
    (void)pReqHdr;
    switch (uOperation)
    {
        case TRACED_OP_FIRE:
            if (u64Arg >= sizeof(g_VTGObjHeader.aLocs) / sizeof(g_VTGObjHeader.aLocs[0]))
                return VERR_INVALID_PARAMETER;
            tracedFire(&g_VTGObjHeader.aLocs[u64Arg], u64Arg, (uintptr_t)pSession);
            return VINF_SUCCESS;
        case TRACED_OP_FIRE_MANY:
            if ((u64Arg & 0xff) >= sizeof(g_VTGObjHeader.aLocs) / sizeof(g_VTGObjHeader.aLocs[0]))
                return VERR_INVALID_PARAMETER;
            for (i = 0; i < u64Arg >> 8; i++)
                tracedFire(&g_VTGObjHeader.aLocs[u64Arg & 0xff], u64Arg & 0xff, i);
            return VINF_SUCCESS;
        case TRACED_OP_REGISTER:
            return SUPR0TracerRegisterModule(g_hMod, &g_VTGObjHeader.Hdr);
        default:
            return VERR_INVALID_PARAMETER;
    }
}

int ModuleInit(void *hMod)
{
#ifdef OUTSIDE
    VTGOBJHDR Copy = g_VTGObjHeader.Hdr;
    int rc = SUPR0TracerRegisterModule(hMod, &Copy);
#else
    int rc = SUPR0TracerRegisterModule(hMod, &g_VTGObjHeader.Hdr);
#endif
#ifdef TWICE
    if (rc >= VINF_SUCCESS)
        rc = SUPR0TracerRegisterModule(hMod, &g_VTGObjHeader.Hdr);
#endif
    g_hMod = hMod;
    return rc;
}
