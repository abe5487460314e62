/** @file
 * What the test VMMR0.r0 offers: its operations and their request packets.
 *
 * Both sides include this file. Ring 3 sends the requests with SUPR3CallVMMR0Ex;
 * ring 0 answers them in VMMR0EntryEx (vmmr0.c). A packet begins with
 * SUPVMMR0REQHDR, whose cbReq counts the whole packet, header included.
 */

#ifndef VMMR0_H
#define VMMR0_H

#include <VBox/sup.h>

/** Operations of VMMR0EntryEx. Each one returns a status. The first three
 * numbers are those of the fast calls. */
enum
{
    /** Does nothing. */
    VMMR0_OP_NOP = 3,
    /** Returns the low half of the 64-bit argument as the status. */
    VMMR0_OP_STATUS = 4,
    /** Sleeps for as many nanoseconds as the argument says, or until a signal:
     * VERR_TIMEOUT or VERR_INTERRUPTED. */
    VMMR0_OP_SLEEP = 5,
    /** Makes a VM. Packet: VMMR0VMREQ, out. */
    VMMR0_OP_CREATE_VM = 6,
    /** Gives the reference to a VM back. Packet: VMMR0VMREQ, in. */
    VMMR0_OP_DESTROY_VM = 7,
    /** Tells what the fast entry saw. Packet: VMMR0COUNTSREQ. */
    VMMR0_OP_COUNTS = 8,
    /** Inverts every byte behind the packet's header, and returns the low half
     * of the argument. Any packet. */
    VMMR0_OP_INVERT = 9
};

/** The packet of VMMR0_OP_CREATE_VM and VMMR0_OP_DESTROY_VM. */
typedef struct VMMR0VMREQ
{
    SUPVMMR0REQHDR  Hdr;
    /** The VM, as the fast entry gets it. */
    uint64_t        uVM;
    /** The object that it is registered as. */
    uint64_t        uObject;
} VMMR0VMREQ;

/** The packet of VMMR0_OP_COUNTS. */
typedef struct VMMR0COUNTSREQ
{
    SUPVMMR0REQHDR  Hdr;
    /** Out: fast calls so far, by operation. */
    uint64_t        acCalls[3];
    /** Out: what the last one was called with. */
    uint64_t        uLastVM;
    uint32_t        idLastCpu;
    uint32_t        uPadding;
    /** Out: VMs that exist. */
    uint64_t        cVMs;
} VMMR0COUNTSREQ;

#endif
