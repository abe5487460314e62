/** @file
 * Calls in many threads, while others open and close the library under them.
 */

#include "check.h"
#include <pthread.h>
#include <signal.h>

enum { THREADS = 8 };

static int volatile g_fStop;
static SUPSEMEVENT  g_hEvent;

/** A check in a loop that runs millions of times counts only if it fails. */
#define EXPECT(expr)    do { if (!(expr)) CHECK(expr); } while (0)

/** Whatever there is just now: a call succeeds, or finds nothing open, or finds no such thing. */
static void *callThread(void *pvSeed)
{
    unsigned uSeed = (unsigned)(uintptr_t)pvSeed;
    while (!g_fStop)
    {
        SUPSEMEVENT hEvent;
        void       *pv;
        RTHCPHYS    Phys;
        int         rc = SUPSemEventCreate(NULL, &hEvent);
        EXPECT(rc == VINF_SUCCESS || rc == VERR_INVALID_HANDLE);
        if (rc == VINF_SUCCESS)
        {
            rc = SUPSemEventSignal(NULL, hEvent);
            EXPECT(rc == VINF_SUCCESS || rc == VERR_INVALID_HANDLE);
            rc = SUPSemEventWaitNoResume(NULL, hEvent, 1);
            EXPECT(rc == VINF_SUCCESS || rc == VERR_INVALID_HANDLE || rc == VERR_TIMEOUT || rc == VERR_SEM_DESTROYED);
            SUPSemEventClose(NULL, hEvent);
        }
        if (rand_r(&uSeed) % 4 == 0 && SUPR3PageAllocEx(2, 0, &pv, NULL, NULL) == VINF_SUCCESS)
            SUPR3PageFreeEx(pv, 2);
        rc = SUPR3GipGetPhys(&Phys);
        EXPECT(rc == VINF_SUCCESS || rc == VERR_WRONG_ORDER);
    }
    return NULL;
}

static void *openThread(void *pvRounds)
{
    for (uintptr_t i = 0; i < (uintptr_t)pvRounds; i++)
    {
        int rc = SUPR3Init(NULL);
        CHECK(rc == VINF_SUCCESS);
        if (rc == VINF_SUCCESS)
            CHECK_RC(SUPR3Term(0), VINF_SUCCESS);
    }
    return NULL;
}

static void *waitThread(void *pvResult)
{
    *(int *)pvResult = SUPSemEventWaitNoResume(NULL, g_hEvent, 400);
    return NULL;
}

/** The end of the library does not wait for a sleeper, whose session stays until it wakes. */
static void checkSleeper(void)
{
    pthread_t       Thread;
    int             rc    = 1;
    struct timespec Pause = { 0, 50000000 };
    uint64_t        nsBefore;

    REQUIRE_RC(SUPR3Init(NULL), VINF_SUCCESS);
    REQUIRE_RC(SUPSemEventCreate(NULL, &g_hEvent), VINF_SUCCESS);
    REQUIRE_RC(pthread_create(&Thread, NULL, waitThread, &rc), 0);
    nanosleep(&Pause, NULL);
    nsBefore = checkNow();
    CHECK_RC(SUPR3Term(0), VINF_SUCCESS);
    CHECK(checkNow() - nsBefore < 250000000);
    CHECK_RC(SUPSemEventSignal(NULL, g_hEvent), VERR_INVALID_HANDLE);
    pthread_join(Thread, NULL);
    CHECK_RC(rc, VERR_TIMEOUT);
}

static void onSignal(int iSignal)
{
    (void)iSignal;
    SUPSemEventSignal(NULL, g_hEvent);
}

/** A handler may signal in the middle of another call. */
static void checkHandler(void)
{
    REQUIRE_RC(SUPR3Init(NULL), VINF_SUCCESS);
    REQUIRE_RC(SUPSemEventCreate(NULL, &g_hEvent), VINF_SUCCESS);
    signal(SIGUSR1, onSignal);
    for (unsigned i = 0; i < 1000; i++)
    {
        raise(SIGUSR1);
        CHECK_RC(SUPSemEventWaitNoResume(NULL, g_hEvent, 0), VINF_SUCCESS);
    }
    CHECK_RC(SUPSemEventClose(NULL, g_hEvent), VINF_OBJECT_DESTROYED);
    CHECK_RC(SUPR3Term(0), VINF_SUCCESS);
}

int main(void)
{
    pthread_t aCallers[THREADS], aOpeners[2];
    uintptr_t cRounds = getenv("CHECK_FEW") ? 3 : 300;

    for (uintptr_t i = 0; i < THREADS; i++)
        REQUIRE_RC(pthread_create(&aCallers[i], NULL, callThread, (void *)i), 0);
    for (unsigned i = 0; i < 2; i++)
        REQUIRE_RC(pthread_create(&aOpeners[i], NULL, openThread, (void *)cRounds), 0);
    for (unsigned i = 0; i < 2; i++)
        pthread_join(aOpeners[i], NULL);
    g_fStop = 1;
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(aCallers[i], NULL);
    CHECK_RC(SUPR3Term(0), VERR_WRONG_ORDER);
    checkSleeper();
    checkHandler();
    return checkEnd();
}
