/** @file
 * A module whose probes are made by supdrv/probe.h: its service fires them.
 */

#define IN_RING0
#include <VBox/sup.h>
#include <supdrv/probe.h>

#define VINF_SUCCESS            0
#define VERR_INVALID_PARAMETER  (-2)

/** Fires both probes; answers how many arguments were evaluated. */
#define PROBES_OP_FIRE          1

#define MADE_PROBES(PROBE) \
    PROBE(made, served, uint32_t, uint64_t, ptr, int8_t, uint16_t, int64_t, uintptr_t) \
    PROBE(made, all__done)

SUPPROBE_DECLARE(made, MADE_PROBES)
SUPPROBE_DEFINE(made, MADE_PROBES);

int probesServiceReqHandler(PSUPDRVSESSION pSession, uint32_t uOperation, uint64_t u64Arg, PSUPR0SERVICEREQHDR pReqHdr);
int ModuleInit(void *hMod);

int probesServiceReqHandler(PSUPDRVSESSION pSession, uint32_t uOperation, uint64_t u64Arg, PSUPR0SERVICEREQHDR pReqHdr)
{
    int cEvaluated = 0;
    (void)pReqHdr;
    if (uOperation != PROBES_OP_FIRE)
        return VERR_INVALID_PARAMETER;
    SUPPROBE(made, served, uOperation, (cEvaluated++, u64Arg), pSession, (int8_t)-4, (uint16_t)5, INT64_C(-6), (cEvaluated++, (uintptr_t)7));
    SUPPROBE(made, all__done);
    return VINF_SUCCESS + cEvaluated;
}

int ModuleInit(void *hMod)
{
    return SUPR0TracerRegisterModule(hMod, SUPPROBE_HEADER(made));
}
