//! Hits through the function that modules import, to a tracer that looks at what arrives.

extern crate std;

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::vec::Vec;

use super::{Entry, STACK_ARGUMENTS, aim, is_quiet, supr0_tracer_fire_probe};

type Fire = unsafe extern "C" fn(u64, u64, u64, u64, u64, u64, u64, u64, u64, u64, u64) -> u64;

/// The aim is the process'.
static ALONE: Mutex<()> = Mutex::new(());
static SEEN: Mutex<Vec<[u64; 11]>> = Mutex::new(Vec::new());

fn fire(arguments: [u64; 11]) {
    // SAFETY: the function passes its arguments on, to a tracer that takes so many, or to nobody.
    let fire =
        unsafe { std::mem::transmute::<*const (), Fire>(supr0_tracer_fire_probe as *const ()) };
    let [a, b, c, d, e, f, g, h, i, j, k] = arguments;
    // SAFETY: any values may be passed.
    unsafe { fire(a, b, c, d, e, f, g, h, i, j, k) };
}

extern "C" fn note(
    a: u64,
    b: u64,
    c: u64,
    d: u64,
    e: u64,
    f: u64,
    g: u64,
    h: u64,
    i: u64,
    j: u64,
    k: u64,
) {
    SEEN.lock().unwrap().push([a, b, c, d, e, f, g, h, i, j, k]);
}

#[test]
fn a_hit_arrives_with_its_registers_and_its_stack() {
    let _alone = ALONE.lock().unwrap();
    const ARGUMENTS: [u64; 11] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11];
    const { assert!(ARGUMENTS.len() - 6 <= STACK_ARGUMENTS) };
    fire(ARGUMENTS);
    aim(Some(Entry(note as *const ())));
    fire(ARGUMENTS);
    assert!(is_quiet());
    aim(None);
    fire(ARGUMENTS);
    assert_eq!(*SEEN.lock().unwrap(), [ARGUMENTS]);
}

static IS_THERE: AtomicBool = AtomicBool::new(false);
static HITS: AtomicU64 = AtomicU64::new(0);
static LATE: AtomicU64 = AtomicU64::new(0);

/// A tracer that is gone when `IS_THERE` says so.
extern "C" fn look(_location: u64) {
    HITS.fetch_add(1, Ordering::Relaxed);
    for _ in 0..20 {
        if !IS_THERE.load(Ordering::SeqCst) {
            LATE.fetch_add(1, Ordering::Relaxed);
        }
        std::hint::spin_loop();
    }
}

/// The end of a tracer, under fire from eight threads, a thousand times.
#[test]
fn nobody_is_in_a_tracer_that_is_gone() {
    let _alone = ALONE.lock().unwrap();
    let is_over = AtomicBool::new(false);
    let rounds = if cfg!(miri) { 3 } else { 1_000 };
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    (0..50).for_each(|_| fire([0; 11]));
                    // Or each round would take as long as eight threads may run.
                    thread::yield_now();
                }
            });
        }
        for round in 0..rounds {
            IS_THERE.store(true, Ordering::SeqCst);
            let before = HITS.load(Ordering::Relaxed);
            aim(Some(Entry(look as *const ())));
            thread::yield_now();
            // Often enough in the middle of fire, however busy the machine is.
            while round % 10 == 0 && HITS.load(Ordering::Relaxed) == before {
                thread::yield_now();
            }
            aim(None);
            while !is_quiet() {
                thread::yield_now();
            }
            IS_THERE.store(false, Ordering::SeqCst);
        }
        is_over.store(true, Ordering::Relaxed);
    });
    assert_eq!(LATE.load(Ordering::Relaxed), 0);
}
