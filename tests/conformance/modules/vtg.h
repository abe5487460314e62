/** @file
 * vtg: a VTG object by hand, as a compiler of probe descriptions would emit it.
 *
 * Whoever includes this has the object: g_VTGObjHeader, in memory that can be written, with the records of
 * its locations right behind it. It is good for both rings. Every field lies open for a test to break.
 *
 *     provider alpha { probe open(int, uint64_t); probe close(); };     locations 0 and 1, and 2
 *     provider beta  { probe tick-tock(void *); };                      locations 3 and 4
 */

#ifndef VTG_H
#define VTG_H

#include <stddef.h>
#include <stdint.h>

typedef struct VTGAREA
{
    uint32_t off;
    uint32_t cb;
} VTGAREA;

typedef struct VTGOBJHDR
{
    char     szMagic[24];
    uint32_t cBits;
    uint32_t cbObj;
    VTGAREA  StrTab;
    VTGAREA  ArgLists;
    VTGAREA  Probes;
    VTGAREA  Providers;
    VTGAREA  ProbeEnabled;
    int32_t  offProbeLocs;
    uint32_t cbProbeLocs;
    uint64_t uProbeLocs;
    uint64_t uProbeLocsEnd;
    uint8_t  abUuid[16];
    uint64_t u64VtgObjSectionStart;
    uint32_t au32Reserved[2];
} VTGOBJHDR;

typedef struct VTGPROVIDER
{
    uint32_t offName;
    uint16_t iFirstProbe;
    uint16_t cProbes;
    /** Five times code, data and class: of the provider, modules, functions, names and arguments. */
    uint8_t  aabAttributes[5][3];
    uint8_t  bReserved;
} VTGPROVIDER;

typedef struct VTGPROBE
{
    uint32_t offName;
    uint32_t offArgList;
    uint16_t idxEnabled;
    uint16_t idxProvider;
    int32_t  offObjHdr;
} VTGPROBE;

typedef struct VTGARGLIST
{
    uint8_t cArgs;
    uint8_t fHaveLargeArgs;
    uint8_t abReserved[2];
} VTGARGLIST;

typedef struct VTGARG
{
    uint32_t offType;
    uint32_t fType;
} VTGARG;

typedef struct VTGPROBELOC
{
    /** The line, and in bit 31 whether it is switched on. */
    uint32_t    uLineAndEnabled;
    uint32_t    idProbe;
    const char *pszFunction;
    VTGPROBE   *pProbe;
    uint64_t    uPadding;
} VTGPROBELOC;

#define VTG_TYPE_FIXED_SIZED    UINT32_C(0x00000100)
#define VTG_TYPE_POINTER        UINT32_C(0x00000200)
#define VTG_TYPE_UNSIGNED       UINT32_C(0x40000000)
#define VTG_TYPE_SIGNED         UINT32_C(0x80000000)

typedef struct VTGSTRINGS
{
    char szAlpha[sizeof("alpha")];
    char szOpen[sizeof("open")];
    char szInt[sizeof("int")];
    char szUint64[sizeof("uint64_t")];
    char szClose[sizeof("close")];
    char szBeta[sizeof("beta")];
    char szTick[sizeof("tick-tock")];
    char szPointer[sizeof("void *")];
} VTGSTRINGS;

typedef struct VTGARGLISTS
{
    VTGARGLIST Open;
    VTGARG     aOpen[2];
    VTGARGLIST Close;
    VTGARGLIST Tick;
    VTGARG     aTick[1];
} VTGARGLISTS;

typedef struct VTGOBJ
{
    VTGOBJHDR   Hdr;
    VTGSTRINGS  Strings;
    VTGARGLISTS ArgLists __attribute__((aligned(16)));
    VTGPROBE    aProbes[3] __attribute__((aligned(16)));
    VTGPROVIDER aProviders[2] __attribute__((aligned(16)));
    uint32_t    acEnabled[3] __attribute__((aligned(16)));
    /** The object ends here. What is behind it may be at most 128 bytes away. */
    uint8_t     abMarker[32] __attribute__((aligned(32)));
    VTGPROBELOC aLocs[5];
} VTGOBJ;

#define VTG_AREA(a_Member)      { offsetof(VTGOBJ, a_Member), sizeof(((VTGOBJ *)0)->a_Member) }
#define VTG_STRING(a_Member)    offsetof(VTGSTRINGS, a_Member)
#define VTG_ARGS(a_Member)      offsetof(VTGARGLISTS, a_Member)
#define VTG_HDR(a_iProbe)       (-(int32_t)offsetof(VTGOBJ, aProbes[a_iProbe]))
/** Evolving code and data that depend on the instruction set. */
#define VTG_ATTRIBUTES          { { 6, 6, 5 }, { 6, 6, 5 }, { 6, 6, 5 }, { 6, 6, 5 }, { 6, 6, 5 } }
#define VTG_LOC(a_uLine, a_iProbe) \
    { a_uLine, 0, "vtgFunction", &g_VTGObjHeader.aProbes[a_iProbe], 0 }

/** Anybody finds it by its name. */
extern VTGOBJ g_VTGObjHeader;

VTGOBJ g_VTGObjHeader __attribute__((aligned(4096))) =
{
    .Hdr =
    {
        .szMagic       = "VTG Object Header v1.5",
        .cBits         = 64,
        .cbObj         = offsetof(VTGOBJ, acEnabled) + sizeof(((VTGOBJ *)0)->acEnabled),
        .StrTab        = VTG_AREA(Strings),
        .ArgLists      = VTG_AREA(ArgLists),
        .Probes        = VTG_AREA(aProbes),
        .Providers     = VTG_AREA(aProviders),
        .ProbeEnabled  = VTG_AREA(acEnabled),
        /* Who registers the object computes offset and size. */
        .uProbeLocs    = (uintptr_t)&g_VTGObjHeader.aLocs[0],
        .uProbeLocsEnd = (uintptr_t)&g_VTGObjHeader.aLocs[5],
        .abUuid        = { 0x5a, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 },
    },
    .Strings = { "alpha", "open", "int", "uint64_t", "close", "beta", "tick-tock", "void *" },
    .ArgLists =
    {
        .Open  = { 2, 1, { 0, 0 } },
        .aOpen =
        {
            { VTG_STRING(szInt), VTG_TYPE_FIXED_SIZED | VTG_TYPE_SIGNED | 4 },
            { VTG_STRING(szUint64), VTG_TYPE_FIXED_SIZED | VTG_TYPE_UNSIGNED | 8 },
        },
        .Close = { 0, 0, { 0, 0 } },
        .Tick  = { 1, 0, { 0, 0 } },
        .aTick = { { VTG_STRING(szPointer), VTG_TYPE_POINTER } },
    },
    .aProbes =
    {
        { VTG_STRING(szOpen),  VTG_ARGS(Open),  0, 0, VTG_HDR(0) },
        { VTG_STRING(szClose), VTG_ARGS(Close), 1, 0, VTG_HDR(1) },
        { VTG_STRING(szTick),  VTG_ARGS(Tick),  2, 1, VTG_HDR(2) },
    },
    .aProviders =
    {
        { VTG_STRING(szAlpha), 0, 2, VTG_ATTRIBUTES, 0 },
        { VTG_STRING(szBeta),  2, 1, VTG_ATTRIBUTES, 0 },
    },
    .aLocs =
    {
        VTG_LOC(100, 0), VTG_LOC(101, 0), VTG_LOC(102, 1), VTG_LOC(103, 2), VTG_LOC(104, 2),
    },
};

#endif
