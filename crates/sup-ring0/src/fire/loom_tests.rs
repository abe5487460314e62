//! The gate under loom: a tracer's memory is given back only when no hit is in the tracer, nor will be.
//!
//! The gate itself is machine code, because all registers have to stay, and loom needs Rust: [`Gate`] has its
//! steps one by one, and those of [`aim`](super::aim) and [`is_quiet`](super::is_quiet). Neighbours: `tests` fires
//! through the real one from many threads. Invariant: with the gate's steps no model fails, and with any of them
//! left out or weakened one does.

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};
use loom::thread;

/// What of the gate is done, and what is left out to see that it is missed.
#[derive(Debug, Clone, Copy)]
struct Steps {
    /// `lock inc` is a full barrier.
    hit_fence: bool,
    /// The exchange in `aim` is one.
    end_fence: bool,
    /// `lock dec` is a release, and more.
    leave: Ordering,
    /// What `is_quiet` loads the counts with.
    look: Ordering,
}

const STEPS: Steps =
    Steps { hit_fence: true, end_fence: true, leave: Ordering::Release, look: Ordering::Acquire };

#[derive(Default)]
struct Gate {
    stripes: [AtomicU64; 2],
    is_tracer_there: AtomicBool,
    /// Read by the tracer in a hit, and changed when it is gone: loom reports whoever is still inside.
    tracer: UnsafeCell<()>,
}

impl Gate {
    fn hit(&self, stripe: usize, steps: Steps) {
        // Relaxed: what it orders is the fence's, so that a model can go without.
        self.stripes[stripe].fetch_add(1, Ordering::Relaxed);
        if steps.hit_fence {
            fence(Ordering::SeqCst);
        }
        // Acquire: any load is one on this processor.
        if self.is_tracer_there.load(Ordering::Acquire) {
            self.tracer.with(|_| ());
        }
        self.stripes[stripe].fetch_sub(1, steps.leave);
    }

    /// `aim(None)`, and the wait of the host's that follows.
    fn end(&self, steps: Steps) {
        // Relaxed: as above.
        self.is_tracer_there.swap(false, Ordering::Relaxed);
        if steps.end_fence {
            fence(Ordering::SeqCst);
        }
        while !self.stripes.iter().all(|inside| inside.load(steps.look) == 0) {
            thread::yield_now();
        }
        self.tracer.with_mut(|_| ());
    }

    /// `aim(Some)`, of a tracer that has just been made.
    fn begin(&self) {
        self.tracer.with_mut(|_| ());
        self.is_tracer_there.swap(true, Ordering::SeqCst);
    }
}

/// Two threads fire, each through its stripe, while the tracer goes, as often as one comes.
fn fire_against_the_end(stripes: [usize; 2], tracers: u32, steps: Steps) {
    loom::model(move || {
        let gate = Arc::new(Gate::default());
        gate.begin();
        let threads = stripes.map(|stripe| {
            let gate = gate.clone();
            thread::spawn(move || gate.hit(stripe, steps))
        });
        gate.end(steps);
        for _ in 1..tracers {
            gate.begin();
            gate.end(steps);
        }
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

#[test]
fn loom_no_hit_is_in_a_tracer_that_is_gone() {
    fire_against_the_end([0, 1], 1, STEPS);
    fire_against_the_end([0, 0], 1, STEPS);
}

#[test]
fn loom_no_hit_is_in_a_tracer_that_is_gone_when_the_next_one_comes() {
    fire_against_the_end([0, 1], 2, STEPS);
}

#[test]
#[should_panic]
fn loom_a_hit_without_its_barrier_is_found() {
    fire_against_the_end([0, 1], 1, Steps { hit_fence: false, ..STEPS });
}

#[test]
#[should_panic]
fn loom_an_end_without_its_barrier_is_found() {
    fire_against_the_end([0, 1], 1, Steps { end_fence: false, ..STEPS });
}

#[test]
#[should_panic]
fn loom_a_weak_leave_is_found() {
    fire_against_the_end([0, 1], 1, Steps { leave: Ordering::Relaxed, ..STEPS });
}

#[test]
#[should_panic]
fn loom_a_weak_look_is_found() {
    fire_against_the_end([0, 1], 1, Steps { look: Ordering::Relaxed, ..STEPS });
}
