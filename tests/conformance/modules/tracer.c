/** @file
 * A tracer: its ModuleInit registers it, after it has tried all that must be refused. It counts what it is
 * told, and switches locations on and off as the service asks.
 *
 * The driver's own provider is kept apart from all others: its hits have numbers and counts of their own.
 *
 * It has probes too, the object of vtg.h, which it registers as another kernel driver when it is asked to.
 */

#define IN_RING0
#include <VBox/sup.h>
#include "vtg.h"

#define VINF_SUCCESS            0
#define VERR_INVALID_PARAMETER  (-2)
#define VERR_NO_MEMORY          (-8)
#define VERR_TRY_AGAIN          (-52)

#define MAX_PROVIDERS           8

/** What the service answers with. */
typedef struct TRACERSTATE
{
    SUPR0SERVICEREQHDR Hdr;
    /** How often each callback came. */
    uint32_t cRegistered;
    uint32_t cDeregistered;
    uint32_t cZombies;
    uint32_t cOpens;
    uint32_t cIoCtls;
    uint32_t cCloses;
    uint32_t cKernelHits;
    uint32_t cUserHits;
    /** The number of the location that was hit last, and its arguments: of a kernel probe eight. */
    uint32_t idLast;
    uint32_t uCookie;
    uint64_t auLast[8];
    /** Name and module of the provider that came last. */
    char     szName[32];
    char     szModule[32];
    /** What RegisterImpl answered in ModuleInit. */
    int32_t  aiRegister[12];
} TRACERSTATE;

#define MAX_OWN                 16
#define FIRST_OWN               2000

/** What the service answers with about the driver's own probes. */
typedef struct OWNSTATE
{
    SUPR0SERVICEREQHDR Hdr;
    /** Whether the provider is known, and how many locations it has. */
    uint32_t fKnown;
    uint32_t cLocations;
    struct
    {
        uint64_t cHits;
        uint64_t auLast[5];
    } aLocations[MAX_OWN];
} OWNSTATE;

int tracerServiceReqHandler(PSUPDRVSESSION pSession, uint32_t uOperation, uint64_t u64Arg, PSUPR0SERVICEREQHDR pReqHdr);
int ModuleInit(void *hMod);

static TRACERSTATE             g_State;
static PSUPDRVVDTPROVIDERCORE  g_apProviders[MAX_PROVIDERS];
static OWNSTATE                g_Own;
static PSUPDRVVDTPROVIDERCORE  g_pOwn;
static uint32_t                g_cRefusals;
static void                   *g_hMod;
static PCSUPDRVTRACERHLP       g_pHlp;
static SUPDRVIDCHANDLE         g_Handle;
static int                     g_rcOpen;
static int                     g_rcProvider;

static void tracerCopy(char *pszDst, size_t cbDst, const char *pszSrc)
{
    size_t i;
    for (i = 0; i + 1 < cbDst && pszSrc[i]; i++)
        pszDst[i] = pszSrc[i];
    pszDst[i] = '\0';
}

static int tracerIsOwn(PSUPDRVVDTPROVIDERCORE pCore)
{
    static const char s_szOwn[] = "supdrv";
    size_t i;
    for (i = 0; i < sizeof(s_szOwn); i++)
        if (pCore->pszName[i] != s_szOwn[i] || pCore->pszModName[i] != s_szOwn[i])
            return 0;
    return 1;
}

/** Takes eight arguments: what has no register is where the probe's caller left it. */
static void tracerFireKernel(struct VTGPROBELOC *pLoc, uintptr_t uArg0, uintptr_t uArg1, uintptr_t uArg2,
                             uintptr_t uArg3, uintptr_t uArg4)
{
    uint32_t iOwn = pLoc->idProbe - FIRST_OWN;
    if (iOwn < MAX_OWN)
    {
        g_Own.aLocations[iOwn].auLast[0] = uArg0;
        g_Own.aLocations[iOwn].auLast[1] = uArg1;
        g_Own.aLocations[iOwn].auLast[2] = uArg2;
        g_Own.aLocations[iOwn].auLast[3] = uArg3;
        g_Own.aLocations[iOwn].auLast[4] = uArg4;
        __atomic_fetch_add(&g_Own.aLocations[iOwn].cHits, 1, __ATOMIC_RELAXED);
        return;
    }
    g_State.idLast    = pLoc->idProbe;
    g_State.auLast[0] = uArg0;
    g_State.auLast[1] = uArg1;
    g_State.auLast[2] = uArg2;
    g_State.auLast[3] = uArg3;
    g_State.auLast[4] = uArg4;
    __atomic_fetch_add(&g_State.cKernelHits, 1, __ATOMIC_RELAXED);
}

static void tracerFireUser(PCSUPDRVTRACERREG pThis, PSUPDRVSESSION pSession, PCSUPDRVTRACERUSRCTX pCtx,
                           struct VTGOBJHDR const *pVtgHdr, struct VTGPROBELOC const *pProbeLocRO)
{
    unsigned i;
    (void)pThis; (void)pSession; (void)pVtgHdr;
    g_State.idLast = pCtx->idProbe;
    for (i = 0; i < 7; i++)
        g_State.auLast[i] = pCtx->u.Amd64.aArgs[i];
    g_State.auLast[7] = pProbeLocRO->uLineAndEnabled;
    __atomic_fetch_add(&g_State.cUserHits, 1, __ATOMIC_RELAXED);
}

static int tracerOpen(PCSUPDRVTRACERREG pThis, PSUPDRVSESSION pSession, uint32_t uCookie, uintptr_t uArg,
                      uintptr_t *puSessionData)
{
    (void)pThis; (void)pSession;
    g_State.cOpens++;
    g_State.uCookie = uCookie;
    *puSessionData = uArg;
    return g_rcOpen;
}

static int tracerIoCtl(PCSUPDRVTRACERREG pThis, PSUPDRVSESSION pSession, uintptr_t uSessionData, uintptr_t uCmd,
                       uintptr_t uArg, int32_t *piRetVal)
{
    (void)pThis; (void)pSession;
    g_State.cIoCtls++;
    *piRetVal = (int32_t)(uSessionData + uArg);
    return (int)uCmd;
}

static void tracerClose(PCSUPDRVTRACERREG pThis, PSUPDRVSESSION pSession, uintptr_t uSessionData)
{
    (void)pThis; (void)pSession; (void)uSessionData;
    g_State.cCloses++;
}

static int tracerProviderRegister(PCSUPDRVTRACERREG pThis, PSUPDRVVDTPROVIDERCORE pCore)
{
    unsigned i;
    (void)pThis;
    if (tracerIsOwn(pCore))
    {
        g_pOwn = pCore;
        g_Own.fKnown = 1;
        g_Own.cLocations = ((VTGOBJHDR const *)pCore->pHdr)->cbProbeLocs / sizeof(VTGPROBELOC);
        return VINF_SUCCESS;
    }
    if (g_rcProvider)
        return g_rcProvider;
    /* The helper is there before the first provider is. */
    if (!g_pHlp)
        return VERR_INVALID_PARAMETER;
    for (i = 0; i < MAX_PROVIDERS; i++)
        if (!g_apProviders[i])
        {
            g_apProviders[i] = pCore;
            g_State.cRegistered++;
            tracerCopy(g_State.szName, sizeof(g_State.szName), pCore->pszName);
            tracerCopy(g_State.szModule, sizeof(g_State.szModule), pCore->pszModName);
            return VINF_SUCCESS;
        }
    return VERR_NO_MEMORY;
}

static int tracerForget(PSUPDRVVDTPROVIDERCORE pCore, uint32_t *pcCount)
{
    unsigned i;
    if (pCore == g_pOwn)
    {
        g_pOwn = NULL;
        g_Own.fKnown = 0;
        return VINF_SUCCESS;
    }
    (*pcCount)++;
    if (g_cRefusals)
    {
        g_cRefusals--;
        return VERR_TRY_AGAIN;
    }
    for (i = 0; i < MAX_PROVIDERS; i++)
        if (g_apProviders[i] == pCore)
            g_apProviders[i] = NULL;
    return VINF_SUCCESS;
}

static int tracerProviderDeregister(PCSUPDRVTRACERREG pThis, PSUPDRVVDTPROVIDERCORE pCore)
{
    (void)pThis;
    return tracerForget(pCore, &g_State.cDeregistered);
}

static int tracerProviderDeregisterZombie(PCSUPDRVTRACERREG pThis, PSUPDRVVDTPROVIDERCORE pCore)
{
    (void)pThis;
    return tracerForget(pCore, &g_State.cZombies);
}

static SUPDRVTRACERREG g_Reg =
{
    SUPDRVTRACERREG_MAGIC,
    SUPDRVTRACERREG_VERSION,
    tracerFireKernel,
    tracerFireUser,
    tracerOpen,
    tracerIoCtl,
    tracerClose,
    tracerProviderRegister,
    tracerProviderDeregister,
    tracerProviderDeregisterZombie,
    SUPDRVTRACERREG_MAGIC
};

/** Switches the location on or off, and gives it a number of its own: idFirst and its index. */
static int tracerSwitch(PSUPDRVVDTPROVIDERCORE pCore, uint32_t idFirst, uint32_t iLoc, int fOn)
{
    VTGOBJHDR const *pHdr;
    VTGPROBELOC const *pLocRO;
    VTGPROBELOC *pLoc;
    size_t iProbe;
    if (!pCore)
        return VERR_INVALID_PARAMETER;
    pHdr = (VTGOBJHDR const *)pCore->pHdr;
    if (iLoc >= pHdr->cbProbeLocs / sizeof(VTGPROBELOC))
        return VERR_INVALID_PARAMETER;
    pLocRO = &pCore->paProbeLocsRO[iLoc];
    iProbe = (size_t)(pLocRO->pProbe - (VTGPROBE const *)((uint8_t const *)pHdr + pHdr->Probes.off));
    pLoc   = (VTGPROBELOC *)((uint8_t *)pCore->pvProbeLocsEn + iLoc * pCore->cbProbeLocsEn);
    if (pCore->fUmod)
    {
        /* The driver's records decide; the process' are told. */
        if (pCore->paR0ProbeLocs[iLoc].fEnabled == fOn)
            return VINF_SUCCESS;
        pCore->paR0ProbeLocs[iLoc].idProbe = idFirst + iLoc;
        pCore->paR0Probes[iProbe].cEnabled += fOn ? 1 : -1;
        __atomic_store_n(&pCore->paR0ProbeLocs[iLoc].fEnabled, fOn, __ATOMIC_RELEASE);
        pCore->pacProbeEnabled[iProbe] = pCore->paR0Probes[iProbe].cEnabled;
    }
    else
    {
        pLoc->idProbe = idFirst + iLoc;
        pCore->pacProbeEnabled[iProbe] += fOn ? 1 : -1;
    }
    if (fOn)
        pLoc->uLineAndEnabled |= UINT32_C(0x80000000);
    else
        pLoc->uLineAndEnabled &= UINT32_C(0x7fffffff);
    return VINF_SUCCESS;
}

static int tracerDriver(uint64_t uWhat)
{
    PSUPDRVSESSION pSession;
    int rc;
    switch (uWhat)
    {
        case 0:
            return SUPR0IdcOpen(&g_Handle, 0, 0, NULL, NULL, NULL);
        case 1:
            return SUPR0TracerRegisterDrv(SUPR0IdcGetSession(&g_Handle), (struct VTGOBJHDR *)&g_VTGObjHeader, "driver");
        case 2:
            SUPR0TracerDeregisterDrv(SUPR0IdcGetSession(&g_Handle));
            return VINF_SUCCESS;
        case 3:
            return SUPR0IdcClose(&g_Handle);
        case 4: /* Without a name, and without an object. */
            pSession = SUPR0IdcGetSession(&g_Handle);
            rc = SUPR0TracerRegisterDrv(pSession, (struct VTGOBJHDR *)&g_VTGObjHeader, NULL);
            return rc == -6 ? SUPR0TracerRegisterDrv(pSession, NULL, "driver") : rc;
        case 5: /* Something else than an object. */
            return SUPR0TracerRegisterDrv(SUPR0IdcGetSession(&g_Handle), (struct VTGOBJHDR *)&g_State, "driver");
        default:
            return VERR_INVALID_PARAMETER;
    }
}

int tracerServiceReqHandler(PSUPDRVSESSION pSession, uint32_t uOperation, uint64_t u64Arg, PSUPR0SERVICEREQHDR pReqHdr)
{
    PCSUPDRVTRACERHLP pHlp;
    SUPDRVTRACERUSRCTX Ctx;
    switch (uOperation)
    {
        case 1: /* Reads the state. */
            if (!pReqHdr || pReqHdr->cbReq != sizeof(TRACERSTATE))
                return VERR_INVALID_PARAMETER;
            g_State.Hdr = *pReqHdr;
            *(TRACERSTATE *)pReqHdr = g_State;
            return VINF_SUCCESS;
        case 2:
        case 3:
        {
            uint32_t const iProvider = (uint32_t)(u64Arg >> 32);
            return tracerSwitch(iProvider < MAX_PROVIDERS ? g_apProviders[iProvider] : NULL, 1000,
                                (uint32_t)u64Arg, uOperation == 2);
        }
        case 4: /* So many times more no provider goes. */
            g_cRefusals = (uint32_t)u64Arg;
            return VINF_SUCCESS;
        case 5: /* What the next opens, and the next providers, get. */
            g_rcOpen = (int)u64Arg;
            return VINF_SUCCESS;
        case 6:
            g_rcProvider = (int)u64Arg;
            return VINF_SUCCESS;
        case 7:
            return SUPR0TracerDeregisterImpl(g_hMod, NULL);
        case 8: /* Not in ModuleInit. */
            return SUPR0TracerRegisterImpl(g_hMod, NULL, &g_Reg, &pHlp);
        case 9: /* What is no owner. */
            return SUPR0TracerDeregisterImpl(NULL, pSession);
        case 10:
            return tracerDriver(u64Arg);
        case 11: /* A hit that ring 0 reports for the caller's process. */
            Ctx.idProbe = (uint32_t)u64Arg;
            Ctx.cBits = 64;
            Ctx.abReserved[0] = Ctx.abReserved[1] = Ctx.abReserved[2] = 0;
            Ctx.u.Amd64.aArgs[0] = 77;
            SUPR0TracerUmodProbeFire(pSession, &Ctx);
            return VINF_SUCCESS;
        case 12: /* The driver's own probes. */
        case 13:
            return tracerSwitch(g_pOwn, FIRST_OWN, (uint32_t)u64Arg, uOperation == 12);
        case 14:
            if (!pReqHdr || pReqHdr->cbReq != sizeof(OWNSTATE))
                return VERR_INVALID_PARAMETER;
            g_Own.Hdr = *pReqHdr;
            *(OWNSTATE *)pReqHdr = g_Own;
            return VINF_SUCCESS;
        default:
            return VERR_INVALID_PARAMETER;
    }
}

int ModuleInit(void *hMod)
{
    SUPDRVTRACERREG Reg = g_Reg;
    PCSUPDRVTRACERHLP pHlp = (PCSUPDRVTRACERHLP)&g_Reg;
    int32_t *piRc = g_State.aiRegister;
    g_hMod = hMod;
    *piRc++ = SUPR0TracerRegisterImpl(hMod, NULL, &g_Reg, NULL);
    *piRc++ = SUPR0TracerRegisterImpl(hMod, NULL, NULL, &g_pHlp);
    *piRc++ = SUPR0TracerRegisterImpl((void *)1, NULL, &g_Reg, &g_pHlp);
    *piRc++ = SUPR0TracerRegisterImpl(hMod, (PSUPDRVSESSION)hMod, &g_Reg, &g_pHlp);
    *piRc++ = SUPR0TracerRegisterImpl(NULL, NULL, &g_Reg, &g_pHlp);
    Reg.u32Magic++;
    *piRc++ = SUPR0TracerRegisterImpl(hMod, NULL, &Reg, &g_pHlp);
    Reg = g_Reg;
    Reg.u32Version++;
    *piRc++ = SUPR0TracerRegisterImpl(hMod, NULL, &Reg, &g_pHlp);
    Reg = g_Reg;
    Reg.uEndMagic++;
    *piRc++ = SUPR0TracerRegisterImpl(hMod, NULL, &Reg, &g_pHlp);
    Reg = g_Reg;
    Reg.pfnTracerClose = NULL;
    *piRc++ = SUPR0TracerRegisterImpl(hMod, NULL, &Reg, &g_pHlp);
    /* Nothing was given out so far. */
    *piRc++ = g_pHlp == NULL ? VINF_SUCCESS : VERR_INVALID_PARAMETER;
    *piRc++ = SUPR0TracerRegisterImpl(hMod, NULL, &g_Reg, &g_pHlp);
    *piRc = SUPR0TracerRegisterImpl(hMod, NULL, &g_Reg, &pHlp);
    return pHlp == NULL ? g_State.aiRegister[10] : VERR_INVALID_PARAMETER;
}
