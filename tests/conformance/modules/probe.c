/** @file
 * probe: does in ring 0 whatever a request says, and tells what came of it.
 *
 * The suite looks through it at the driver's ring-0 face: objects, semaphores, memory. It trusts its
 * caller with every pointer, which no real module may do. A pointer is always one of ring 0: in a kernel
 * ring 3's would be neither mapped nor allowed.
 */

#define IN_RING0
#include <VBox/sup.h>

#define VINF_SUCCESS            0
#define VERR_GENERAL_FAILURE    (-1)
#define VERR_INVALID_PARAMETER  (-2)
#define VERR_NOT_IMPLEMENTED    (-12)
#define VERR_WRONG_ORDER        (-22)
#define VERR_NOT_SUPPORTED      (-37)
#define VERR_INTERNAL_ERROR     (-225)

/** Every operation has the same packet. au64[0] is the session to act in, 0 for the caller's. */
typedef struct PROBEREQ
{
    SUPR0SERVICEREQHDR  Hdr;
    uint64_t            au64[8];
} PROBEREQ;
typedef PROBEREQ *PPROBEREQ;

int probeServiceReqHandler(PSUPDRVSESSION pSession, uint32_t uOperation, uint64_t u64Arg, PSUPR0SERVICEREQHDR pReqHdr);
int ModuleInit(void *hMod);
void ModuleTerm(void *hMod);

/** Where events are written down, outlives the module: a count, then the events. It is memory of both
 * rings, which ring 3 allocates. */
static volatile uint64_t *g_pau64Scoreboard;
static void              *g_hMod;
static uint64_t           g_cInits;

static void probeScore(uint64_t u64Event)
{
    if (g_pau64Scoreboard)
    {
        uint64_t i = __atomic_add_fetch(&g_pau64Scoreboard[0], 1, __ATOMIC_SEQ_CST);
        if (i < 512)
            g_pau64Scoreboard[i] = u64Event;
    }
}

/** Scores pvUser1; with a session in pvUser2 tries to use the dying object, and scores the answers. */
static void probeDestructor(void *pvObj, void *pvUser1, void *pvUser2)
{
    probeScore((uintptr_t)pvUser1);
    if (pvUser2)
    {
        probeScore((uint32_t)SUPR0ObjAddRef(pvObj, (PSUPDRVSESSION)pvUser2));
        probeScore((uint32_t)SUPR0ObjRelease(pvObj, (PSUPDRVSESSION)pvUser2));
    }
}

static int probeRegister(PSUPDRVSESSION pSession, PPROBEREQ pReq)
{
    void *pvObj = SUPR0ObjRegister(pSession, (SUPDRVOBJTYPE)pReq->au64[1],
                                   pReq->au64[3] & 1 ? NULL : probeDestructor,
                                   (void *)(uintptr_t)pReq->au64[2],
                                   pReq->au64[3] & 2 ? pSession : NULL);
    pReq->au64[7] = (uintptr_t)pvObj;
    return pvObj ? VINF_SUCCESS : VERR_GENERAL_FAILURE;
}

/** au64[1]: which function, au64[2]: the handle, au64[3]: the timeout, au64[4]: bad output pointer. */
static int probeSemaphore(PSUPDRVSESSION pSession, PPROBEREQ pReq)
{
    SUPSEMEVENT       hEvent = (SUPSEMEVENT)(uintptr_t)pReq->au64[2];
    SUPSEMEVENTMULTI  hMulti = (SUPSEMEVENTMULTI)(uintptr_t)pReq->au64[2];
    uint64_t          u64    = pReq->au64[3];
    void             *pvNew  = NULL;
    void             *pvOut  = pReq->au64[4] ? (void *)(uintptr_t)8 : (void *)&pvNew;
    int               rc;
    switch (pReq->au64[1])
    {
        case 0:  rc = SUPSemEventCreate(pSession, (PSUPSEMEVENT)pvOut); break;
        case 1:  rc = SUPSemEventClose(pSession, hEvent); break;
        case 2:  rc = SUPSemEventSignal(pSession, hEvent); break;
        case 3:  rc = SUPSemEventWait(pSession, hEvent, (uint32_t)u64); break;
        case 4:  rc = SUPSemEventWaitNoResume(pSession, hEvent, (uint32_t)u64); break;
        case 5:  rc = SUPSemEventWaitNsAbsIntr(pSession, hEvent, u64); break;
        case 6:  rc = SUPSemEventWaitNsRelIntr(pSession, hEvent, u64); break;
        case 7:  rc = (int)SUPSemEventGetResolution(pSession); break;
        case 10: rc = SUPSemEventMultiCreate(pSession, (PSUPSEMEVENTMULTI)pvOut); break;
        case 11: rc = SUPSemEventMultiClose(pSession, hMulti); break;
        case 12: rc = SUPSemEventMultiSignal(pSession, hMulti); break;
        case 13: rc = SUPSemEventMultiWait(pSession, hMulti, (uint32_t)u64); break;
        case 14: rc = SUPSemEventMultiWaitNoResume(pSession, hMulti, (uint32_t)u64); break;
        case 15: rc = SUPSemEventMultiWaitNsAbsIntr(pSession, hMulti, u64); break;
        case 16: rc = SUPSemEventMultiWaitNsRelIntr(pSession, hMulti, u64); break;
        case 17: rc = (int)SUPSemEventMultiGetResolution(pSession); break;
        case 18: rc = SUPSemEventMultiReset(pSession, hMulti); break;
        default: return VERR_NOT_SUPPORTED;
    }
    pReq->au64[7] = (uintptr_t)pvNew;
    return rc;
}

/** au64[1]: which function, au64[2]: a number or an address, au64[3] to au64[5]: the other arguments.
 * Answers: au64[4] ring 3's address, au64[5] ring 0's, au64[6] the first page's. At most eight pages. */
static int probeMemory(PSUPDRVSESSION pSession, PPROBEREQ pReq)
{
    uint64_t const  u64     = pReq->au64[2];
    uint32_t const  u32     = (uint32_t)u64;
    RTR3PTR         pvR3    = 0;
    RTR0PTR         pvR0    = 0;
    RTHCPHYS        aPhys[8] = { 0 };
    SUPPAGE         aPages[8];
    int             rc;
    switch (pReq->au64[1])
    {
        case 0:  rc = SUPR0LockMem(pSession, (RTR3PTR)u64, (uint32_t)pReq->au64[3], aPhys); break;
        case 1:  return SUPR0UnlockMem(pSession, (RTR3PTR)u64);
        case 2:  rc = SUPR0ContAlloc(pSession, u32, &pvR0, &pvR3, aPhys); break;
        case 3:  return SUPR0ContFree(pSession, u64);
        case 4:  rc = SUPR0LowAlloc(pSession, u32, &pvR0, &pvR3, aPhys); break;
        case 5:  return SUPR0LowFree(pSession, u64);
        case 6:  rc = SUPR0MemAlloc(pSession, u32, &pvR0, &pvR3); break;
        case 7:
            rc = SUPR0MemGetPhys(pSession, u64, aPages);
            aPhys[0] = rc == 0 ? aPages[0].Phys : 0;
            break;
        case 8:  return SUPR0MemFree(pSession, u64);
        case 9:  rc = SUPR0PageAllocEx(pSession, u32, 0, pReq->au64[3] & 1 ? &pvR3 : NULL,
                                       pReq->au64[3] & 2 ? &pvR0 : NULL, aPhys); break;
        case 10: rc = SUPR0PageMapKernel(pSession, (RTR3PTR)u64, (uint32_t)pReq->au64[3], (uint32_t)pReq->au64[4], 0, &pvR0); break;
        case 11: return SUPR0PageProtect(pSession, 0, (RTR0PTR)u64, 0, (uint32_t)pReq->au64[3], (uint32_t)pReq->au64[4]);
        case 12: return SUPR0PageFree(pSession, (RTR3PTR)u64);
        default: return VERR_NOT_SUPPORTED;
    }
    pReq->au64[4] = (uint64_t)pvR3;
    pReq->au64[5] = (uint64_t)pvR0;
    pReq->au64[6] = aPhys[0];
    return rc;
}

/** au64[1]: 0 maps, 1 unmaps; au64[2], au64[3]: which places to name, 0 none, 1 a good one, 2 a bad one.
 * Answers: au64[4] ring 3's address, au64[5] the physical one; as they were if they are not written. */
static int probeGip(PSUPDRVSESSION pSession, PPROBEREQ pReq)
{
    RTR3PTR   pvR3 = (RTR3PTR)pReq->au64[4];
    RTHCPHYS  Phys = pReq->au64[5];
    PRTR3PTR  apR3[3]   = { NULL, &pvR3, (PRTR3PTR)(uintptr_t)8 };
    PRTHCPHYS apPhys[3] = { NULL, &Phys, (PRTHCPHYS)(uintptr_t)8 };
    int       rc;
    if (pReq->au64[1] == 1)
        return SUPR0GipUnmap(pSession);
    rc = SUPR0GipMap(pSession, apR3[pReq->au64[2] % 3], apPhys[pReq->au64[3] % 3]);
    pReq->au64[4] = (uint64_t)pvR3;
    pReq->au64[5] = Phys;
    return rc;
}

/** What the module knows of itself and of the machine. */
static int probeFacts(PSUPDRVSESSION pSession, PPROBEREQ pReq)
{
    PSUPGLOBALINFOPAGE pGip   = SUPGetGIP();
    uint32_t           fCaps  = UINT32_C(0xffffffff);
    int                rcCaps = SUPR0QueryVTCaps(pSession, &fCaps);
    pReq->au64[0] = (uintptr_t)g_hMod;
    pReq->au64[1] = g_cInits;
    pReq->au64[2] = (uintptr_t)pSession;
    pReq->au64[3] = pGip ? pGip->aCPUs[0].u32TransactionId : 0;
    pReq->au64[4] = SUPR0GetPagingMode();
    pReq->au64[5] = (uint32_t)rcCaps;
    pReq->au64[6] = fCaps;
    pReq->au64[7] = pGip ? pGip->u32Magic : 0;
    return VINF_SUCCESS;
}

/** Asked for by name: two of one name, one that asks others, one that cannot be registered, one without a
 * function. Each has the interface of which the text is its own number. */
static void *probeFactory(PCSUPDRVFACTORY pFactory, PSUPDRVSESSION pSession, const char *pszUuid);
static void *probeAsksOthers(PCSUPDRVFACTORY pFactory, PSUPDRVSESSION pSession, const char *pszUuid)
{
    void *pv = NULL;
    (void)pFactory;
    return SUPR0ComponentQueryFactory(pSession, "probe", pszUuid, &pv) == VINF_SUCCESS ? pv : NULL;
}

static SUPDRVIDCHANDLE g_aHandles[2];

/** Tries to end itself, and then its session; has every interface if both are refused. */
static void *probeEndsItself(PCSUPDRVFACTORY pFactory, PSUPDRVSESSION pSession, const char *pszUuid)
{
    (void)pSession;
    (void)pszUuid;
    return SUPR0IdcComponentDeregisterFactory(&g_aHandles[0], pFactory) == VERR_WRONG_ORDER
        && SUPR0IdcClose(&g_aHandles[0]) == VERR_WRONG_ORDER ? (void *)pFactory : NULL;
}

static SUPDRVFACTORY const g_aFactories[] =
{
    { "probe", probeFactory },
    { "probe", probeFactory },
    { "asks", probeAsksOthers },
    { { [0 ... 55] = 'x' }, probeFactory },
    { "none", NULL },
    { "ends", probeEndsItself },
};

static void *probeFactory(PCSUPDRVFACTORY pFactory, PSUPDRVSESSION pSession, const char *pszUuid)
{
    (void)pSession;
    return pszUuid[0] == '0' + (pFactory - &g_aFactories[0]) ? (void *)pFactory : NULL;
}

static const char * const g_apszTexts[] =
{ "probe", "asks", "missing", "0", "1", "9", "123456789012345678901234567890123456", "1234567890123456789012345678901234567",
  "1234567890123456789012345678901234567890123456789012345", "12345678901234567890123456789012345678901234567890123456",
  "SupDrv", "SUPR0ObjRegister", "probeServiceReqHandler", "other", "ends" };
static char g_ach63[64];
static char g_ach64[65];
static char g_ach511[512];
static char g_ach512[513];
static char g_achLong[601];

/** Fills a text that is too long to write down, but for its terminator. */
static const char *probeLong(char *psz, size_t cch)
{
    for (size_t i = 0; i < cch; i++)
        psz[i] = 'x';
    return psz;
}

/** Text number i, NULL for 98, a bad pointer for others that are not there. */
static const char *probeText(uint64_t i)
{
    switch (i)
    {
        case 90: return probeLong(g_ach63, 63);
        case 91: return probeLong(g_ach64, 64);
        case 92: return probeLong(g_ach511, 511);
        case 93: return probeLong(g_ach512, 512);
        case 98: return NULL;
        default: return i < sizeof(g_apszTexts) / sizeof(g_apszTexts[0]) ? g_apszTexts[i] : (const char *)(uintptr_t)8;
    }
}

/** A packet between kernel drivers, as large as any. */
typedef struct PROBEIDC
{
    uint32_t    cb;
    int32_t     rc;
    uintptr_t   uSession;
    uint64_t    au64[3];
} PROBEIDC;

/** SUPR0IdcCall. au64[2]: the handle; au64[3]: the code, bit 32 for a bad packet; au64[4]: the sizes in the
 * packet and, above, in the call; au64[5], au64[6]: versions, or texts of module and symbol, or a factory.
 * Answers: au64[3] the packet's status, au64[4] its session, au64[5] to au64[7] the rest of it. */
static int probeIdcCall(PPROBEREQ pReq, PSUPDRVIDCHANDLE pHandle)
{
    uint32_t const uCode = (uint32_t)pReq->au64[3];
    uint64_t const uFifth = pReq->au64[5];
    PROBEIDC       Packet = { (uint32_t)pReq->au64[4], -22, 0, { 0, 0, 0 } };
    int            rc;
    switch (uCode)
    {
        case UINT32_C(0xc0ffee01):
            Packet.au64[0] = UINT32_C(0x69726f74) | uFifth << 32;
            Packet.au64[1] = pReq->au64[6];
            break;
        case UINT32_C(0xc0ffee03):
            Packet.au64[0] = (uintptr_t)probeText(uFifth);
            Packet.au64[1] = (uintptr_t)probeText(pReq->au64[6]);
            break;
        default:
            Packet.au64[0] = uFifth < 5 ? (uintptr_t)&g_aFactories[uFifth] : 8;
    }
    rc = SUPR0IdcCall(pHandle, uCode, pReq->au64[3] >> 32 & 1 ? (void *)(uintptr_t)8 : &Packet,
                      (uint32_t)(pReq->au64[4] >> 32));
    pReq->au64[3] = (uint32_t)Packet.rc;
    pReq->au64[4] = Packet.uSession;
    pReq->au64[5] = Packet.au64[0];
    pReq->au64[6] = Packet.au64[1];
    pReq->au64[7] = Packet.au64[2];
    return rc;
}

/** au64[1]: which function; au64[2], au64[3]: which handle and factory, or the versions, or the texts; a
 * number that is not there is a bad pointer. Answers in au64[5] to au64[7]. */
static int probeComponent(PSUPDRVSESSION pSession, PPROBEREQ pReq)
{
    uint64_t const   u2       = pReq->au64[2];
    uint64_t const   u3       = pReq->au64[3];
    PSUPDRVIDCHANDLE pHandle  = u2 < 2 ? &g_aHandles[u2] : (PSUPDRVIDCHANDLE)(uintptr_t)8;
    PCSUPDRVFACTORY  pFactory = u3 < 6 ? &g_aFactories[u3] : (PCSUPDRVFACTORY)(uintptr_t)8;
    uint32_t         au32[3]  = { 7, 7, 7 };
    void            *pv       = &au32[0];
    int              rc;
    switch (pReq->au64[1])
    {
        case 0:
            rc = SUPR0IdcOpen(pHandle, (uint32_t)u3, (uint32_t)(u3 >> 32), &au32[0], &au32[1],
                              pReq->au64[4] ? (uint32_t *)(uintptr_t)8 : &au32[2]);
            pReq->au64[5] = au32[0];
            pReq->au64[6] = au32[1];
            pReq->au64[7] = au32[2];
            return rc;
        case 1: return SUPR0IdcClose(pHandle);
        case 2: pReq->au64[7] = (uintptr_t)SUPR0IdcGetSession(pHandle); return VINF_SUCCESS;
        case 3: return SUPR0IdcComponentRegisterFactory(pHandle, pFactory);
        case 4: return SUPR0IdcComponentDeregisterFactory(pHandle, pFactory);
        case 5: return SUPR0ComponentRegisterFactory(pSession, pFactory);
        case 6: return SUPR0ComponentDeregisterFactory(pSession, pFactory);
        case 7:
            rc = SUPR0ComponentQueryFactory(pSession, probeText(u2), probeText(u3),
                                            pReq->au64[4] ? (void **)(uintptr_t)8 : &pv);
            pReq->au64[6] = pv == NULL;
            pReq->au64[7] = (uint64_t)((PCSUPDRVFACTORY)pv - &g_aFactories[0]);
            return rc;
        case 8: return SUPR0IdcOpen(pHandle, 0, 0, NULL, NULL, NULL);
        case 9: return probeIdcCall(pReq, pHandle);
        case 10: pReq->au64[7] = (uintptr_t)&SUPR0ObjRegister; return VINF_SUCCESS;
        default: return VERR_NOT_IMPLEMENTED;
    }
}

/** The absolute symbols, those of 64-bit code in the upper halves, and the processor's own selectors of
 * code and stack. */
static int probeAbsolutes(PPROBEREQ pReq)
{
    uint16_t uCs;
    uint16_t uSs;
    __asm__ volatile("mov %%cs, %0" : "=r"(uCs));
    __asm__ volatile("mov %%ss, %0" : "=r"(uSs));
    pReq->au64[0] = (uintptr_t)&SUPR0AbsIs64bit;
    pReq->au64[1] = (uintptr_t)&SUPR0Abs64bitKernelCS << 32 | (uintptr_t)&SUPR0AbsKernelCS;
    pReq->au64[2] = (uintptr_t)&SUPR0Abs64bitKernelSS << 32 | (uintptr_t)&SUPR0AbsKernelSS;
    pReq->au64[3] = (uintptr_t)&SUPR0Abs64bitKernelDS << 32 | (uintptr_t)&SUPR0AbsKernelDS;
    pReq->au64[4] = (uintptr_t)&SUPR0AbsKernelES;
    pReq->au64[5] = (uintptr_t)&SUPR0AbsKernelFS;
    pReq->au64[6] = (uintptr_t)&SUPR0AbsKernelGS;
    pReq->au64[7] = (uint64_t)uSs << 32 | uCs;
    return VINF_SUCCESS;
}

void *memcpy(void *, const void *, size_t);
void *memmove(void *, const void *, size_t);
void *memset(void *, int, size_t);
int memcmp(const void *, const void *, size_t);

/** Keeps the compiler from answering these calls itself. */
static __typeof__(memcpy)  * volatile g_pfnCopy = memcpy;
static __typeof__(memmove) * volatile g_pfnMove = memmove;
static __typeof__(memset)  * volatile g_pfnSet  = memset;
static __typeof__(memcmp)  * volatile g_pfnCompare = memcmp;

static int probeStrings(void)
{
    char ach[8];
    g_pfnSet(ach, 'x', sizeof(ach));
    g_pfnCopy(ach, "abcdef", 6);
    g_pfnMove(&ach[2], &ach[0], 6);
    return g_pfnCompare(ach, "ababcdef", 8) == 0 && g_pfnCompare("a", "b", 1) < 0
         ? VINF_SUCCESS : VERR_INTERNAL_ERROR;
}

/** Prints in a way, so often: in all forms, more than is told, or numbered lines. */
static int probePrint(uint64_t uWay, uint64_t cTimes)
{
    int rc = 0;
    for (uint64_t i = 0; i < cTimes; i++)
        switch (uWay)
        {
            case 0:
                rc |= SUPR0Printf("probe: %d %u %#06x %s %c %d%%\nprobe: %Rrc %RTbool\n", -7, 7, 0xff, "text", 'c', 100,
                                  VERR_INVALID_PARAMETER, 1);
                rc |= SUPR0Printf("probe: %016RX64\n", UINT64_C(0x0123456789abcdef));
                rc |= SUPR0Printf("probe: nothing behind it");
                break;
            case 1:
                for (uint64_t cch = 0; cch < sizeof(g_achLong) - 1; cch++)
                    g_achLong[cch] = "probe: a line of 29 bytes xxx\n"[cch % 30];
                rc |= SUPR0Printf("%s", g_achLong);
                break;
            default:
                rc |= SUPR0Printf("probe: line %RU64\n", i);
        }
    return rc ? VERR_INTERNAL_ERROR : VINF_SUCCESS;
}

/** Changes every byte behind the packet's header and returns the argument. */
static int probeInvert(uint64_t u64Arg, PSUPR0SERVICEREQHDR pReqHdr)
{
    uint8_t *pb = (uint8_t *)pReqHdr;
    for (uint32_t off = sizeof(*pReqHdr); pReqHdr && off < pReqHdr->cbReq; off++)
        pb[off] ^= 0xff;
    return (int)u64Arg;
}

int probeServiceReqHandler(PSUPDRVSESSION pSession, uint32_t uOperation, uint64_t u64Arg, PSUPR0SERVICEREQHDR pReqHdr)
{
    PPROBEREQ pReq = (PPROBEREQ)pReqHdr;
    if (uOperation == 0)
        return probeInvert(u64Arg, pReqHdr);
    if (!pReq || pReq->Hdr.cbReq != sizeof(*pReq))
        return VERR_INVALID_PARAMETER;
    if (pReq->au64[0])
        pSession = (PSUPDRVSESSION)(uintptr_t)pReq->au64[0];
    switch (uOperation)
    {
        case 1:  return probeRegister(pSession, pReq);
        case 2:  return SUPR0ObjAddRef((void *)(uintptr_t)pReq->au64[1], pSession);
        case 3:  return SUPR0ObjAddRefEx((void *)(uintptr_t)pReq->au64[1], pSession, pReq->au64[2] != 0);
        case 4:  return SUPR0ObjRelease((void *)(uintptr_t)pReq->au64[1], pSession);
        case 5:  return SUPR0ObjVerifyAccess((void *)(uintptr_t)pReq->au64[1], pSession, "probe");
        case 6:  return probeSemaphore(pSession, pReq);
        case 7:  pReq->au64[7] = *(volatile uint64_t *)(uintptr_t)pReq->au64[1]; return VINF_SUCCESS;
        case 8:  *(volatile uint64_t *)(uintptr_t)pReq->au64[1] = pReq->au64[2]; return VINF_SUCCESS;
        case 9:  return probeFacts(pSession, pReq);
        case 10: return SUPR0QueryVTCaps(pSession, (uint32_t *)(uintptr_t)pReq->au64[1]);
        case 11: return probeStrings();
        case 12: g_pau64Scoreboard = (volatile uint64_t *)(uintptr_t)pReq->au64[1]; return VINF_SUCCESS;
        case 13: return probeMemory(pSession, pReq);
        case 14: return probeGip(pSession, pReq);
        case 15: return probeAbsolutes(pReq);
        case 16: return SUPR0EnableVTx(pReq->au64[1] != 0);
        case 17: return probeComponent(pSession, pReq);
        case 18: return probePrint(pReq->au64[1], pReq->au64[2]);
        default: return VERR_NOT_IMPLEMENTED;
    }
}

int ModuleInit(void *hMod)
{
    g_hMod = hMod;
    g_cInits++;
    return VINF_SUCCESS;
}

void ModuleTerm(void *hMod)
{
    probeScore(hMod == g_hMod ? UINT64_C(0xfeed) : UINT64_C(0xdead));
}
