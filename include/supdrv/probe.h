/** @file
 * Probes in C: places in code of which the tracer can be told, and which cost a test while nobody asks.
 *
 * A list says which probes there are, with the types of what each passes:
 *
 *     #define FILES_PROBES(PROBE) \
 *         PROBE(files, open, int32_t, uint64_t) \
 *         PROBE(files, close, int32_t)
 *
 *     SUPPROBE_DECLARE(files, FILES_PROBES)       in each source that fires them, or in a header
 *     SUPPROBE_DEFINE(files, FILES_PROBES)        in one source: the VTG object, and the stub
 *
 *     SUPPROBE(files, open, fd, cb);              a place: nothing is evaluated while nobody asks
 *     if (SUPPROBE_ENABLED(files, open)) ...
 *
 * The object is registered once: in ring 0 by SUPR0TracerRegisterModule(hMod, SUPPROBE_HEADER(files)) in
 * ModuleInit, in ring 3 by SUPR3TracerRegisterModule(~(uintptr_t)0, "name", SUPPROBE_HEADER(files),
 * (uintptr_t)SUPPROBE_HEADER(files), SUP_TRACER_UMOD_FLAGS_EXE). In ring 3 each place is at the same time one
 * that the system's own tracers find: a note of the stapsdt kind, provider and probe as they are written.
 *
 * Types: int8_t to uint64_t, intptr_t, uintptr_t, and ptr for any pointer; at most ten. The provider's name
 * does not end in a digit, and no other of the image has it; "__" in a probe's name stands for "-". Its
 * attributes are SUPPROBE_ATTRIBUTES, which may be defined before: code, data and class of the provider,
 * modules, functions, names and arguments. SUPPROBE_SEED is part of the object's UUID.
 *
 * Define IN_RING0 or IN_RING3 first, as for VBox/sup.h. GCC or a compiler that takes its assembly, x86-64.
 * The Rust crate sup-probe makes the same, and says why it is made so (crates/sup-probe/src/object.rs).
 */

#ifndef SUPDRV_PROBE_H
#define SUPDRV_PROBE_H

#if !defined(__x86_64__) || (!defined(IN_RING0) && !defined(IN_RING3))
# error "x86-64, and IN_RING0 or IN_RING3"
#endif

#include <stdint.h>

#ifndef SUPPROBE_ATTRIBUTES
/** Evolving names and data that depend on the instruction set. */
# define SUPPROBE_ATTRIBUTES    "6,6,5, 6,6,5, 6,6,5, 6,6,5, 6,6,5"
#endif
#ifndef SUPPROBE_SEED
/** A number, in digits: different for builds whose objects are to be told apart. */
# define SUPPROBE_SEED          1
#endif

#ifdef __cplusplus
# define SUPPROBE_ASSERT(a_Condition, a_szText) static_assert(a_Condition, a_szText)
# define SUPPROBE_EXTERN        extern "C" __attribute__((visibility("hidden")))
#else
# define SUPPROBE_ASSERT(a_Condition, a_szText) _Static_assert(a_Condition, a_szText)
# define SUPPROBE_EXTERN        extern __attribute__((visibility("hidden")))
#endif

/** The header of the object. */
#define SUPPROBE_HEADER(a_Provider)     ((struct VTGOBJHDR *)&vtg_##a_Provider[0])

/* The rest is not for users. */

#define SUPPROBE_TEXT(a_Text)           SUPPROBE_TEXT2(a_Text)
#define SUPPROBE_TEXT2(a_Text)          #a_Text
#define SUPPROBE_JOIN(a_Left, a_Right)  SUPPROBE_JOIN2(a_Left, a_Right)
#define SUPPROBE_JOIN2(a_Left, a_Right) a_Left##a_Right

/* A type: the place of its name among the names, its flags, and whether 32-bit code needs two words for it.
   Pointers are those of the image's own ring. */
#define SUPPROBE_NAMES \
    "int8_t\\0uint8_t\\0int16_t\\0uint16_t\\0int32_t\\0uint32_t\\0int64_t\\0uint64_t\\0intptr_t\\0uintptr_t\\0void *\\0"
#define SUPPROBE_TYPE_int8_t            "0,0x80000101"
#define SUPPROBE_LARGE_int8_t           "0"
#define SUPPROBE_TYPE_uint8_t           "7,0x40000101"
#define SUPPROBE_LARGE_uint8_t          "0"
#define SUPPROBE_TYPE_int16_t           "15,0x80000102"
#define SUPPROBE_LARGE_int16_t          "0"
#define SUPPROBE_TYPE_uint16_t          "23,0x40000102"
#define SUPPROBE_LARGE_uint16_t         "0"
#define SUPPROBE_TYPE_int32_t           "32,0x80000104"
#define SUPPROBE_LARGE_int32_t          "0"
#define SUPPROBE_TYPE_uint32_t          "40,0x40000104"
#define SUPPROBE_LARGE_uint32_t         "0"
#define SUPPROBE_TYPE_int64_t           "49,0x80000108"
#define SUPPROBE_LARGE_int64_t          "1"
#define SUPPROBE_TYPE_uint64_t          "57,0x40000108"
#define SUPPROBE_LARGE_uint64_t         "1"
#define SUPPROBE_TYPE_intptr_t          "66,0x80000800"
#define SUPPROBE_LARGE_intptr_t         "0"
#define SUPPROBE_TYPE_uintptr_t         "75,0x40000800"
#define SUPPROBE_LARGE_uintptr_t        "0"
#ifdef IN_RING0
# define SUPPROBE_TYPE_ptr             "85,0x00000200"
# define SUPPROBE_LARGE_ptr            "0"
#else
# define SUPPROBE_TYPE_ptr             "85,0x01000508"
# define SUPPROBE_LARGE_ptr            "1"
#endif
#define SUPPROBE_BYTES_int8_t           (-1)
#define SUPPROBE_BYTES_uint8_t          1
#define SUPPROBE_BYTES_int16_t          (-2)
#define SUPPROBE_BYTES_uint16_t         2
#define SUPPROBE_BYTES_int32_t          (-4)
#define SUPPROBE_BYTES_uint32_t         4
#define SUPPROBE_BYTES_int64_t          (-8)
#define SUPPROBE_BYTES_uint64_t         8
#define SUPPROBE_BYTES_intptr_t         (-8)
#define SUPPROBE_BYTES_uintptr_t        8
#define SUPPROBE_BYTES_ptr              8
/* The largest argument that a type takes. An array is a pointer where it is passed. */
#define SUPPROBE_ROOM_int8_t            sizeof(int8_t)
#define SUPPROBE_ROOM_uint8_t           sizeof(uint8_t)
#define SUPPROBE_ROOM_int16_t           sizeof(int16_t)
#define SUPPROBE_ROOM_uint16_t          sizeof(uint16_t)
#define SUPPROBE_ROOM_int32_t           sizeof(int32_t)
#define SUPPROBE_ROOM_uint32_t          sizeof(uint32_t)
#define SUPPROBE_ROOM_int64_t           sizeof(int64_t)
#define SUPPROBE_ROOM_uint64_t          sizeof(uint64_t)
#define SUPPROBE_ROOM_intptr_t          sizeof(intptr_t)
#define SUPPROBE_ROOM_uintptr_t         sizeof(uintptr_t)
#define SUPPROBE_ROOM_ptr               INT32_MAX
#define SUPPROBE_C_int8_t               int8_t
#define SUPPROBE_C_uint8_t              uint8_t
#define SUPPROBE_C_int16_t              int16_t
#define SUPPROBE_C_uint16_t             uint16_t
#define SUPPROBE_C_int32_t              int32_t
#define SUPPROBE_C_uint32_t             uint32_t
#define SUPPROBE_C_int64_t              int64_t
#define SUPPROBE_C_uint64_t             uint64_t
#define SUPPROBE_C_intptr_t             intptr_t
#define SUPPROBE_C_uintptr_t            uintptr_t
#define SUPPROBE_C_ptr                  const volatile void *

/* How many arguments there are behind the first, 0 to 10. */
#define SUPPROBE_COUNT(...)     SUPPROBE_COUNT2(__VA_ARGS__, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0)
#define SUPPROBE_COUNT2(a_0, a_1, a_2, a_3, a_4, a_5, a_6, a_7, a_8, a_9, a_10, a_Count, ...) a_Count

/* a_Do for each of them, with its index and the first. */
#define SUPPROBE_EACH_0(a_Do, a_First)
#define SUPPROBE_EACH_1(a_Do, a_First, a_0) a_Do(a_First, 0, a_0)
#define SUPPROBE_EACH_2(a_Do, a_First, a_0, a_1) a_Do(a_First, 0, a_0) a_Do(a_First, 1, a_1)
#define SUPPROBE_EACH_3(a_Do, a_First, a_0, a_1, a_2) a_Do(a_First, 0, a_0) a_Do(a_First, 1, a_1) a_Do(a_First, 2, a_2)
#define SUPPROBE_EACH_4(a_Do, a_First, a_0, a_1, a_2, a_3) \
    a_Do(a_First, 0, a_0) a_Do(a_First, 1, a_1) a_Do(a_First, 2, a_2) a_Do(a_First, 3, a_3)
#define SUPPROBE_EACH_5(a_Do, a_First, a_0, a_1, a_2, a_3, a_4) \
    a_Do(a_First, 0, a_0) a_Do(a_First, 1, a_1) a_Do(a_First, 2, a_2) a_Do(a_First, 3, a_3) a_Do(a_First, 4, a_4)
#define SUPPROBE_EACH_6(a_Do, a_First, a_0, a_1, a_2, a_3, a_4, a_5) \
    a_Do(a_First, 0, a_0) a_Do(a_First, 1, a_1) a_Do(a_First, 2, a_2) a_Do(a_First, 3, a_3) a_Do(a_First, 4, a_4) a_Do(a_First, 5, a_5)
#define SUPPROBE_EACH_7(a_Do, a_First, a_0, a_1, a_2, a_3, a_4, a_5, a_6) \
    a_Do(a_First, 0, a_0) a_Do(a_First, 1, a_1) a_Do(a_First, 2, a_2) a_Do(a_First, 3, a_3) a_Do(a_First, 4, a_4) a_Do(a_First, 5, a_5) a_Do(a_First, 6, a_6)
#define SUPPROBE_EACH_8(a_Do, a_First, a_0, a_1, a_2, a_3, a_4, a_5, a_6, a_7) \
    a_Do(a_First, 0, a_0) a_Do(a_First, 1, a_1) a_Do(a_First, 2, a_2) a_Do(a_First, 3, a_3) a_Do(a_First, 4, a_4) a_Do(a_First, 5, a_5) a_Do(a_First, 6, a_6) a_Do(a_First, 7, a_7)
#define SUPPROBE_EACH_9(a_Do, a_First, a_0, a_1, a_2, a_3, a_4, a_5, a_6, a_7, a_8) \
    a_Do(a_First, 0, a_0) a_Do(a_First, 1, a_1) a_Do(a_First, 2, a_2) a_Do(a_First, 3, a_3) a_Do(a_First, 4, a_4) a_Do(a_First, 5, a_5) a_Do(a_First, 6, a_6) a_Do(a_First, 7, a_7) a_Do(a_First, 8, a_8)
#define SUPPROBE_EACH_10(a_Do, a_First, a_0, a_1, a_2, a_3, a_4, a_5, a_6, a_7, a_8, a_9) \
    a_Do(a_First, 0, a_0) a_Do(a_First, 1, a_1) a_Do(a_First, 2, a_2) a_Do(a_First, 3, a_3) a_Do(a_First, 4, a_4) a_Do(a_First, 5, a_5) a_Do(a_First, 6, a_6) a_Do(a_First, 7, a_7) a_Do(a_First, 8, a_8) a_Do(a_First, 9, a_9)
#define SUPPROBE_EACH(a_Do, ...) \
    SUPPROBE_JOIN(SUPPROBE_EACH_, SUPPROBE_COUNT(__VA_ARGS__))(a_Do, __VA_ARGS__)

/* The declarations: the object, the stub, counts, and the types of arguments. */
#define SUPPROBE_DECLARE(a_Provider, a_List) \
    SUPPROBE_EXTERN uint8_t vtg_##a_Provider[]; \
    SUPPROBE_EXTERN void vtg_##a_Provider##_stub(void *pvLocation, ...); \
    a_List(SUPPROBE_DECLARE_ONE)
#define SUPPROBE_DECLARE_ONE(a_Provider, a_Probe, ...) \
    SUPPROBE_EXTERN uint32_t volatile vtg_##a_Provider##_##a_Probe##_count; \
    SUPPROBE_EXTERN uint32_t volatile vtg_##a_Provider##_##a_Probe##_semaphore; \
    enum { vtg_##a_Provider##_##a_Probe##_arguments = SUPPROBE_COUNT(0, ##__VA_ARGS__) }; \
    SUPPROBE_EACH(SUPPROBE_DECLARE_TYPE, vtg_##a_Provider##_##a_Probe, ##__VA_ARGS__)
#define SUPPROBE_DECLARE_TYPE(a_Name, a_Index, a_Type) \
    typedef SUPPROBE_C_##a_Type a_Name##_type##a_Index; \
    enum { a_Name##_bytes##a_Index = SUPPROBE_BYTES_##a_Type, a_Name##_room##a_Index = SUPPROBE_ROOM_##a_Type };

/* The object, written by the assembler: see the crate for why. */
#define SUPPROBE_DEFINE(a_Provider, a_List) __asm__( \
    ".pushsection .rodata.vtg_" #a_Provider ",\"a\",@progbits\n" \
    ".Lvtg_" #a_Provider "_key: .byte 0\n" \
    ".popsection\n" \
    ".pushsection VTGPrLc_" #a_Provider ",\"awo\",@progbits,.Lvtg_" #a_Provider "_key\n" \
    ".balign 4096\n" \
    ".reloc ., R_X86_64_NONE, .Lvtg_" #a_Provider "_key\n" \
    ".hidden __stop_VTGPrLc_" #a_Provider "\n" \
    ".globl vtg_" #a_Provider "\n.hidden vtg_" #a_Provider "\n" \
    ".type vtg_" #a_Provider ",@object\n" \
    "vtg_" #a_Provider ":\n" \
    ".ascii \"VTG Object Header v1.5\\0\\0\"\n" \
    ".long 64, .Lvtg_" #a_Provider "_counts_end - vtg_" #a_Provider "\n" \
    SUPPROBE_AREA(a_Provider, strings) SUPPROBE_AREA(a_Provider, lists) SUPPROBE_AREA(a_Provider, probes) \
    SUPPROBE_AREA(a_Provider, providers) SUPPROBE_AREA(a_Provider, counts) \
    ".long 0, 0\n" \
    ".quad .Lvtg_" #a_Provider "_locations, __stop_VTGPrLc_" #a_Provider "\n" \
    ".quad " SUPPROBE_TEXT(SUPPROBE_SEED) "\n" \
    ".long .Lvtg_" #a_Provider "_strings_end - .Lvtg_" #a_Provider "_strings\n" \
    ".long .Lvtg_" #a_Provider "_lists_end - .Lvtg_" #a_Provider "_lists\n" \
    ".quad 0, 0\n" \
    ".Lvtg_" #a_Provider "_strings: .ascii \"" SUPPROBE_NAMES "\"\n" \
    ".Lvtg_" #a_Provider "_name: .asciz \"" #a_Provider "\"\n" \
    a_List(SUPPROBE_DEFINE_NAME) \
    ".Lvtg_" #a_Provider "_strings_end: .balign 16\n" \
    ".Lvtg_" #a_Provider "_lists:\n" \
    a_List(SUPPROBE_DEFINE_ARGUMENTS) \
    ".Lvtg_" #a_Provider "_lists_end: .balign 16\n" \
    ".Lvtg_" #a_Provider "_probes:\n" \
    a_List(SUPPROBE_DEFINE_PROBE) \
    ".Lvtg_" #a_Provider "_probes_end: .balign 16\n" \
    ".Lvtg_" #a_Provider "_providers:\n" \
    ".long .Lvtg_" #a_Provider "_name - .Lvtg_" #a_Provider "_strings\n" \
    ".short 0, (.Lvtg_" #a_Provider "_probes_end - .Lvtg_" #a_Provider "_probes) / 16\n" \
    ".byte " SUPPROBE_ATTRIBUTES ", 0\n" \
    ".Lvtg_" #a_Provider "_providers_end: .balign 16\n" \
    ".Lvtg_" #a_Provider "_counts:\n" \
    a_List(SUPPROBE_DEFINE_COUNT) \
    ".Lvtg_" #a_Provider "_counts_end: .balign 32\n" \
    ".zero 32\n" \
    ".Lvtg_" #a_Provider "_locations:\n" \
    ".popsection\n" \
    a_List(SUPPROBE_DEFINE_SEMAPHORE) \
    ".pushsection .text.vtg_" #a_Provider "_stub,\"ax\",@progbits\n" \
    ".globl vtg_" #a_Provider "_stub\n.hidden vtg_" #a_Provider "_stub\n" \
    ".type vtg_" #a_Provider "_stub,@function\n" \
    "vtg_" #a_Provider "_stub:\n" \
    "testb $0x80, 3(%rdi)\njnz 2f\nret\n" \
    "2: jmp *" SUPPROBE_FIRE "@GOTPCREL(%rip)\n" \
    ".size vtg_" #a_Provider "_stub, . - vtg_" #a_Provider "_stub\n" \
    ".popsection\n")

#define SUPPROBE_AREA(a_Provider, a_Area) \
    ".long .Lvtg_" #a_Provider "_" #a_Area " - vtg_" #a_Provider "\n" \
    ".long .Lvtg_" #a_Provider "_" #a_Area "_end - .Lvtg_" #a_Provider "_" #a_Area "\n"

/* A name, character by character: two underscores are a hyphen, unless a third follows. */
#define SUPPROBE_DEFINE_NAME(a_Provider, a_Probe, ...) \
    ".Lvtg_" #a_Provider "_" #a_Probe "_name:\n" \
    ".set .Lvtg_underscores, 0\n" \
    ".irpc character, " #a_Probe "\n" \
    ".ifc \\character,_\n.set .Lvtg_underscores, .Lvtg_underscores + 1\n.else\n" \
    SUPPROBE_UNDERSCORES \
    ".ascii \"\\character\"\n.endif\n.endr\n" \
    SUPPROBE_UNDERSCORES \
    ".byte 0\n"
#define SUPPROBE_UNDERSCORES \
    ".if .Lvtg_underscores > 2\n.fill .Lvtg_underscores - 2, 1, 0x5f\n.endif\n" \
    ".if .Lvtg_underscores > 1\n.byte 0x2d\n.endif\n" \
    ".if .Lvtg_underscores == 1\n.byte 0x5f\n.endif\n" \
    ".set .Lvtg_underscores, 0\n"

#define SUPPROBE_DEFINE_ARGUMENTS(a_Provider, a_Probe, ...) \
    ".Lvtg_" #a_Provider "_" #a_Probe "_list:\n" \
    ".byte " SUPPROBE_TEXT(SUPPROBE_COUNT(0, ##__VA_ARGS__)) ", 0" \
    SUPPROBE_EACH(SUPPROBE_DEFINE_LARGE, 0, ##__VA_ARGS__) ", 0, 0\n" \
    SUPPROBE_EACH(SUPPROBE_DEFINE_ARGUMENT, 0, ##__VA_ARGS__)
#define SUPPROBE_DEFINE_LARGE(a_First, a_Index, a_Type)      "|" SUPPROBE_LARGE_##a_Type
#define SUPPROBE_DEFINE_ARGUMENT(a_First, a_Index, a_Type)   ".long " SUPPROBE_TYPE_##a_Type "\n"

#define SUPPROBE_DEFINE_PROBE(a_Provider, a_Probe, ...) \
    ".globl vtg_" #a_Provider "_" #a_Probe "_probe\n.hidden vtg_" #a_Provider "_" #a_Probe "_probe\n" \
    "vtg_" #a_Provider "_" #a_Probe "_probe:\n" \
    ".Lvtg_" #a_Provider "_" #a_Probe "_at:\n" \
    ".long .Lvtg_" #a_Provider "_" #a_Probe "_name - .Lvtg_" #a_Provider "_strings\n" \
    ".long .Lvtg_" #a_Provider "_" #a_Probe "_list - .Lvtg_" #a_Provider "_lists\n" \
    ".short (.Lvtg_" #a_Provider "_" #a_Probe "_at - .Lvtg_" #a_Provider "_probes) / 16, 0\n" \
    ".long vtg_" #a_Provider " - .Lvtg_" #a_Provider "_" #a_Probe "_at\n"

#define SUPPROBE_DEFINE_COUNT(a_Provider, a_Probe, ...) \
    ".globl vtg_" #a_Provider "_" #a_Probe "_count\n.hidden vtg_" #a_Provider "_" #a_Probe "_count\n" \
    "vtg_" #a_Provider "_" #a_Probe "_count: .long 0\n"

#ifdef IN_RING0
# define SUPPROBE_FIRE "SUPR0TracerFireProbe"
# define SUPPROBE_DEFINE_SEMAPHORE(a_Provider, a_Probe, ...)
#else
# define SUPPROBE_FIRE "SUPTracerFireProbe"
# define SUPPROBE_DEFINE_SEMAPHORE(a_Provider, a_Probe, ...) \
    ".pushsection .probes,\"aw\",@progbits\n.balign 4\n" \
    ".globl vtg_" #a_Provider "_" #a_Probe "_semaphore\n.hidden vtg_" #a_Provider "_" #a_Probe "_semaphore\n" \
    "vtg_" #a_Provider "_" #a_Probe "_semaphore: .short 0, 0\n.popsection\n"
#endif

/* A place: the count, and in ring 3 that of the system's tracers. */
#ifdef IN_RING0
# define SUPPROBE_ENABLED(a_Provider, a_Probe) \
    (__builtin_expect(vtg_##a_Provider##_##a_Probe##_count, 0) != 0)
#else
# define SUPPROBE_ENABLED(a_Provider, a_Probe) \
    (__builtin_expect(vtg_##a_Provider##_##a_Probe##_count | vtg_##a_Provider##_##a_Probe##_semaphore, 0) != 0)
#endif

#define SUPPROBE(a_Provider, a_Probe, ...) \
    do { \
        SUPPROBE_ASSERT((int)vtg_##a_Provider##_##a_Probe##_arguments == SUPPROBE_COUNT(0, ##__VA_ARGS__), \
                        "the probe has another number of arguments"); \
        if (SUPPROBE_ENABLED(a_Provider, a_Probe)) \
        { \
            void *vtgLocation; \
            SUPPROBE_EACH(SUPPROBE_VALUE, vtg_##a_Provider##_##a_Probe, ##__VA_ARGS__) \
            __asm__ __volatile__( \
                SUPPROBE_RECORD(a_Provider, a_Probe) \
                SUPPROBE_NOTE(a_Provider, a_Probe, SUPPROBE_EACH(SUPPROBE_NOTE_TEXT, 0, ##__VA_ARGS__)) \
                : [location] "=&r" (vtgLocation) \
                : [function] "i" (__func__), [line] "i" (__LINE__) \
                  SUPPROBE_EACH(SUPPROBE_NOTE_VALUE, vtg_##a_Provider##_##a_Probe, ##__VA_ARGS__)); \
            vtg_##a_Provider##_stub(vtgLocation SUPPROBE_EACH(SUPPROBE_PASS, 0, ##__VA_ARGS__)); \
        } \
    } while (0)

#define SUPPROBE_VALUE(a_Name, a_Index, a_Value) \
    SUPPROBE_ASSERT(sizeof(a_Value) <= (unsigned)a_Name##_room##a_Index, "the argument is larger than its type"); \
    a_Name##_type##a_Index const vtgValue##a_Index = (a_Value);
#define SUPPROBE_PASS(a_First, a_Index, a_Value)        , (uintptr_t)vtgValue##a_Index

#define SUPPROBE_RECORD(a_Provider, a_Probe) \
    ".ifndef .Lvtg_records\n.pushsection .data.vtg,\"aw\",@progbits\n.Lvtg_records: .byte 0\n.popsection\n.endif\n" \
    ".pushsection VTGPrLc_" #a_Provider ",\"awo\",@progbits,.Lvtg_records\n" \
    ".balign 32\n.reloc ., R_X86_64_NONE, .Lvtg_records\n" \
    "990: .long %c[line], 0\n.quad %c[function], vtg_" #a_Provider "_" #a_Probe "_probe, 0\n.popsection\n" \
    "leaq 990b(%%rip), %[location]\n"

#ifdef IN_RING0
# define SUPPROBE_NOTE(a_Provider, a_Probe, a_szArguments)
# define SUPPROBE_NOTE_VALUE(a_Name, a_Index, a_Value)
#else
# define SUPPROBE_NOTE(a_Provider, a_Probe, a_szArguments) \
    "991: nop\n.reloc 991b, R_X86_64_NONE, _.stapsdt.base\n" \
    ".pushsection .note.stapsdt,\"?\",@note\n.balign 4\n" \
    ".long 993f - 992f, 995f - 994f, 3\n" \
    "992: .asciz \"stapsdt\"\n993: .balign 4\n" \
    "994: .quad 991b, _.stapsdt.base, vtg_" #a_Provider "_" #a_Probe "_semaphore\n" \
    ".asciz \"" #a_Provider "\"\n.asciz \"" #a_Probe "\"\n.asciz \"" a_szArguments "\"\n" \
    "995: .balign 4\n.popsection\n" \
    ".ifndef _.stapsdt.base\n" \
    ".pushsection .stapsdt.base,\"aG\",@progbits,.stapsdt.base,comdat\n" \
    ".weak _.stapsdt.base\n.hidden _.stapsdt.base\n" \
    "_.stapsdt.base: .space 1\n.size _.stapsdt.base, 1\n.popsection\n.endif\n"
# define SUPPROBE_NOTE_TEXT(a_First, a_Index, a_Value)   "%c[bytes" #a_Index "]@%[value" #a_Index "] "
# define SUPPROBE_NOTE_VALUE(a_Name, a_Index, a_Value) \
    , [bytes##a_Index] "i" ((int)a_Name##_bytes##a_Index), [value##a_Index] "nor" (vtgValue##a_Index)
#endif

#endif
