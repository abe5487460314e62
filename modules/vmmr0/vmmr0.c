/** @file
 * VMMR0.r0 for tests: the three entries of a hypervisor without the hypervisor.
 *
 * The driver calls VMMR0EntryFast for SUPR3CallVMMR0Fast and VMMR0EntryEx for
 * SUPR3CallVMMR0Ex. The fast entry gets the VM that the session has set, which
 * the driver has checked; VMMR0EntryEx gets whatever ring 3 says, so a pointer
 * to a VM there is nothing to follow before it was found among the own VMs.
 */

#define IN_RING0
#include <VBox/sup.h>
#include "vmmr0.h"

#define VINF_SUCCESS            0
#define VERR_INVALID_PARAMETER  (-2)
#define VERR_NO_MEMORY          (-8)
#define VERR_NOT_SUPPORTED      (-37)

#define RT_FAILURE(rc)          ((rc) < 0)
#define RT_ELEMENTS(a)          (sizeof(a) / sizeof((a)[0]))

/** The guest is missing, so a VM is little more than an address of its own. */
struct VM
{
    /** Set while somebody has it. */
    uint32_t fUsed;
    uint32_t uPadding;
    /** Fast calls with it. */
    uint64_t cCalls;
};

static struct VM g_aVMs[32];
static uint64_t  g_cVMs;

/** What the fast entry saw. */
static uint64_t          g_acCalls[3];
static volatile uint64_t g_uLastVM;
static volatile uint32_t g_idLastCpu;

int  VMMR0EntryInt(PVMR0 pVM, unsigned uOperation, void *pvArg);
void VMMR0EntryFast(PVMR0 pVM, VMCPUID idCpu, unsigned uOperation);
int  VMMR0EntryEx(PVMR0 pVM, VMCPUID idCpu, unsigned uOperation, PSUPVMMR0REQHDR pReqHdr, uint64_t u64Arg,
                  PSUPDRVSESSION pSession);

/** Does the last reference to a VM: its slot is free. */
static void vmmr0Destructor(void *pvObj, void *pvUser1, void *pvUser2)
{
    struct VM *pVM = (struct VM *)pvUser1;
    (void)pvObj;
    (void)pvUser2;
    __atomic_sub_fetch(&g_cVMs, 1, __ATOMIC_RELAXED);
    /* Release: whoever takes the slot next sees it as it was left. */
    __atomic_store_n(&pVM->fUsed, 0, __ATOMIC_RELEASE);
}

static int vmmr0CreateVM(PSUPDRVSESSION pSession, VMMR0VMREQ *pReq)
{
    for (size_t i = 0; i < RT_ELEMENTS(g_aVMs); i++)
    {
        struct VM *pVM      = &g_aVMs[i];
        uint32_t   fExpected = 0;
        /* Acquire: pairs with the release in vmmr0Destructor. */
        if (!__atomic_compare_exchange_n(&pVM->fUsed, &fExpected, 1, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
            continue;
        pVM->cCalls = 0;
        void *pvObj = SUPR0ObjRegister(pSession, SUPDRVOBJTYPE_VM, vmmr0Destructor, pVM, NULL);
        if (!pvObj)
        {
            __atomic_store_n(&pVM->fUsed, 0, __ATOMIC_RELEASE);
            return VERR_NO_MEMORY;
        }
        __atomic_add_fetch(&g_cVMs, 1, __ATOMIC_RELAXED);
        pReq->uVM     = (uintptr_t)pVM;
        pReq->uObject = (uintptr_t)pvObj;
        return VINF_SUCCESS;
    }
    return VERR_NO_MEMORY;
}

static int vmmr0Sleep(PSUPDRVSESSION pSession, uint64_t cNanoseconds)
{
    SUPSEMEVENT hEvent = NULL;
    int         rc     = SUPSemEventCreate(pSession, &hEvent);
    if (RT_FAILURE(rc))
        return rc;
    rc = SUPSemEventWaitNsRelIntr(pSession, hEvent, cNanoseconds);
    SUPSemEventClose(pSession, hEvent);
    return rc;
}

static int vmmr0Counts(VMMR0COUNTSREQ *pReq)
{
    for (size_t i = 0; i < RT_ELEMENTS(g_acCalls); i++)
        pReq->acCalls[i] = __atomic_load_n(&g_acCalls[i], __ATOMIC_RELAXED);
    pReq->uLastVM   = g_uLastVM;
    pReq->idLastCpu = g_idLastCpu;
    pReq->uPadding  = 0;
    pReq->cVMs      = __atomic_load_n(&g_cVMs, __ATOMIC_RELAXED);
    return VINF_SUCCESS;
}

static int vmmr0Invert(PSUPVMMR0REQHDR pReqHdr, uint64_t u64Arg)
{
    uint8_t *pb = (uint8_t *)pReqHdr;
    for (uint32_t off = sizeof(*pReqHdr); pReqHdr && off < pReqHdr->cbReq; off++)
        pb[off] ^= 0xff;
    return (int)u64Arg;
}

int VMMR0EntryInt(PVMR0 pVM, unsigned uOperation, void *pvArg)
{
    (void)pVM;
    (void)uOperation;
    (void)pvArg;
    return VERR_NOT_SUPPORTED;
}

void VMMR0EntryFast(PVMR0 pVM, VMCPUID idCpu, unsigned uOperation)
{
    if (uOperation < RT_ELEMENTS(g_acCalls))
        __atomic_add_fetch(&g_acCalls[uOperation], 1, __ATOMIC_RELAXED);
    g_uLastVM   = (uintptr_t)pVM;
    g_idLastCpu = idCpu;
}

int VMMR0EntryEx(PVMR0 pVM, VMCPUID idCpu, unsigned uOperation, PSUPVMMR0REQHDR pReqHdr, uint64_t u64Arg,
                 PSUPDRVSESSION pSession)
{
    uint32_t const cbReq = pReqHdr ? pReqHdr->cbReq : 0;
    (void)pVM;
    (void)idCpu;
    if (uOperation == VMMR0_OP_NOP)
        return VINF_SUCCESS;
    if (uOperation == VMMR0_OP_STATUS)
        return (int)u64Arg;
    if (uOperation == VMMR0_OP_SLEEP)
        return vmmr0Sleep(pSession, u64Arg);
    if (uOperation == VMMR0_OP_INVERT)
        return vmmr0Invert(pReqHdr, u64Arg);
    if (uOperation == VMMR0_OP_COUNTS)
        return cbReq == sizeof(VMMR0COUNTSREQ) ? vmmr0Counts((VMMR0COUNTSREQ *)pReqHdr) : VERR_INVALID_PARAMETER;
    if (uOperation != VMMR0_OP_CREATE_VM && uOperation != VMMR0_OP_DESTROY_VM)
        return VERR_NOT_SUPPORTED;
    if (cbReq != sizeof(VMMR0VMREQ))
        return VERR_INVALID_PARAMETER;
    if (uOperation == VMMR0_OP_CREATE_VM)
        return vmmr0CreateVM(pSession, (VMMR0VMREQ *)pReqHdr);
    return SUPR0ObjRelease((void *)(uintptr_t)((VMMR0VMREQ *)pReqHdr)->uObject, pSession);
}
