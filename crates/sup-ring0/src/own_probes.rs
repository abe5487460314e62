//! The room for the object of the driver's own probes, and the way of their hits.
//!
//! The core writes the object and looks at its counts; a tracer, which gets its address, changes counts and places.
//! All of them do so by atomic operations on these words. Neighbours: `fire` sends the hit on; the core's
//! `tracer/own.rs` says what the probes are. Invariant: the words are there for as long as the driver's code.

use core::sync::atomic::AtomicU32;

use sup_abi::R0Ptr;
use sup_core::host::ProbeRoom;

use crate::fire::supr0_tracer_fire_probe;

/// Words of the room: a page.
const WORDS: usize = 1024;

#[repr(C, align(4096))]
struct Room([AtomicU32; WORDS]);

static ROOM: Room = Room([const { AtomicU32::new(0) }; WORDS]);

/// The room, in ring 0 of so wide addresses.
pub fn room(address_bits: u32) -> ProbeRoom {
    let Room(words) = &ROOM;
    let address = R0Ptr::new(words.as_ptr().expose_provenance() as u64);
    ProbeRoom { words, address, address_bits }
}

/// Sends a hit to the tracer, if there is one: its place and its arguments.
///
/// # Context
/// Never sleeps, as far as the tracer does not.
pub fn fire(place: R0Ptr, arguments: [u64; 5]) {
    /// What the function is to the code of a probe.
    type Fire = unsafe extern "C" fn(R0Ptr, u64, u64, u64, u64, u64);
    // SAFETY: the function jumps to one that is called with a place and arguments, which these are; without a
    // tracer it returns at once.
    let function =
        unsafe { core::mem::transmute::<unsafe extern "C" fn(), Fire>(supr0_tracer_fire_probe) };
    let [first, second, third, fourth, fifth] = arguments;
    // SAFETY: the core gives a place in the room, whose object it has registered; the tracer's function keeps to
    // the C convention, as the registration demands of it.
    unsafe { function(place, first, second, third, fourth, fifth) };
}
