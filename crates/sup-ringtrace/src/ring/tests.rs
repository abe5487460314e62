//! The ring against a model, with interrupted writers, under load, and with a hostile process.
//!
//! Neighbours: `loom_tests` has the interleavings. Invariant: every record is read, counted as lost or counted as
//! overwritten.

use std::collections::VecDeque;
use std::sync::atomic::AtomicBool;
use std::thread;

use proptest::prelude::*;

use super::*;

fn words(slots: usize) -> Vec<AtomicU64> {
    (0..slots * WORDS_PER_SLOT).map(|_| AtomicU64::new(0)).collect()
}

fn ring(words: &[AtomicU64], policy: Policy) -> Ring<'_> {
    let ring = Ring::new(words, policy).expect("a ring");
    ring.reset();
    ring
}

fn record(number: u64) -> Record {
    Record { time_tsc: number, id: 7, args: [number; 5], ..Record::default() }
}

#[test]
fn only_powers_of_two_are_rings() {
    for (count, slots) in
        [(0, None), (9, None), (17, None), (18, Some(2)), (27, None), (36, Some(4)), (37, None)]
    {
        let words: Vec<_> = (0..count).map(|_| AtomicU64::new(0)).collect();
        let found = Ring::new(&words, Policy::Drop).map(|ring| ring.slots());
        assert_eq!(found, slots, "{count}");
    }
}

#[test]
fn a_slot_in_which_somebody_was_interrupted_is_passed_by_nobody() {
    for policy in [Policy::Drop, Policy::Overwrite] {
        let words = words(2);
        let (ring, head) = (ring(&words, policy), Head::new());
        // A writer is interrupted right behind its ticket.
        let taken = ring.take_slot(&head, &ORDERS).expect("a slot");
        assert!(ring.write(&head, &record(1)));
        assert!(!ring.write(&head, &record(2)), "{policy:?}: its slot is not free");
        assert_eq!(head.lost(), 1);
        let mut reader = Reader::default();
        assert_eq!(reader.read(&ring), None, "the first one is not complete");
        let (ticket, sequence_at, _) = taken;
        sequence_at.store(sequence(ticket, COMPLETE), Ordering::Release);
        assert!(reader.read(&ring).is_some());
        assert_eq!(reader.read(&ring), Some(record(1)));
        assert!(ring.write(&head, &record(3)));
        assert_eq!(reader.read(&ring), Some(record(3)));
        assert_eq!(reader.read(&ring), None);
    }
}

/// What a test does: writes so many, then reads so many.
fn steps() -> impl Strategy<Value = Vec<(u8, u8)>> {
    prop::collection::vec((0..12_u8, 0..12_u8), 0..40)
}

proptest! {
    #[test]
    fn does_what_a_queue_does(steps in steps(), bits in 1..4_u32, overwrites: bool) {
        let policy = if overwrites { Policy::Overwrite } else { Policy::Drop };
        let slots = 1_usize << bits;
        let words = words(slots);
        let (ring, head, mut reader) = (ring(&words, policy), Head::new(), Reader::default());
        let mut model = VecDeque::new();
        let (mut number, mut lost, mut overwritten) = (0, 0, 0);
        for (writes, reads) in steps {
            for _ in 0..writes {
                number += 1;
                let has_room = model.len() < slots;
                if !has_room && overwrites {
                    model.pop_front();
                    overwritten += 1;
                }
                let is_written = has_room || overwrites;
                prop_assert_eq!(ring.write(&head, &record(number)), is_written);
                if is_written {
                    model.push_back(record(number));
                } else {
                    lost += 1;
                }
            }
            for _ in 0..reads {
                prop_assert_eq!(reader.read(&ring), model.pop_front());
            }
        }
        prop_assert_eq!(head.lost(), lost);
        while let Some(expected) = model.pop_front() {
            prop_assert_eq!(reader.read(&ring), Some(expected));
        }
        prop_assert_eq!(reader.overwritten(), overwritten);
    }

    /// A process can write anything into the memory, and the writer stays in it and comes back.
    #[test]
    fn survives_a_hostile_process(spoiled in prop::collection::vec((0..36_usize, any::<u64>()), 0..60)) {
        let words = words(4);
        let (ring, head) = (ring(&words, Policy::Overwrite), Head::new());
        let mut reader = Reader::default();
        let count = spoiled.len() as u64;
        for (place, value) in spoiled {
            words[place].store(value, Ordering::Relaxed);
            ring.write(&head, &record(1));
            let _ = reader.read(&ring);
        }
        prop_assert_eq!(head.written() + head.lost(), count);
    }
}

/// Two writers on one ring, as after a preemption, and a reader.
fn under_load(policy: Policy) {
    const EACH: u64 = 200_000;
    let words = words(256);
    let (ring, head) = (ring(&words, policy), Head::new());
    let is_over = AtomicBool::new(false);
    let (mut got, mut last) = (0_u64, [0_u64; 2]);
    let mut reader = Reader::default();
    thread::scope(|scope| {
        let writers: Vec<_> = (0..2_u64)
            .map(|writer| {
                let (ring, head) = (&ring, &head);
                scope.spawn(move || {
                    for number in 1..=EACH {
                        let mut record = record(number);
                        record.who = writer;
                        ring.write(head, &record);
                    }
                })
            })
            .collect();
        let is_over = &is_over;
        scope.spawn(move || {
            writers.into_iter().for_each(|writer| writer.join().expect("no panic"));
            is_over.store(true, Ordering::Release);
        });
        loop {
            let was_over = is_over.load(Ordering::Acquire);
            while let Some(found) = reader.read(&ring) {
                assert_eq!(found.args, [found.time_tsc; 5], "torn");
                let last = &mut last[found.who as usize];
                assert!(found.time_tsc > *last, "each writer's records keep their order");
                *last = found.time_tsc;
                got += 1;
            }
            if was_over {
                break;
            }
            thread::yield_now();
        }
    });
    assert_eq!(got + reader.overwritten(), head.written());
    assert_eq!(head.written() + head.lost(), 2 * EACH);
    assert!(got > 0);
}

#[test]
fn nothing_is_torn_or_uncounted_under_load() {
    under_load(Policy::Drop);
    under_load(Policy::Overwrite);
}
