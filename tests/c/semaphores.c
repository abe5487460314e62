/** @file
 * Both event semaphores: exact expectations, bad handles, signals of POSIX, the end of a process.
 */

/* For pthread_timedjoin_np. */
#define _GNU_SOURCE
#include "check.h"
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#define EVENT(n)    ((SUPSEMEVENT)(uintptr_t)(n))
#define MULTI(n)    ((SUPSEMEVENTMULTI)(uintptr_t)(n))

static PSUPDRVSESSION g_pSession;
/** Set by a thread that is about to wait. */
static int            g_fWaits;

static void checkEvent(void)
{
    SUPSEMEVENT hEvent = NIL_SUPSEMEVENT;
    uint64_t    nsBefore;

    CHECK_RC(SUPSemEventCreate(g_pSession, NULL), VERR_INVALID_POINTER);
    CHECK_RC(SUPSemEventCreate(g_pSession, BAD(SUPSEMEVENT *)), VERR_INVALID_POINTER);
    REQUIRE_RC(SUPSemEventCreate(g_pSession, &hEvent), VINF_SUCCESS);
    CHECK(hEvent != NIL_SUPSEMEVENT && (uintptr_t)hEvent <= 32768);

    CHECK_RC(SUPSemEventWaitNoResume(g_pSession, hEvent, 0), VERR_TIMEOUT);
    nsBefore = checkNow();
    CHECK_RC(SUPSemEventWaitNoResume(g_pSession, hEvent, 20), VERR_TIMEOUT);
    CHECK(checkNow() - nsBefore >= 20000000);
    CHECK_RC(SUPSemEventSignal(g_pSession, hEvent), VINF_SUCCESS);
    CHECK_RC(SUPSemEventWaitNoResume(g_pSession, hEvent, 0), VINF_SUCCESS);
    CHECK_RC(SUPSemEventWaitNoResume(g_pSession, hEvent, 0), VERR_TIMEOUT);

    /* Signals do not add up, and each kind of wait takes one. */
    CHECK_RC(SUPSemEventSignal(g_pSession, hEvent), VINF_SUCCESS);
    CHECK_RC(SUPSemEventSignal(g_pSession, hEvent), VINF_SUCCESS);
    CHECK_RC(SUPSemEventWaitNsRelIntr(g_pSession, hEvent, UINT64_MAX), VINF_SUCCESS);
    CHECK_RC(SUPSemEventWaitNsRelIntr(g_pSession, hEvent, 0), VERR_TIMEOUT);
    CHECK_RC(SUPSemEventSignal(g_pSession, hEvent), VINF_SUCCESS);
    CHECK_RC(SUPSemEventWaitNsAbsIntr(g_pSession, hEvent, 0), VINF_SUCCESS);
    CHECK_RC(SUPSemEventWaitNsAbsIntr(g_pSession, hEvent, 0), VERR_TIMEOUT);
    nsBefore = checkNow();
    CHECK_RC(SUPSemEventWaitNsRelIntr(g_pSession, hEvent, 3000000), VERR_TIMEOUT);
    CHECK(checkNow() - nsBefore >= 3000000);
    nsBefore = checkNow();
    CHECK_RC(SUPSemEventWaitNsAbsIntr(g_pSession, hEvent, nsBefore + 3000000), VERR_TIMEOUT);
    CHECK(checkNow() - nsBefore >= 3000000);
    CHECK(SUPSemEventGetResolution(g_pSession) > 0);

    /* The other kind, a session that nobody knows, and none at all. */
    CHECK_RC(SUPSemEventMultiSignal(g_pSession, (SUPSEMEVENTMULTI)hEvent), VERR_INVALID_HANDLE);
    CHECK_RC(SUPSemEventMultiClose(g_pSession, (SUPSEMEVENTMULTI)hEvent), VERR_INVALID_HANDLE);
    CHECK_RC(SUPSemEventSignal(BAD(PSUPDRVSESSION), hEvent), VINF_SUCCESS);
    CHECK_RC(SUPSemEventWaitNoResume(NULL, hEvent, UINT32_MAX), VINF_SUCCESS);

    CHECK_RC(SUPSemEventClose(g_pSession, hEvent), VINF_OBJECT_DESTROYED);
    CHECK_RC(SUPSemEventClose(g_pSession, hEvent), VERR_INVALID_HANDLE);
    CHECK_RC(SUPSemEventSignal(g_pSession, hEvent), VERR_INVALID_HANDLE);
    CHECK_RC(SUPSemEventWaitNoResume(g_pSession, hEvent, 0), VERR_INVALID_HANDLE);
    CHECK_RC(SUPSemEventWaitNsRelIntr(g_pSession, hEvent, 1000), VERR_INVALID_HANDLE);
}

static void checkMulti(void)
{
    SUPSEMEVENTMULTI hMulti = NIL_SUPSEMEVENTMULTI;

    CHECK_RC(SUPSemEventMultiCreate(g_pSession, NULL), VERR_INVALID_POINTER);
    REQUIRE_RC(SUPSemEventMultiCreate(g_pSession, &hMulti), VINF_SUCCESS);
    CHECK_RC(SUPSemEventMultiWaitNoResume(g_pSession, hMulti, 0), VERR_TIMEOUT);
    CHECK_RC(SUPSemEventMultiWaitNoResume(g_pSession, hMulti, 5), VERR_TIMEOUT);
    CHECK_RC(SUPSemEventMultiSignal(g_pSession, hMulti), VINF_SUCCESS);
    CHECK_RC(SUPSemEventMultiWaitNoResume(g_pSession, hMulti, 0), VINF_SUCCESS);
    CHECK_RC(SUPSemEventMultiWaitNsRelIntr(g_pSession, hMulti, UINT64_MAX), VINF_SUCCESS);
    CHECK_RC(SUPSemEventMultiWaitNsAbsIntr(g_pSession, hMulti, 0), VINF_SUCCESS);
    CHECK_RC(SUPSemEventMultiReset(g_pSession, hMulti), VINF_SUCCESS);
    CHECK_RC(SUPSemEventMultiReset(g_pSession, hMulti), VINF_SUCCESS);
    CHECK_RC(SUPSemEventMultiWaitNoResume(g_pSession, hMulti, 0), VERR_TIMEOUT);
    CHECK_RC(SUPSemEventMultiWaitNsRelIntr(g_pSession, hMulti, 1000000), VERR_TIMEOUT);
    CHECK_RC(SUPSemEventMultiWaitNsAbsIntr(g_pSession, hMulti, checkNow()), VERR_TIMEOUT);
    CHECK(SUPSemEventMultiGetResolution(g_pSession) == SUPSemEventGetResolution(g_pSession));
    CHECK_RC(SUPSemEventSignal(g_pSession, (SUPSEMEVENT)hMulti), VERR_INVALID_HANDLE);
    CHECK_RC(SUPSemEventMultiClose(g_pSession, hMulti), VINF_OBJECT_DESTROYED);
    CHECK_RC(SUPSemEventMultiClose(g_pSession, hMulti), VERR_INVALID_HANDLE);
    CHECK_RC(SUPSemEventMultiReset(g_pSession, hMulti), VERR_INVALID_HANDLE);
}

/** Numbers that no semaphore has: none, unused, beyond the table, wider than 32 bits. */
static void checkBadHandles(void)
{
    static const uintptr_t s_au[] = { 0, 20000, 32768, 32769, UINT32_MAX, (uintptr_t)1 << 32, UINTPTR_MAX };
    for (size_t i = 0; i < sizeof(s_au) / sizeof(s_au[0]); i++)
    {
        uintptr_t u = s_au[i];
        CHECK_RC(SUPSemEventSignal(g_pSession, EVENT(u)), VERR_INVALID_HANDLE);
        CHECK_RC(SUPSemEventWaitNoResume(g_pSession, EVENT(u), 0), VERR_INVALID_HANDLE);
        CHECK_RC(SUPSemEventWaitNsAbsIntr(g_pSession, EVENT(u), 0), VERR_INVALID_HANDLE);
        CHECK_RC(SUPSemEventWaitNsRelIntr(g_pSession, EVENT(u), 0), VERR_INVALID_HANDLE);
        CHECK_RC(SUPSemEventClose(g_pSession, EVENT(u)), u ? VERR_INVALID_HANDLE : VINF_SUCCESS);
        CHECK_RC(SUPSemEventMultiSignal(g_pSession, MULTI(u)), VERR_INVALID_HANDLE);
        CHECK_RC(SUPSemEventMultiReset(g_pSession, MULTI(u)), VERR_INVALID_HANDLE);
        CHECK_RC(SUPSemEventMultiWaitNoResume(g_pSession, MULTI(u), 0), VERR_INVALID_HANDLE);
        CHECK_RC(SUPSemEventMultiClose(g_pSession, MULTI(u)), u ? VERR_INVALID_HANDLE : VINF_SUCCESS);
    }
}

static void *waitThread(void *pvEvent)
{
    __atomic_store_n(&g_fWaits, 1, __ATOMIC_RELEASE);
    return (void *)(intptr_t)SUPSemEventWaitNoResume(g_pSession, *(SUPSEMEVENT *)pvEvent, 120000);
}

static void onSignal(int iSignal)
{
    (void)iSignal;
}

/** Starts a thread that waits, and gives it the time to, or most likely has. */
static pthread_t startWaiter(SUPSEMEVENT *phEvent, long cMillies)
{
    pthread_t       Thread;
    struct timespec Pause = { cMillies / 1000, cMillies % 1000 * 1000000 };
    __atomic_store_n(&g_fWaits, 0, __ATOMIC_RELAXED);
    REQUIRE_RC(pthread_create(&Thread, NULL, waitThread, phEvent), 0);
    while (!__atomic_load_n(&g_fWaits, __ATOMIC_ACQUIRE))
        nanosleep(&Pause, NULL);
    nanosleep(&Pause, NULL);
    return Thread;
}

/** Waits for the end of a thread for so long; 0 if it came. */
static int joinWithin(pthread_t Thread, long cMillies, void **ppvResult)
{
    struct timespec End;
    clock_gettime(CLOCK_REALTIME, &End);
    End.tv_nsec += cMillies * 1000000;
    End.tv_sec  += End.tv_nsec / 1000000000;
    End.tv_nsec %= 1000000000;
    return pthread_timedjoin_np(Thread, ppvResult, &End);
}

/** What ends the wait of another thread: a POSIX signal, a signal, a close. */
static void checkWaiter(void)
{
    SUPSEMEVENT      hEvent;
    pthread_t        Thread;
    void            *pvResult;
    struct sigaction Action;
    long             cMillies;
    int              rc;

    memset(&Action, 0, sizeof(Action));
    Action.sa_handler = onSignal;
    Action.sa_flags   = SA_RESTART;
    sigaction(SIGUSR1, &Action, NULL);
    REQUIRE_RC(SUPSemEventCreate(g_pSession, &hEvent), VINF_SUCCESS);

    Thread = startWaiter(&hEvent, 100);
    /* One that comes before the wait does not interrupt it. */
    do
        pthread_kill(Thread, SIGUSR1);
    while (joinWithin(Thread, 100, &pvResult) != 0);
    CHECK_RC((int)(intptr_t)pvResult, VERR_INTERRUPTED);

    Thread = startWaiter(&hEvent, 100);
    CHECK_RC(SUPSemEventSignal(g_pSession, hEvent), VINF_SUCCESS);
    pthread_join(Thread, &pvResult);
    CHECK_RC((int)(intptr_t)pvResult, VINF_SUCCESS);

    /* A waiter keeps the semaphore; one that is too late finds none, and the next one gets more time. */
    for (cMillies = 100; cMillies < 60000; cMillies *= 2)
    {
        Thread = startWaiter(&hEvent, cMillies);
        rc = SUPSemEventClose(g_pSession, hEvent);
        pthread_join(Thread, &pvResult);
        if (rc == VINF_SUCCESS)
            break;
        CHECK_RC(rc, VINF_OBJECT_DESTROYED);
        CHECK_RC((int)(intptr_t)pvResult, VERR_INVALID_HANDLE);
        REQUIRE_RC(SUPSemEventCreate(g_pSession, &hEvent), VINF_SUCCESS);
    }
    CHECK_RC(rc, VINF_SUCCESS);
    CHECK_RC((int)(intptr_t)pvResult, VERR_SEM_DESTROYED);
}

static void *sleepThread(void *pvKind)
{
    SUPSEMEVENT      hEvent;
    SUPSEMEVENTMULTI hMulti;
    switch ((uintptr_t)pvKind % 4)
    {
        case 0: SUPSemEventCreate(NULL, &hEvent); SUPSemEventWaitNoResume(NULL, hEvent, 120000); break;
        case 1: SUPSemEventMultiCreate(NULL, &hMulti); SUPSemEventMultiWaitNoResume(NULL, hMulti, 120000); break;
        case 2: SUPSemEventCreate(NULL, &hEvent); SUPSemEventWaitNoResume(NULL, hEvent, UINT32_MAX); break;
        default: SUPSemEventMultiCreate(NULL, &hMulti); SUPSemEventMultiWaitNoResume(NULL, hMulti, UINT32_MAX); break;
    }
    return NULL;
}

/** The child: ends while twenty threads wait. */
static int leaveWaiters(void)
{
    struct timespec Pause = { 0, 20000000 };
    if (SUPR3Init(NULL) != VINF_SUCCESS)
        return 1;
    for (uintptr_t i = 0; i < 20; i++)
    {
        pthread_t Thread;
        if (pthread_create(&Thread, NULL, sleepThread, (void *)i) != 0)
            return 1;
    }
    nanosleep(&Pause, NULL);
    return 0;
}

/** A process that ends with threads in waits neither hangs nor stays. */
static void checkZombies(const char *pszSelf, int cRounds)
{
    fflush(NULL);
    for (int i = 0; i < cRounds; i++)
    {
        int   iStatus = -1;
        pid_t idChild = fork();
        if (idChild == 0)
        {
            execl(pszSelf, pszSelf, "leave", (char *)NULL);
            _exit(127);
        }
        CHECK(idChild > 0 && waitpid(idChild, &iStatus, 0) == idChild);
        CHECK_RC(iStatus, 0);
    }
}

int main(int cArgs, char **papszArgs)
{
    if (cArgs > 1 && strcmp(papszArgs[1], "leave") == 0)
        return leaveWaiters();

    REQUIRE_RC(SUPR3Init(&g_pSession), VINF_SUCCESS);
    checkEvent();
    checkMulti();
    checkBadHandles();
    checkWaiter();
    /* Under valgrind a child takes a second. */
    checkZombies(papszArgs[0], getenv("CHECK_FEW") ? 2 : 32);
    CHECK_RC(SUPR3Term(0), VINF_SUCCESS);
    return checkEnd();
}
