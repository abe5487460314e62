/** @file
 * VMMR0.r0, with the one of modules/vmmr0: loading, calls, the VM of fast calls.
 */

#include "check.h"
#include "vmmr0.h"

static char g_szVmm[4096];

static void checkCalls(void)
{
    VMMR0COUNTSREQ Counts;
    VMMR0VMREQ     Vm;
    PVMR0          pVM;
    struct { SUPVMMR0REQHDR Hdr; unsigned char ab[8192]; } Big;
    static uint32_t const s_acbLimits[] = { sizeof(SUPVMMR0REQHDR), 4047, 4048, 512 * 1024 };

    CHECK_RC(SUPR3CallVMMR0(NULL, 0, VMMR0_OP_NOP, NULL), VINF_SUCCESS);
    CHECK_RC(SUPR3CallVMMR0(NULL, 0, VMMR0_OP_STATUS, (void *)(uintptr_t)99), 99);
    CHECK_RC(SUPR3CallVMMR0Ex(NULL, 0, VMMR0_OP_STATUS, (uint32_t)-99, NULL), -99);
    CHECK_RC(SUPR3CallVMMR0(NULL, 0, SUP_VMMR0_DO_NOP, NULL), VERR_INTERNAL_ERROR);
    CHECK_RC(SUPR3CallVMMR0Ex(NULL, 0, SUP_VMMR0_DO_RAW_RUN, 0, NULL), VERR_INTERNAL_ERROR);

    memset(&Counts, 0, sizeof(Counts));
    CHECK_RC(SUPR3CallVMMR0Ex(NULL, 0, VMMR0_OP_COUNTS, 0, &Counts.Hdr), VERR_INVALID_MAGIC);
    Counts.Hdr.u32Magic = SUPVMMR0REQHDR_MAGIC;
    for (uint32_t cb = 0; cb < sizeof(Counts.Hdr); cb++)
    {
        Counts.Hdr.cbReq = cb;
        CHECK_RC(SUPR3CallVMMR0Ex(NULL, 0, VMMR0_OP_COUNTS, 0, &Counts.Hdr), VERR_INVALID_PARAMETER);
    }
    /* The size comes first. */
    Counts.Hdr.u32Magic++;
    Counts.Hdr.cbReq = 512 * 1024 + 1;
    CHECK_RC(SUPR3CallVMMR0Ex(NULL, 0, VMMR0_OP_COUNTS, 0, &Counts.Hdr), VERR_OUT_OF_RANGE);
    Counts.Hdr.u32Magic--;
    CHECK_RC(SUPR3CallVMMR0Ex(NULL, 0, VMMR0_OP_COUNTS, 0, &Counts.Hdr), VERR_OUT_OF_RANGE);
    CHECK_RC(SUPR3CallVMMR0Ex(NULL, 0, VMMR0_OP_COUNTS, 0, BAD(PSUPVMMR0REQHDR)), VERR_INVALID_POINTER);
    Counts.Hdr.cbReq = sizeof(Counts);
    CHECK_RC(SUPR3CallVMMR0Ex(NULL, 0, VMMR0_OP_COUNTS, 0, &Counts.Hdr), VINF_SUCCESS);
    CHECK(Counts.cVMs == 0);

    /* A packet that is too large for the small request, and changed on a failure too. */
    memset(&Big, 0, sizeof(Big));
    Big.Hdr.u32Magic = SUPVMMR0REQHDR_MAGIC;
    Big.Hdr.cbReq    = sizeof(Big);
    CHECK_RC(SUPR3CallVMMR0Ex(NULL, 0, VMMR0_OP_INVERT, (uint32_t)-5, &Big.Hdr), -5);
    CHECK(Big.ab[0] == 0xff && Big.ab[sizeof(Big.ab) - 1] == 0xff);

    /* On either side of the step between the two requests, and the largest. */
    for (unsigned i = 0; i < sizeof(s_acbLimits) / sizeof(s_acbLimits[0]); i++)
    {
        uint32_t const cb  = s_acbLimits[i];
        unsigned char *pab = (unsigned char *)calloc(1, cb);
        if (!pab)
            abort();
        ((PSUPVMMR0REQHDR)pab)->u32Magic = SUPVMMR0REQHDR_MAGIC;
        ((PSUPVMMR0REQHDR)pab)->cbReq    = cb;
        CHECK_RC(SUPR3CallVMMR0Ex(NULL, 0, VMMR0_OP_INVERT, 7, (PSUPVMMR0REQHDR)pab), 7);
        CHECK(cb == sizeof(SUPVMMR0REQHDR) || pab[cb - 1] == 0xff);
        free(pab);
    }

    /* Without a VM there is no fast call. */
    CHECK_RC(SUPR3CallVMMR0Fast(NULL, SUP_VMMR0_DO_NOP, 0), VERR_INTERNAL_ERROR);
    CHECK_RC(SUPR3CallVMMR0Fast(NULL, 3, 0), VERR_INTERNAL_ERROR);
    memset(&Vm, 0, sizeof(Vm));
    Vm.Hdr.u32Magic = SUPVMMR0REQHDR_MAGIC;
    Vm.Hdr.cbReq    = sizeof(Vm);
    CHECK_RC(SUPR3SetVMForFastIOCtl((PVMR0)(uintptr_t)0x1000), VERR_ACCESS_DENIED);
    REQUIRE_RC(SUPR3CallVMMR0Ex(NULL, 0, VMMR0_OP_CREATE_VM, 0, &Vm.Hdr), VINF_SUCCESS);
    pVM = (PVMR0)(uintptr_t)Vm.uVM;
    CHECK_RC(SUPR3SetVMForFastIOCtl((PVMR0)(uintptr_t)0x1000), VERR_ACCESS_DENIED);
    CHECK_RC(SUPR3SetVMForFastIOCtl((PVMR0)(uintptr_t)(Vm.uVM + 1)), VERR_ACCESS_DENIED);
    CHECK_RC(SUPR3SetVMForFastIOCtl(pVM), VINF_SUCCESS);
    CHECK_RC(SUPR3SetVMForFastIOCtl(pVM), VERR_ALREADY_EXISTS);
    for (unsigned i = 0; i < 100; i++)
        CHECK_RC(SUPR3CallVMMR0Fast(NULL, i % 3, i), VINF_SUCCESS);
    CHECK_RC(SUPR3CallVMMR0Ex(NULL, 0, VMMR0_OP_COUNTS, 0, &Counts.Hdr), VINF_SUCCESS);
    CHECK(Counts.acCalls[0] + Counts.acCalls[1] + Counts.acCalls[2] == 100);
    CHECK(Counts.uLastVM == Vm.uVM && Counts.idLastCpu == 99 && Counts.cVMs == 1);
    CHECK_RC(SUPR3SetVMForFastIOCtl((PVMR0)NIL_RTR0PTR), VINF_SUCCESS);
    CHECK_RC(SUPR3CallVMMR0Fast(NULL, SUP_VMMR0_DO_NOP, 0), VERR_INTERNAL_ERROR);
    /* The VM's destructor is the module's, which therefore stays. */
    CHECK_RC(SUPR3UnloadVMM(), VERR_DANGLING_OBJECTS);
    CHECK_RC(SUPR3CallVMMR0(NULL, 0, VMMR0_OP_NOP, NULL), VINF_SUCCESS);
    CHECK_RC(SUPR3CallVMMR0Ex(NULL, 0, VMMR0_OP_DESTROY_VM, 0, &Vm.Hdr), VINF_OBJECT_DESTROYED);
}

int main(int cArgs, char **papszArgs)
{
    void *pvBase;

    snprintf(g_szVmm, sizeof(g_szVmm), "%s/vmmr0.r0", cArgs > 1 ? papszArgs[1] : ".");
    REQUIRE_RC(SUPR3Init(NULL), VINF_SUCCESS);
    CHECK_RC(SUPR3CallVMMR0(NULL, 0, VMMR0_OP_NOP, NULL), VERR_WRONG_ORDER);
    CHECK_RC(SUPR3LoadVMM(NULL), VERR_INVALID_PARAMETER);
    CHECK_RC(SUPR3LoadVMM(""), VERR_INVALID_PARAMETER);
    CHECK_RC(SUPR3SetVMForFastIOCtl((PVMR0)(uintptr_t)0x1000), VERR_WRONG_ORDER);
    CHECK_RC(SUPR3SetVMForFastIOCtl((PVMR0)(uintptr_t)0xfff), VERR_INVALID_PARAMETER);
    CHECK_RC(SUPR3SetVMForFastIOCtl((PVMR0)~(uintptr_t)0xfff), VERR_INVALID_PARAMETER);
    CHECK_RC(SUPR3LoadVMM("/no/such/file"), VERR_FILE_NOT_FOUND);
    CHECK_RC(SUPR3UnloadVMM(), VERR_INVALID_HANDLE);
    REQUIRE_RC(SUPR3LoadVMM(g_szVmm), VINF_SUCCESS);
    checkCalls();

    /* Each load needs its own end, whichever of the two ways it goes. */
    CHECK_RC(SUPR3LoadModule(g_szVmm, "VMMR0.r0", &pvBase, NULL), VINF_SUCCESS);
    CHECK_RC(SUPR3LoadVMM(g_szVmm), VINF_SUCCESS);
    CHECK_RC(SUPR3FreeModule(pvBase), VINF_SUCCESS);
    CHECK_RC(SUPR3UnloadVMM(), VINF_SUCCESS);
    CHECK_RC(SUPR3CallVMMR0(NULL, 0, VMMR0_OP_NOP, NULL), VINF_SUCCESS);
    CHECK_RC(SUPR3UnloadVMM(), VINF_SUCCESS);
    CHECK_RC(SUPR3UnloadVMM(), VERR_INVALID_HANDLE);
    CHECK_RC(SUPR3CallVMMR0(NULL, 0, VMMR0_OP_NOP, NULL), VERR_WRONG_ORDER);
    CHECK_RC(SUPR3Term(0), VINF_SUCCESS);
    return checkEnd();
}
