/** @file
 * What the hello module offers: its operations and their request packets.
 *
 * Both sides include this file. Ring 3 sends the requests with
 * SUPR3CallR0Service("hello.r0", ..., HELLO_OP_GREET, 0, &Req.Hdr); ring 0
 * answers them in helloServiceReqHandler (hello.c). A packet begins with
 * SUPR0SERVICEREQHDR, whose cbReq counts the whole packet, header included.
 */

#ifndef HELLO_H
#define HELLO_H

#include <VBox/sup.h>

/** Operations of helloServiceReqHandler. Each one returns a status. */
enum
{
    /** Does nothing: measures the way into ring 0 and back. */
    HELLO_OP_NOP = 0,
    /** Greets somebody by name. Packet: HELLOGREETREQ. */
    HELLO_OP_GREET = 1,
    /** Adds numbers up. Packet: HELLOSUMREQ with its values behind it. */
    HELLO_OP_SUM = 2,
    /** Returns the low half of the 64-bit argument as the status. */
    HELLO_OP_ECHO_ARG = 3,
    /** Takes a reference-counted object through its whole life. */
    HELLO_OP_OBJECT = 4,
    /** Takes an event semaphore through its whole life. */
    HELLO_OP_SEMAPHORE = 5
};

/** The packet of HELLO_OP_GREET. */
typedef struct HELLOGREETREQ
{
    /** cbReq is exactly the size of this structure. */
    SUPR0SERVICEREQHDR  Hdr;
    /** In: whom to greet, with its terminating NUL. */
    char                szName[64];
    /** Out: the greeting, always terminated. */
    char                szGreeting[128];
} HELLOGREETREQ;
AssertCompileSize(HELLOGREETREQ, 200);

/** The packet of HELLO_OP_SUM. */
typedef struct HELLOSUMREQ
{
    /** cbReq covers this structure and the values. */
    SUPR0SERVICEREQHDR  Hdr;
    /** In: how many values follow. */
    uint32_t            cValues;
    /** Explicit padding, ignored. */
    uint32_t            uPadding;
    /** Out: the sum, modulo 2^64. */
    uint64_t            u64Sum;
    /** In: the values. */
    uint64_t            au64Values[];
} HELLOSUMREQ;
AssertCompileSize(HELLOSUMREQ, 24);

#endif
