/** @file
 * A module that asks for what ring 0 does not have; the command line chooses what.
 */

#define IN_RING0
#include <VBox/sup.h>

int refusedServiceReqHandler(PSUPDRVSESSION pSession, uint32_t uOperation, uint64_t u64Arg, PSUPR0SERVICEREQHDR pReqHdr);

#ifdef THREAD_LOCAL
__thread int g_iCalls;
# define ANSWER()       (++g_iCalls)
#elif defined(MISSING_IMPORT)
int SUPR0NobodyHasThis(void);
# define ANSWER()       SUPR0NobodyHasThis()
#elif defined(WEAK_IMPORT)
int SUPR0NobodyHasThis(void) __attribute__((weak));
# define ANSWER()       (SUPR0NobodyHasThis ? SUPR0NobodyHasThis() : 42)
#else
# define ANSWER()       0
#endif

#ifdef CONSTRUCTOR
static int g_cRuns;
static void __attribute__((constructor)) refusedConstructor(void)
{
    g_cRuns++;
}
#endif

int refusedServiceReqHandler(PSUPDRVSESSION pSession, uint32_t uOperation, uint64_t u64Arg, PSUPR0SERVICEREQHDR pReqHdr)
{
    (void)pSession;
    (void)uOperation;
    (void)u64Arg;
    (void)pReqHdr;
    return ANSWER();
}
