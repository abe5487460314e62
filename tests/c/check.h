/** @file
 * What the programs of this folder have in common: the header as ring 3 sees it,
 * the statuses that it has no names for, and checks that count.
 *
 * A program checks one group of the header, and ends with 0 if everything held.
 * Its first argument, where it needs one, is the folder of the ring-0 modules.
 */

#ifndef CHECK_H
#define CHECK_H

#define IN_RING3
#include <VBox/sup.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define VINF_SUCCESS                    0
#define VINF_OBJECT_DESTROYED           85
#define VERR_INVALID_PARAMETER          (-2)
#define VERR_INVALID_MAGIC              (-3)
#define VERR_INVALID_HANDLE             (-4)
#define VERR_LOCK_FAILED                (-5)
#define VERR_INVALID_POINTER            (-6)
#define VERR_EBADF                      (-9)
#define VERR_PERMISSION_DENIED          (-10)
#define VERR_WRONG_ORDER                (-22)
#define VERR_NOT_SUPPORTED              (-37)
#define VERR_ACCESS_DENIED              (-38)
#define VERR_INTERRUPTED                (-39)
#define VERR_TIMEOUT                    (-40)
#define VERR_OUT_OF_RANGE               (-54)
#define VERR_NOT_FOUND                  (-78)
#define VERR_PAGE_COUNT_OUT_OF_RANGE    (-84)
#define VERR_DANGLING_OBJECTS           (-86)
#define VERR_FILE_NOT_FOUND             (-102)
#define VERR_ALREADY_EXISTS             (-105)
#define VERR_FILENAME_TOO_LONG          (-120)
#define VERR_IS_A_DIRECTORY             (-127)
#define VERR_INTERNAL_ERROR             (-225)
#define VERR_SEM_DESTROYED              (-363)
#define VERR_BAD_EXE_FORMAT             (-608)
#define VERR_SYMBOL_NOT_FOUND           (-609)
#define VERR_SUPDRV_SERVICE_NOT_FOUND   (-3702)
#define VERR_SUPDRV_VTG_MAGIC           (-3704)
#define VERR_SUPDRV_VTG_ALREADY_REGISTERED (-3721)
#define VERR_SUPDRV_TRACER_NOT_OPENED   (-3726)
#define VERR_SUPDRV_TRACER_NOT_PRESENT  (-3727)

#define NIL_RTHCPHYS                    (~(RTHCPHYS)0)
#define PAGE                            4096

/** An address that no object can have. */
#define BAD(type)                       ((type)(uintptr_t)0x123)

static unsigned g_cChecks;
static unsigned g_cFailures;

/** Counts a check, and says which one failed. */
static inline void checkThat(int fHolds, const char *pszWhat, const char *pszFile, int iLine)
{
    __atomic_add_fetch(&g_cChecks, 1, __ATOMIC_RELAXED);
    if (!fHolds)
    {
        __atomic_add_fetch(&g_cFailures, 1, __ATOMIC_RELAXED);
        fprintf(stderr, "%s:%d: %s\n", pszFile, iLine, pszWhat);
    }
}

/** The same for a status. */
static inline void checkStatus(int rc, int rcExpected, const char *pszWhat, const char *pszFile, int iLine)
{
    checkThat(rc == rcExpected, pszWhat, pszFile, iLine);
    if (rc != rcExpected)
        fprintf(stderr, "    is %d, and should be %d\n", rc, rcExpected);
}

#define CHECK(expr)         checkThat(!!(expr), #expr, __FILE__, __LINE__)
#define CHECK_RC(call, rc)  checkStatus((call), (rc), #call, __FILE__, __LINE__)
/** Nothing that follows makes sense without it. */
#define REQUIRE_RC(call, rc) \
    do { \
        int rcIs = (call); \
        checkStatus(rcIs, (rc), #call, __FILE__, __LINE__); \
        if (rcIs != (rc)) exit(1); \
    } while (0)

/** Says how it went, and returns what main returns. */
static inline int checkEnd(void)
{
    printf("%u checks, %u failed\n", g_cChecks, g_cFailures);
    return g_cFailures != 0 || g_cChecks == 0;
}

/** CLOCK_MONOTONIC in nanoseconds. */
static inline uint64_t checkNow(void)
{
    struct timespec Now;
    clock_gettime(CLOCK_MONOTONIC, &Now);
    return (uint64_t)Now.tv_sec * 1000000000 + (uint64_t)Now.tv_nsec;
}

#endif
