//! Trace files: whatever a file says, it is refused, or read up to where it is good, in bounded memory.
//!
//! The checksums and numbers of the sections are put right first, for otherwise nothing but them would be
//! tried; an odd first byte leaves them as they are.
//!
//! Neighbours: `sup-trace/tests/file.rs` has a test for each kind of damage. Invariant: no more events are read
//! than the heads say, and as many as they say are read or told as lost.

#![no_main]

use std::io::Cursor;

use libfuzzer_sys::fuzz_target;
use sup_trace::{EVENT_BYTES, Item, Trace};

const PREFIX_BYTES: usize = 24;
const HEAD_BYTES: usize = 32;

/// Gives each section the checksums and the number that it should have.
fn put_right(file: &mut [u8]) {
    let mut at = PREFIX_BYTES;
    for number in 0_u32.. {
        let Some((head, rest)) = file.get_mut(at..).and_then(|rest| rest.split_at_mut_checked(HEAD_BYTES))
        else {
            return;
        };
        let bytes = u32::from_le_bytes([head[8], head[9], head[10], head[11]]) as usize;
        let Some(body) = rest.get(..bytes) else { return };
        head[12..16].copy_from_slice(&crc32fast::hash(body).to_le_bytes());
        head[24..28].copy_from_slice(&number.to_le_bytes());
        let crc = crc32fast::hash(&head[..28]);
        head[28..].copy_from_slice(&crc.to_le_bytes());
        at += HEAD_BYTES + bytes;
    }
}

fuzz_target!(|input: &[u8]| {
    let Some((mode, file)) = input.split_first() else { return };
    let mut file = file.to_vec();
    if mode % 2 == 0 {
        put_right(&mut file);
    }
    let Ok(mut trace) = Trace::open(Cursor::new(&file)) else { return };
    let totals = trace.totals();
    assert!(totals.events as usize <= file.len() / EVENT_BYTES);
    let (mut read, mut lost) = (0_u64, 0_u64);
    let mut events = trace.events().expect("memory can be read");
    while let Some(item) = events.next().expect("memory can be read") {
        match item {
            Item::Event(_) => read += 1,
            Item::Lost { events, .. } => lost = lost.saturating_add(events),
        }
    }
    let damaged = events.damaged();
    assert_eq!(read + damaged, totals.events);
    assert_eq!(lost, totals.lost.saturating_add(damaged));
});
