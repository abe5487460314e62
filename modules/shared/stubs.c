/** @file
 * Stand-ins for the ring-0 functions that modules import, so that a module
 * built as a plain shared object can be opened with dlopen. A benchmark
 * compares that with loading the ring-0 image; nothing else uses them.
 */

#define IN_RING0
#include <VBox/sup.h>

#define VERR_NOT_SUPPORTED  (-37)

int SUPR0Printf(const char *pszFormat, ...)
{
    (void)pszFormat;
    return 0;
}

void *SUPR0ObjRegister(PSUPDRVSESSION pSession, SUPDRVOBJTYPE enmType, PFNSUPDRVDESTRUCTOR pfnDestructor,
                       void *pvUser1, void *pvUser2)
{
    (void)pSession;
    (void)enmType;
    (void)pfnDestructor;
    (void)pvUser1;
    (void)pvUser2;
    return NULL;
}

int SUPR0ObjAddRef(void *pvObj, PSUPDRVSESSION pSession)
{
    (void)pvObj;
    (void)pSession;
    return VERR_NOT_SUPPORTED;
}

int SUPR0ObjRelease(void *pvObj, PSUPDRVSESSION pSession)
{
    (void)pvObj;
    (void)pSession;
    return VERR_NOT_SUPPORTED;
}

int SUPSemEventCreate(PSUPDRVSESSION pSession, PSUPSEMEVENT phEvent)
{
    (void)pSession;
    (void)phEvent;
    return VERR_NOT_SUPPORTED;
}

int SUPSemEventClose(PSUPDRVSESSION pSession, SUPSEMEVENT hEvent)
{
    (void)pSession;
    (void)hEvent;
    return VERR_NOT_SUPPORTED;
}

int SUPSemEventSignal(PSUPDRVSESSION pSession, SUPSEMEVENT hEvent)
{
    (void)pSession;
    (void)hEvent;
    return VERR_NOT_SUPPORTED;
}

int SUPSemEventWait(PSUPDRVSESSION pSession, SUPSEMEVENT hEvent, uint32_t cMillies)
{
    (void)pSession;
    (void)hEvent;
    (void)cMillies;
    return VERR_NOT_SUPPORTED;
}

int SUPSemEventWaitNsRelIntr(PSUPDRVSESSION pSession, SUPSEMEVENT hEvent, uint64_t cNsTimeout)
{
    (void)pSession;
    (void)hEvent;
    (void)cNsTimeout;
    return VERR_NOT_SUPPORTED;
}
