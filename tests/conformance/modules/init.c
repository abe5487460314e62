/** @file
 * A module whose ModuleInit returns what the command line defines; before, it may register an object or
 * wait for a semaphore.
 */

#define IN_RING0
#include <VBox/sup.h>

int initServiceReqHandler(PSUPDRVSESSION pSession, uint32_t uOperation, uint64_t u64Arg, PSUPR0SERVICEREQHDR pReqHdr);
int ModuleInit(void *hMod);

int initServiceReqHandler(PSUPDRVSESSION pSession, uint32_t uOperation, uint64_t u64Arg, PSUPR0SERVICEREQHDR pReqHdr)
{
    (void)pSession;
    (void)uOperation;
    (void)u64Arg;
    (void)pReqHdr;
    return STATUS;
}

#if defined(WAIT) || defined(REGISTER)
/** What to wait for: session and event. ModuleInit is told nothing but its own handle, so the suite
 * writes them into the image, where it finds the magic. */
static volatile uint64_t g_au64WaitFor[4] = { UINT64_C(0x726f662074696177), UINT64_C(0x217365696c616421), 0, 0 };
#endif

#ifdef REGISTER
static void initDestructor(void *pvObj, void *pvUser1, void *pvUser2)
{
    (void)pvObj;
    (void)pvUser1;
    (void)pvUser2;
    __builtin_trap();
}
#endif

int ModuleInit(void *hMod)
{
    (void)hMod;
#ifdef REGISTER
    if (!SUPR0ObjRegister((PSUPDRVSESSION)(uintptr_t)g_au64WaitFor[2], SUPDRVOBJTYPE_VM, initDestructor, NULL, NULL))
        return -8 /* VERR_NO_MEMORY: not what the suite expects */;
#endif
#ifdef WAIT
    return SUPSemEventWait((PSUPDRVSESSION)(uintptr_t)g_au64WaitFor[2],
                           (SUPSEMEVENT)(uintptr_t)g_au64WaitFor[3], 10000 /* ms */);
#else
    return STATUS;
#endif
}
