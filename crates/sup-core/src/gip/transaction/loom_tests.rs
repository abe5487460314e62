//! The transaction under loom: every interleaving, and every reordering that the orderings allow.
//!
//! `RUSTFLAGS="--cfg loom" LOOM_MAX_PREEMPTIONS=3 cargo test --release -p sup-core --lib loom_`.
//!
//! The counter is a cell that each look adds one to. The writer's look orders nothing, so that its fence has
//! to; a reader's look brings along what was visible when the counter stood there, and no later load comes
//! before it, as `Counter` demands of the host.

extern crate std;

use loom::sync::Arc;
use loom::sync::atomic::{AtomicU32, AtomicU64};
use loom::thread;

use super::*;

const INTERVAL_NS: u32 = 8;
/// Eight nanoseconds a tick, and then lines that are bent: whoever stays on the first one is ahead.
const SLOPES: [u32; 3] = [1, 8, 2];

struct Model {
    id: AtomicU32,
    nanos: AtomicU64,
    tsc: AtomicU64,
    interval_tsc: AtomicU32,
    counter: AtomicU64,
    /// The highest time that a reader has told.
    told: AtomicU64,
}

impl Cells for Model {
    fn id(&self, order: Ordering) -> u32 {
        self.id.load(order)
    }

    fn set_id(&self, id: u32, order: Ordering) {
        self.id.store(id, order);
    }

    fn line(&self, interval_ns: u32, order: Ordering) -> Line {
        Line {
            nanos: self.nanos.load(order),
            tsc: self.tsc.load(order),
            interval_tsc: self.interval_tsc.load(order),
            interval_ns,
        }
    }

    fn set_line(&self, line: Line, order: Ordering) {
        self.nanos.store(line.nanos, order);
        self.tsc.store(line.tsc, order);
        self.interval_tsc.store(line.interval_tsc, order);
    }
}

const FIRST: Line = Line { nanos: 1000, tsc: 0, interval_tsc: SLOPES[0], interval_ns: INTERVAL_NS };

impl Model {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            id: AtomicU32::new(2),
            nanos: AtomicU64::new(FIRST.nanos),
            tsc: AtomicU64::new(FIRST.tsc),
            interval_tsc: AtomicU32::new(FIRST.interval_tsc),
            counter: AtomicU64::new(1),
            told: AtomicU64::new(0),
        })
    }

    /// Bends the line, so many times.
    fn write(&self, updates: usize) {
        let mut line = FIRST;
        for slope in SLOPES.iter().skip(1).take(updates) {
            let change = Change::begin(self);
            let tsc = self.counter.fetch_add(1, Ordering::Relaxed);
            line = Line { nanos: line.at(tsc).unwrap(), tsc, interval_tsc: *slope, ..line };
            change.end(line);
        }
    }

    fn counter_and_id(&self) -> (u64, u32) {
        let tsc = self.counter.fetch_add(1, Ordering::Acquire);
        (tsc, self.id(Ordering::Relaxed))
    }

    /// A reader that looks at the entry anew; `None` if it was changing.
    fn look(&self) -> Option<u64> {
        let (id, line) = read(self, INTERVAL_NS);
        let (tsc, again) = self.counter_and_id();
        is_whole(id, again).then(|| line.at(tsc).expect("a line that is not torn"))
    }

    /// One that has kept the first line.
    fn by_first_line(&self) -> Option<u64> {
        let (tsc, again) = self.counter_and_id();
        is_whole(2, again).then(|| FIRST.at(tsc).unwrap())
    }

    fn tell(&self, now: Option<u64>) {
        if let Some(now) = now {
            self.told.fetch_max(now, Ordering::Release);
        }
    }

    fn check(&self, read: impl Fn(&Self) -> Option<u64>) {
        let least = self.told.load(Ordering::Acquire);
        if let Some(now) = read(self) {
            assert!(now >= least, "{now} after {least}");
        }
    }
}

/// The line that a reader finds is one that was written, and not parts of two.
#[test]
fn loom_a_line_is_never_torn() {
    loom::model(|| {
        let model = Model::new();
        let writer = model.clone();
        let thread = thread::spawn(move || writer.write(2));
        let (id, line) = read(&*model, INTERVAL_NS);
        if is_whole(id, model.id(Ordering::Relaxed)) {
            let slope = SLOPES[(id as usize - 2) / 2];
            assert_eq!(line.interval_tsc, slope, "of update {id}");
            assert!(id != 2 || line == FIRST);
        }
        thread.join().unwrap();
    });
}

#[test]
fn loom_time_does_not_go_back_between_readers_that_look() {
    loom::model(|| {
        let model = Model::new();
        let (writer, reader) = (model.clone(), model.clone());
        let threads = [
            thread::spawn(move || writer.write(1)),
            thread::spawn(move || reader.tell(reader.look())),
        ];
        model.check(Model::look);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        // Nobody writes any more, so the next read succeeds.
        model.check(|model| Some(model.look().unwrap()));
    });
}

#[test]
fn loom_time_does_not_go_back_behind_a_reader_that_kept_its_line() {
    loom::model(|| {
        let model = Model::new();
        let (writer, reader) = (model.clone(), model.clone());
        let threads = [
            thread::spawn(move || writer.write(1)),
            thread::spawn(move || reader.tell(reader.by_first_line())),
        ];
        model.check(Model::look);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        model.check(|model| Some(model.look().unwrap()));
    });
}
