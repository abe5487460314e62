/** @file
 * Pages of the process, pages of both rings, low and contiguous memory.
 */

#include "check.h"
#include <sys/mman.h>

#define READ        1
#define WRITE       2
#define EXEC        4

/** Whether the pages are there and hold what is written. */
static void fill(void *pv, size_t cPages, int bFill)
{
    memset(pv, bFill, cPages * PAGE);
    CHECK(((unsigned char *)pv)[0] == bFill && ((unsigned char *)pv)[cPages * PAGE - 1] == bFill);
}

static int isZero(const void *pv, size_t cb)
{
    const char *pch = (const char *)pv;
    while (cb-- > 0)
        if (*pch++)
            return 0;
    return 1;
}

static void checkPages(void)
{
    void *pv = &pv;
    static const size_t s_acPages[] = { 1, 2, 1023 };

    CHECK_RC(SUPR3PageAlloc(1, NULL), VERR_INVALID_POINTER);
    CHECK_RC(SUPR3PageAlloc(0, &pv), VERR_PAGE_COUNT_OUT_OF_RANGE);
    CHECK(pv == NULL);
    CHECK_RC(SUPR3PageFree(NULL, 1), VERR_INVALID_POINTER);
    for (size_t i = 0; i < sizeof(s_acPages) / sizeof(s_acPages[0]); i++)
    {
        size_t cPages = s_acPages[i];
        REQUIRE_RC(SUPR3PageAlloc(cPages, &pv), VINF_SUCCESS);
        CHECK(((uintptr_t)pv & (PAGE - 1)) == 0 && isZero(pv, cPages * PAGE));
        fill(pv, cPages, 0x5a);
        CHECK_RC(SUPR3PageFree(pv, 0), VERR_PAGE_COUNT_OUT_OF_RANGE);
        CHECK_RC(SUPR3PageFree(pv, cPages), VINF_SUCCESS);
    }
}

/** A free takes what was given out and nothing else: not twice, not more, not what is another's. */
static void checkPageFrees(void)
{
    char *pch;
    void *pvOther = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    REQUIRE_RC(SUPR3PageAlloc(4, (void **)&pch), VINF_SUCCESS);
    CHECK_RC(SUPR3PageFree(pch, 5), VINF_SUCCESS);
    CHECK_RC(SUPR3PageFree(pch + 1, 1), VINF_SUCCESS);
    CHECK_RC(SUPR3PageFree(pvOther, 1), VINF_SUCCESS);
    fill(pch, 4, 1);
    fill(pvOther, 1, 2);
    CHECK_RC(SUPR3PageFree(pch + PAGE, 2), VINF_SUCCESS);
    fill(pch, 1, 3);
    fill(pch + 3 * PAGE, 1, 4);
    CHECK_RC(SUPR3PageFree(pch + 3 * PAGE, 1), VINF_SUCCESS);
    CHECK_RC(SUPR3PageFree(pch, 1), VINF_SUCCESS);
    CHECK_RC(SUPR3PageFree(pch, 1), VINF_SUCCESS);
    munmap(pvOther, PAGE);
}

static void checkPagesEx(void)
{
    void   *pv = &pv;
    RTR0PTR R0 = BAD(RTR0PTR);
    RTR0PTR R0Again;
    SUPPAGE aPages[16];

    CHECK_RC(SUPR3PageAllocEx(1, 0, NULL, NULL, NULL), VERR_INVALID_POINTER);
    CHECK_RC(SUPR3PageAllocEx(1, 0, &pv, BAD(PRTR0PTR), NULL), VERR_INVALID_POINTER);
    CHECK(pv == NULL);
    CHECK_RC(SUPR3PageAllocEx(1, 0, &pv, &R0, BAD(PSUPPAGE)), VERR_INVALID_POINTER);
    CHECK(R0 == NIL_RTR0PTR);
    CHECK_RC(SUPR3PageAllocEx(0, 0, &pv, NULL, NULL), VERR_PAGE_COUNT_OUT_OF_RANGE);
    CHECK_RC(SUPR3PageAllocEx(65537, 0, &pv, NULL, NULL), VERR_PAGE_COUNT_OUT_OF_RANGE);
    CHECK_RC(SUPR3PageAllocEx((size_t)1 << 32 | 1, 0, &pv, NULL, NULL), VERR_PAGE_COUNT_OUT_OF_RANGE);
    CHECK_RC(SUPR3PageAllocEx(1, 1, &pv, NULL, NULL), VERR_INVALID_PARAMETER);

    REQUIRE_RC(SUPR3PageAllocEx(16, 0, &pv, &R0, aPages), VINF_SUCCESS);
    CHECK(R0 != NIL_RTR0PTR && ((uintptr_t)pv & (PAGE - 1)) == 0);
    CHECK(isZero(pv, 16 * PAGE));
    for (unsigned i = 0; i < 16; i++)
        CHECK((aPages[i].Phys & (PAGE - 1)) == 0 && aPages[i].Phys != NIL_RTHCPHYS && aPages[i].uReserved == 0);
    fill(pv, 16, 0xa5);

    CHECK_RC(SUPR3PageMapKernel(NULL, 0, PAGE, 0, &R0Again), VERR_INVALID_POINTER);
    CHECK_RC(SUPR3PageMapKernel(pv, 0, PAGE, 0, NULL), VERR_INVALID_POINTER);
    CHECK_RC(SUPR3PageMapKernel(pv, 0, PAGE, 1, &R0Again), VERR_INVALID_PARAMETER);
    CHECK(R0Again == NIL_RTR0PTR);
    CHECK_RC(SUPR3PageMapKernel(pv, 1, PAGE, 0, &R0Again), VERR_INVALID_PARAMETER);
    CHECK_RC(SUPR3PageMapKernel(pv, 15 * PAGE, 2 * PAGE, 0, &R0Again), VERR_INVALID_PARAMETER);
    CHECK_RC(SUPR3PageMapKernel(pv, 0, 16 * PAGE, 0, &R0Again), VINF_SUCCESS);
    CHECK(R0Again != NIL_RTR0PTR && R0Again != R0);

    CHECK_RC(SUPR3PageProtect(NULL, R0, 0, PAGE, READ), VERR_INVALID_POINTER);
    CHECK_RC(SUPR3PageProtect(pv, NIL_RTR0PTR, 0, PAGE, 8), VERR_INVALID_PARAMETER);
    CHECK_RC(SUPR3PageProtect(pv, NIL_RTR0PTR, 1, PAGE, READ), VERR_INVALID_PARAMETER);
    CHECK_RC(SUPR3PageProtect((char *)pv + PAGE, NIL_RTR0PTR, 0, PAGE, READ), VERR_INVALID_PARAMETER);
    CHECK_RC(SUPR3PageProtect(pv, NIL_RTR0PTR, 0, PAGE, READ | EXEC), VERR_NOT_SUPPORTED);
    CHECK_RC(SUPR3PageProtect(pv, NIL_RTR0PTR, PAGE, PAGE, READ), VINF_SUCCESS);
    CHECK(((unsigned char *)pv)[PAGE] == 0xa5);
    CHECK_RC(SUPR3PageProtect(pv, R0, PAGE, PAGE, READ | WRITE), VINF_SUCCESS);
    fill(pv, 16, 0x77);

    CHECK_RC(SUPR3LowFree(pv, 16), VERR_INVALID_PARAMETER);
    CHECK_RC(SUPR3ContFree(pv, 16), VERR_INVALID_PARAMETER);
    CHECK_RC(SUPR3PageFreeEx(NULL, 16), VERR_INVALID_POINTER);
    CHECK_RC(SUPR3PageFreeEx(pv, 0), VERR_PAGE_COUNT_OUT_OF_RANGE);
    CHECK_RC(SUPR3PageFreeEx((char *)pv + PAGE, 15), VERR_INVALID_PARAMETER);
    CHECK_RC(SUPR3PageFreeEx(pv, 16), VINF_SUCCESS);
    CHECK_RC(SUPR3PageFreeEx(pv, 16), VERR_INVALID_PARAMETER);

    REQUIRE_RC(SUPR3PageAllocEx(3, 0, &pv, NULL, NULL), VINF_SUCCESS);
    fill(pv, 3, 9);
    /* The number of pages is not compared with the block's. */
    CHECK_RC(SUPR3PageFreeEx(pv, 1), VINF_SUCCESS);
}

static void checkLow(void)
{
    void   *pv = &pv;
    RTR0PTR R0;
    SUPPAGE aPages[128];

    CHECK_RC(SUPR3LowAlloc(1, NULL, NULL, aPages), VERR_INVALID_POINTER);
    CHECK_RC(SUPR3LowAlloc(1, &pv, NULL, NULL), VERR_INVALID_POINTER);
    CHECK(pv == NULL);
    CHECK_RC(SUPR3LowAlloc(0, &pv, NULL, aPages), VERR_PAGE_COUNT_OUT_OF_RANGE);
    CHECK_RC(SUPR3LowAlloc(256, &pv, NULL, aPages), VERR_PAGE_COUNT_OUT_OF_RANGE);
    for (size_t cPages = 1; cPages <= 128; cPages += cPages < 8 ? 1 : 40)
    {
        REQUIRE_RC(SUPR3LowAlloc(cPages, &pv, &R0, aPages), VINF_SUCCESS);
        CHECK(R0 != NIL_RTR0PTR && isZero(pv, cPages * PAGE));
        for (size_t i = 0; i < cPages; i++)
            CHECK(aPages[i].Phys != 0 && aPages[i].Phys <= 0xfffff000 && (aPages[i].Phys & (PAGE - 1)) == 0
                  && aPages[i].uReserved == 0);
        fill(pv, cPages, (int)cPages);
        CHECK_RC(SUPR3LowFree(pv, 0), VERR_PAGE_COUNT_OUT_OF_RANGE);
        CHECK_RC(SUPR3PageFreeEx(pv, cPages), VERR_INVALID_PARAMETER);
        CHECK_RC(SUPR3LowFree(pv, cPages), VINF_SUCCESS);
        CHECK_RC(SUPR3LowFree(pv, cPages), VERR_INVALID_PARAMETER);
    }
    CHECK_RC(SUPR3LowFree(NULL, 0), VINF_SUCCESS);
    CHECK_RC(SUPR3LowFree(BAD(void *), 1), VERR_INVALID_POINTER);
}

static void checkContiguous(void)
{
    void    *apv[128];
    RTR0PTR  R0   = BAD(RTR0PTR);
    RTHCPHYS Phys = 0;

    CHECK(SUPR3ContAlloc(1, &R0, NULL) == NULL);
    CHECK(SUPR3ContAlloc(0, &R0, &Phys) == NULL && Phys == NIL_RTHCPHYS && R0 == NIL_RTR0PTR);
    CHECK(SUPR3ContAlloc(256, NULL, &Phys) == NULL);
    CHECK(SUPR3ContAlloc(1, BAD(PRTR0PTR), &Phys) == NULL);
    for (unsigned i = 0; i < 128; i++)
    {
        unsigned cPages = 1 + i % 11;
        apv[i] = SUPR3ContAlloc(cPages, i % 2 ? &R0 : NULL, &Phys);
        CHECK(apv[i] != NULL && (Phys & (PAGE - 1)) == 0 && Phys + cPages * PAGE <= (uint64_t)1 << 32);
        if (apv[i] == NULL)
            exit(1);
        fill(apv[i], cPages, (int)i);
    }
    for (unsigned i = 0; i < 128; i++)
        CHECK_RC(SUPR3ContFree(apv[i], 1 + i % 11), VINF_SUCCESS);
    CHECK_RC(SUPR3ContFree(apv[5], 1), VERR_INVALID_PARAMETER);
    CHECK_RC(SUPR3ContFree(NULL, 1), VINF_SUCCESS);
    CHECK_RC(SUPR3ContFree(BAD(void *), 1), VERR_INVALID_POINTER);
}

/** Results may go anywhere in memory. */
static void checkMisaligned(void)
{
    char  ach[4 * 16 + 1];
    void *pv;

    REQUIRE_RC(SUPR3PageAllocEx(3, 0, (void **)(ach + 1), (PRTR0PTR)(ach + 17), NULL), VINF_SUCCESS);
    memcpy(&pv, ach + 1, sizeof(pv));
    fill(pv, 3, 1);
    CHECK_RC(SUPR3PageFreeEx(pv, 3), VINF_SUCCESS);
    REQUIRE_RC(SUPR3LowAlloc(3, &pv, NULL, (PSUPPAGE)(ach + 1)), VINF_SUCCESS);
    CHECK_RC(SUPR3LowFree(pv, 3), VINF_SUCCESS);
}

int main(void)
{
    void *pvLeft, *pvOwn;
    checkPages();
    checkPageFrees();
    REQUIRE_RC(SUPR3PageAlloc(1, &pvOwn), VINF_SUCCESS);
    REQUIRE_RC(SUPR3Init(NULL), VINF_SUCCESS);
    checkPagesEx();
    checkLow();
    checkContiguous();
    checkMisaligned();

    /* What is left goes with the session; pages of the process stay. */
    REQUIRE_RC(SUPR3PageAllocEx(8, 0, &pvLeft, NULL, NULL), VINF_SUCCESS);
    CHECK_RC(SUPR3Term(0), VINF_SUCCESS);
    fill(pvOwn, 1, 1);
    REQUIRE_RC(SUPR3Init(NULL), VINF_SUCCESS);
    CHECK_RC(SUPR3PageFreeEx(pvLeft, 8), VERR_INVALID_PARAMETER);
    CHECK_RC(SUPR3Term(0), VINF_SUCCESS);
    CHECK_RC(SUPR3PageFree(pvOwn, 1), VINF_SUCCESS);
    return checkEnd();
}
