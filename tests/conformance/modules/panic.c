/** @file
 * A module that panics wherever it is asked to: in its service, in a destructor, in ModuleTerm, and with
 * IN_INIT defined in ModuleInit.
 */

#define IN_RING0
#include <VBox/sup.h>

#define VINF_SUCCESS            0
#define VERR_GENERAL_FAILURE    (-1)
#define VERR_NOT_SUPPORTED      (-37)

/** The driver's own: says why, and never returns. */
__attribute__((noreturn)) void SUPR0ModulePanic(const char *pchText, size_t cchText, const void *pvModule);

int panicServiceReqHandler(PSUPDRVSESSION pSession, uint32_t uOperation, uint64_t u64Arg, PSUPR0SERVICEREQHDR pReqHdr);
int ModuleInit(void *hMod);
void ModuleTerm(void *hMod);

__attribute__((noreturn)) static void panicNow(void)
{
    static const char s_szText[] = "asked to";
    SUPR0ModulePanic(s_szText, sizeof(s_szText) - 1, s_szText);
}

static void panicDestructor(void *pvObj, void *pvUser1, void *pvUser2)
{
    (void)pvObj;
    (void)pvUser1;
    (void)pvUser2;
    panicNow();
}

int panicServiceReqHandler(PSUPDRVSESSION pSession, uint32_t uOperation, uint64_t u64Arg, PSUPR0SERVICEREQHDR pReqHdr)
{
    void *pvObj;
    (void)pReqHdr;
    switch (uOperation)
    {
        case 0:
            return (int)u64Arg;
        case 1:
            panicNow();
        case 2:
            pvObj = SUPR0ObjRegister(pSession, SUPDRVOBJTYPE_VM, panicDestructor, NULL, NULL);
            return pvObj ? SUPR0ObjRelease(pvObj, pSession) : VERR_GENERAL_FAILURE;
        case 3: /* The object stays with the session. */
            SUPR0ObjRegister(pSession, SUPDRVOBJTYPE_VM, panicDestructor, NULL, NULL);
            panicNow();
        default:
            return VERR_NOT_SUPPORTED;
    }
}

int ModuleInit(void *hMod)
{
    (void)hMod;
#ifdef IN_INIT
    panicNow();
#endif
    return VINF_SUCCESS;
}

void ModuleTerm(void *hMod)
{
    (void)hMod;
    panicNow();
}
