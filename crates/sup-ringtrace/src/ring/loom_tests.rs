//! The ring under loom: every interleaving, and every value that a weak memory may show.
//!
//! Neighbours: `tests` has what needs no interleaving. Invariant: with the orderings of the ring no model fails,
//! and each of the models `weak_` fails with one of them weakened.

use loom::sync::Arc;
use loom::thread;

use super::*;

struct Shared {
    head: Head,
    words: Vec<AtomicU64>,
    policy: Policy,
}

impl Shared {
    fn new(slots: usize, policy: Policy) -> Arc<Self> {
        let words = (0..slots * WORDS_PER_SLOT).map(|_| AtomicU64::new(0)).collect();
        let shared = Self { head: Head::new(), words, policy };
        shared.ring().reset();
        Arc::new(shared)
    }

    fn ring(&self) -> Ring<'_> {
        Ring::new(&self.words, self.policy).expect("a ring")
    }

    /// Two words that only belong together if they are of one record.
    fn write(&self, number: u64, orders: &Orders) -> bool {
        let record = Record { time_tsc: number, args: [0, 0, 0, 0, number], ..Record::default() };
        self.ring().write_with(&self.head, &record, orders)
    }
}

fn read_whole(reader: &mut Reader, ring: &Ring<'_>, orders: &Orders) -> Option<u64> {
    let record = reader.read_with(ring, orders)?;
    assert_ne!(record.time_tsc, 0, "a record that nobody wrote");
    assert_eq!(record.time_tsc, record.args[4], "torn");
    Some(record.time_tsc)
}

/// What a reader has got so far.
#[derive(Default)]
struct Got {
    reader: Reader,
    count: u64,
    last: u64,
}

impl Got {
    fn see(&mut self, ring: &Ring<'_>, orders: &Orders) {
        while let Some(number) = read_whole(&mut self.reader, ring, orders) {
            assert!(number > self.last, "{number} after {}", self.last);
            self.last = number;
            self.count += 1;
        }
    }
}

/// A writer and a reader: `count` records through two slots. The reader is the thread: loom follows back what a
/// later thread loads to the stores before it, and not the other way round if the writer loads in between.
fn one_writer(policy: Policy, count: u64, orders: Orders) {
    loom::model(move || {
        let shared = Shared::new(2, policy);
        let read = shared.clone();
        let thread = thread::spawn(move || {
            let mut got = Got::default();
            got.see(&read.ring(), &orders);
            got
        });
        let written = (1..=count).filter(|number| shared.write(*number, &orders)).count() as u64;
        let mut got = thread.join().unwrap();
        got.see(&shared.ring(), &orders);
        assert_eq!(got.count + got.reader.overwritten(), written);
        assert_eq!(written + shared.head.lost(), count);
    });
}

#[test]
fn loom_drops_and_reads() {
    one_writer(Policy::Drop, 3, ORDERS);
}

#[test]
fn loom_overwrites_and_reads() {
    one_writer(Policy::Overwrite, 3, ORDERS);
}

/// Two writers of one ring, and a reader when they are done.
fn two_writers(policy: Policy) {
    loom::model(move || {
        let shared = Shared::new(2, policy);
        let other = shared.clone();
        let thread = thread::spawn(move || u64::from(other.write(10, &ORDERS)));
        let mut written = u64::from(shared.write(1, &ORDERS));
        written += u64::from(shared.write(2, &ORDERS));
        written += thread.join().unwrap();
        let mut reader = Reader::default();
        let ring = shared.ring();
        let mut got = 0;
        while read_whole(&mut reader, &ring, &ORDERS).is_some() {
            got += 1;
        }
        assert_eq!(got + reader.overwritten(), written);
        assert_eq!(written + shared.head.lost(), 3);
    });
}

#[test]
fn loom_two_writers_drop() {
    two_writers(Policy::Drop);
}

#[test]
fn loom_two_writers_overwrite() {
    two_writers(Policy::Overwrite);
}

#[test]
#[should_panic]
fn loom_weak_publish_is_found() {
    one_writer(Policy::Drop, 1, Orders { publish: Ordering::Relaxed, ..ORDERS });
}

#[test]
#[should_panic]
fn loom_weak_look_is_found() {
    one_writer(Policy::Drop, 1, Orders { look: Ordering::Relaxed, ..ORDERS });
}

#[test]
#[should_panic]
fn loom_no_announcement_is_found() {
    one_writer(Policy::Overwrite, 3, Orders { announce: None, ..ORDERS });
}

#[test]
#[should_panic]
fn loom_no_second_look_is_found() {
    one_writer(Policy::Overwrite, 3, Orders { look_again: None, ..ORDERS });
}
