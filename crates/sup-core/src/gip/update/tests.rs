//! The writer's arithmetic against synthetic clocks: monotonic, bounded, recovering.

extern crate std;

use super::*;
use proptest::prelude::*;
use std::vec::Vec;

const INTERVAL: u64 = 10_000_000;

/// A machine whose counter runs at `hz`; the clock is exact.
struct Machine {
    hz: u64,
    now: u64,
}

impl Machine {
    fn tsc(&self) -> u64 {
        u64::try_from(u128::from(self.now) * u128::from(self.hz) / 1_000_000_000).unwrap()
    }

    fn tick(&mut self, updater: &mut Updater, after: u64) -> Tick {
        self.now += after;
        updater.tick(Nanoseconds::new(self.now), self.tsc())
    }

    fn error(&self, updater: &Updater) -> i64 {
        let read = updater.line().at(self.tsc()).unwrap();
        read.wrapping_sub(self.now).cast_signed()
    }
}

fn updater(believed_hz: u64) -> Updater {
    let mut updater = Updater::new(Nanoseconds::new(INTERVAL));
    updater.believe(believed_hz);
    updater
}

#[test]
fn line_follows_an_exact_clock_to_the_nanosecond() {
    let mut machine = Machine { hz: 2_596_150_000, now: 5_000_000_000 };
    let mut updater = updater(2_596_000_000);
    for _ in 0..1_000 {
        machine.tick(&mut updater, INTERVAL);
    }
    for _ in 0..1_000 {
        machine.tick(&mut updater, INTERVAL);
        machine.now += INTERVAL / 2;
        let error = machine.error(&updater);
        assert!(error.abs() <= 5, "{error} ns");
        machine.now -= INTERVAL / 2;
    }
}

#[test]
fn wrong_first_guess_of_the_frequency_is_worked_off() {
    let mut machine = Machine { hz: 2_000_000_000, now: 1_000_000_000 };
    // One part in a thousand off.
    let mut updater = updater(2_002_000_000);
    for _ in 0..200 {
        machine.tick(&mut updater, INTERVAL);
    }
    let error = machine.error(&updater);
    assert!(error.abs() < 100, "{error} ns after two seconds");
}

#[test]
fn counter_that_jumps_back_is_an_error_and_the_next_line_is_true() {
    let mut updater = updater(1_000_000_000);
    updater.tick(Nanoseconds::new(1_000), 1 << 50);
    updater.tick(Nanoseconds::new(1_000 + INTERVAL), (1 << 50) + INTERVAL);
    let tick = updater.tick(Nanoseconds::new(1_000 + 2 * INTERVAL), 500);
    assert!(tick.is_error);
    assert_eq!(tick.line.nanos, 1_000 + 2 * INTERVAL);
    assert_eq!(tick.line.tsc, 500);
}

#[test]
fn clock_that_runs_ahead_while_the_counter_stood_is_caught_up_at_once() {
    let mut updater = updater(1_000_000_000);
    updater.tick(Nanoseconds::new(1_000), 1_000);
    updater.tick(Nanoseconds::new(1_000 + INTERVAL), 1_000 + INTERVAL);
    // The machine slept for an hour; the counter slept with it.
    let hour = 3_600_000_000_000;
    let tick = updater.tick(Nanoseconds::new(1_000 + 2 * INTERVAL + hour), 1_000 + 2 * INTERVAL);
    assert_eq!(tick.line.nanos, 1_000 + 2 * INTERVAL + hour);
}

#[test]
fn mul_div_is_exact() {
    assert_eq!(mul_div(u64::MAX, u64::MAX, u64::MAX), u64::MAX);
    assert_eq!(mul_div(u64::MAX, 2, 4), u64::MAX / 2);
    assert_eq!(mul_div(1, 1, 0), u64::MAX);
    assert_eq!(mul_div(u64::MAX, 3, 2), u64::MAX);
    assert_eq!(mul_div(0, 7, 3), 0);
}

proptest! {
    #[test]
    fn mul_div_is_the_wide_division(a: u64, b: u64, c in 1_u64..) {
        let exact = u128::from(a) * u128::from(b) / u128::from(c);
        prop_assert_eq!(mul_div(a, b, c), u64::try_from(exact).unwrap_or(u64::MAX));
    }

    /// Ticks at odd times, read in between at odd times: never back, and never far from the clock.
    #[test]
    fn readers_never_see_time_go_back(
        hz in 500_000_000_u64..5_000_000_000,
        guess_ppm in -200_i64..200,
        steps in prop::collection::vec((1_000_u64..40_000_000, 0_u64..100), 1..300),
    ) {
        let guess = hz.saturating_add_signed(hz.cast_signed() / 1_000_000 * guess_ppm);
        let mut machine = Machine { hz, now: 1_000_000_000 };
        let mut updater = updater(guess);
        machine.tick(&mut updater, 0);
        let mut last = 0;
        let mut readings = Vec::new();
        for (gap, percent) in steps {
            let before = gap * percent / 100;
            machine.now += before;
            readings.push(updater.line().at(machine.tsc()).unwrap());
            machine.tick(&mut updater, gap - before);
            readings.push(updater.line().at(machine.tsc()).unwrap());
            for reading in readings.drain(..) {
                prop_assert!(reading >= last, "{reading} after {last}");
                last = reading;
            }
            let error = machine.error(&updater);
            prop_assert!(error.abs() < 40_000_000 / 2_500, "{error} ns");
        }
    }
}
