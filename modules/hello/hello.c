/** @file
 * hello: a ring-0 service module, to learn from.
 *
 * A ring-0 module is an ordinary shared object, compiled with a few flags that
 * kernel code needs (modules/build.rs lists them) and named *.r0. It may
 * import what the ring-0 half of VBox/sup.h declares, and nothing else: there
 * is no C library here. The loader maps it, binds its imports and calls
 *
 *      ModuleInit                  once, when the image has been loaded,
 *      helloServiceReqHandler      for each SUPR3CallR0Service, on the thread
 *                                  and with the session of the caller,
 *      ModuleTerm                  once, when the last user has let go of it.
 *
 * The same file runs in the kernel and, under the embedded backend, in the
 * process of the program that loaded it.
 *
 * Two habits keep a ring-0 module safe, and each operation below shows them:
 * check every size and string of a request before using it, and give back
 * every resource before returning, whatever went wrong on the way.
 */

#define IN_RING0
#include <VBox/sup.h>
#include "hello.h"

/*
 * The header leaves the status codes to its users. Negative ones are
 * failures, zero and positive ones are successes.
 */
#define VINF_SUCCESS            0
#define VINF_OBJECT_DESTROYED   85
#define VERR_INVALID_PARAMETER  (-2)
#define VERR_NO_MEMORY          (-8)
#define VERR_NOT_SUPPORTED      (-37)
#define VERR_TIMEOUT            (-40)
#define VERR_INTERNAL_ERROR     (-225)

#define RT_FAILURE(rc)          ((rc) < 0)

/** The module's version: a data symbol, for SUPR3GetSymbolR0 to find. Only
 * what is not static can be found, so this and the functions at the end of the
 * file are the face of the module. */
extern const char g_szHelloVersion[];
const char g_szHelloVersion[] = "hello 1.0";

/* The loader finds the handler by the name given to SUPR3LoadServiceModule. */
FNSUPR0SERVICEREQHANDLER helloServiceReqHandler;


/**
 * Appends a string to a buffer, cutting it short where the buffer ends.
 *
 * @returns The new length of the text in the buffer.
 * @param   pszBuf      The buffer. It stays terminated.
 * @param   cbBuf       Its size, at least 1.
 * @param   cch         The length of the text in it so far, below cbBuf.
 * @param   pszText     What to append.
 */
static size_t helloAppend(char *pszBuf, size_t cbBuf, size_t cch, const char *pszText)
{
    while (*pszText && cch < cbBuf - 1)
        pszBuf[cch++] = *pszText++;
    pszBuf[cch] = '\0';
    return cch;
}


/** HELLO_OP_NOP. */
static int helloNop(PSUPDRVSESSION pSession, uint64_t u64Arg, PSUPR0SERVICEREQHDR pReqHdr)
{
    (void)pSession;
    (void)u64Arg;
    (void)pReqHdr;
    return VINF_SUCCESS;
}


/** HELLO_OP_GREET: a packet of fixed size. */
static int helloGreet(PSUPDRVSESSION pSession, uint64_t u64Arg, PSUPR0SERVICEREQHDR pReqHdr)
{
    HELLOGREETREQ *pReq = (HELLOGREETREQ *)pReqHdr;
    size_t         cch  = 0;
    (void)pSession;
    (void)u64Arg;

    /* The packet is optional in SUPR3CallR0Service, so it may be missing. The
       driver has made sure that cbReq bytes are there, but not what they are. */
    if (!pReq || pReq->Hdr.cbReq != sizeof(*pReq))
        return VERR_INVALID_PARAMETER;
    while (pReq->szName[cch])
        if (++cch == sizeof(pReq->szName))
            return VERR_INVALID_PARAMETER;

    cch = helloAppend(pReq->szGreeting, sizeof(pReq->szGreeting), 0, "Hello, ");
    cch = helloAppend(pReq->szGreeting, sizeof(pReq->szGreeting), cch, pReq->szName);
    helloAppend(pReq->szGreeting, sizeof(pReq->szGreeting), cch, "! Nice to meet you in ring 0.");
    return VINF_SUCCESS;
}


/** HELLO_OP_SUM: a packet whose size depends on a count inside it. */
static int helloSum(PSUPDRVSESSION pSession, uint64_t u64Arg, PSUPR0SERVICEREQHDR pReqHdr)
{
    HELLOSUMREQ *pReq   = (HELLOSUMREQ *)pReqHdr;
    uint64_t     u64Sum = 0;
    (void)pSession;
    (void)u64Arg;

    /* Divide the room instead of multiplying the count: cValues * 8 could wrap
       around in 32 bits and look small, the quotient cannot. */
    if (!pReq || pReq->Hdr.cbReq < sizeof(*pReq))
        return VERR_INVALID_PARAMETER;
    if (pReq->cValues > (pReq->Hdr.cbReq - sizeof(*pReq)) / sizeof(pReq->au64Values[0]))
        return VERR_INVALID_PARAMETER;

    for (uint32_t i = 0; i < pReq->cValues; i++)
        u64Sum += pReq->au64Values[i];
    pReq->u64Sum = u64Sum;
    return VINF_SUCCESS;
}


/** HELLO_OP_ECHO_ARG: the argument and the status travel unchanged. */
static int helloEchoArg(PSUPDRVSESSION pSession, uint64_t u64Arg, PSUPR0SERVICEREQHDR pReqHdr)
{
    (void)pSession;
    (void)pReqHdr;
    return (int)u64Arg;
}


/** Destructor of helloObject's object. pvUser1 counts the calls. */
static void helloObjectDestructor(void *pvObj, void *pvUser1, void *pvUser2)
{
    uint32_t *pcDestroyed = (uint32_t *)pvUser1;
    (void)pvObj;
    (void)pvUser2;
    *pcDestroyed += 1;
}


/**
 * HELLO_OP_OBJECT: registers an object, references it a second time and
 * releases both references.
 *
 * An object that outlives the call would be released when its session ends, so
 * a crashing program leaks nothing. Its user pointers must then outlive the
 * call as well; here they may point to the stack, because the object does not.
 */
static int helloObject(PSUPDRVSESSION pSession, uint64_t u64Arg, PSUPR0SERVICEREQHDR pReqHdr)
{
    uint32_t cDestroyed = 0;
    uint32_t cDestroyedEarly;
    int      rc;
    int      rcLast;
    void    *pvObj = SUPR0ObjRegister(pSession, SUPDRVOBJTYPE_VM, helloObjectDestructor, &cDestroyed, NULL);
    (void)u64Arg;
    (void)pReqHdr;
    if (!pvObj)
        return VERR_NO_MEMORY;

    rc = SUPR0ObjAddRef(pvObj, pSession);
    if (!RT_FAILURE(rc))
        rc = SUPR0ObjRelease(pvObj, pSession);
    cDestroyedEarly = cDestroyed;

    rcLast = SUPR0ObjRelease(pvObj, pSession);
    if (RT_FAILURE(rc))
        return rc;
    if (   rc != VINF_SUCCESS
        || cDestroyedEarly != 0
        || rcLast != VINF_OBJECT_DESTROYED
        || cDestroyed != 1)
        return VERR_INTERNAL_ERROR;
    return VINF_SUCCESS;
}


/**
 * HELLO_OP_SEMAPHORE: signals an event and waits for it twice. An event
 * resets itself when a wait succeeds, so only the first wait does.
 */
static int helloSemaphore(PSUPDRVSESSION pSession, uint64_t u64Arg, PSUPR0SERVICEREQHDR pReqHdr)
{
    SUPSEMEVENT hEvent = NIL_SUPSEMEVENT;
    int         rc;
    int         rcClose;
    (void)u64Arg;
    (void)pReqHdr;

    rc = SUPSemEventCreate(pSession, &hEvent);
    if (RT_FAILURE(rc))
        return rc;

    rc = SUPSemEventSignal(pSession, hEvent);
    if (!RT_FAILURE(rc))
        rc = SUPSemEventWait(pSession, hEvent, 0 /* cMillies */);
    if (!RT_FAILURE(rc))
    {
        rc = SUPSemEventWait(pSession, hEvent, 0 /* cMillies */);
        rc = rc == VERR_TIMEOUT ? VINF_SUCCESS : VERR_INTERNAL_ERROR;
    }

    rcClose = SUPSemEventClose(pSession, hEvent);
    if (RT_FAILURE(rc))
        return rc;
    return rcClose == VINF_OBJECT_DESTROYED ? VINF_SUCCESS : VERR_INTERNAL_ERROR;
}


/** What carries out an operation. */
typedef int FNHELLOOPERATION(PSUPDRVSESSION pSession, uint64_t u64Arg, PSUPR0SERVICEREQHDR pReqHdr);

/** The operations by number. The loader puts the functions' addresses into
 * this table and makes it read-only before ModuleInit runs. */
static FNHELLOOPERATION * const g_apfnOperations[] =
{
    [HELLO_OP_NOP]       = helloNop,
    [HELLO_OP_GREET]     = helloGreet,
    [HELLO_OP_SUM]       = helloSum,
    [HELLO_OP_ECHO_ARG]  = helloEchoArg,
    [HELLO_OP_OBJECT]    = helloObject,
    [HELLO_OP_SEMAPHORE] = helloSemaphore,
};


/** The service: one entry for all operations. */
int helloServiceReqHandler(PSUPDRVSESSION pSession, uint32_t uOperation, uint64_t u64Arg, PSUPR0SERVICEREQHDR pReqHdr)
{
    if (uOperation >= sizeof(g_apfnOperations) / sizeof(g_apfnOperations[0]))
        return VERR_NOT_SUPPORTED;
    return g_apfnOperations[uOperation](pSession, u64Arg, pReqHdr);
}


/** Greets the log. A failure status returned here would undo the loading. */
int ModuleInit(void *hMod)
{
    SUPR0Printf("%s: hello from ring 0, I am module %p\n", g_szHelloVersion, hMod);
    return VINF_SUCCESS;
}


/** Says goodbye. Whatever ModuleInit had acquired would be given back here. */
void ModuleTerm(void *hMod)
{
    SUPR0Printf("%s: goodbye from module %p\n", g_szHelloVersion, hMod);
}
