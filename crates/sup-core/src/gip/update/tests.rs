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

/// Whether and how far lines went wrong while they were followed.
#[derive(Default)]
struct Follower {
    last: u64,
    errors: Vec<u64>,
}

impl Follower {
    fn read(&mut self, updater: &Updater, tsc: u64, now: u64) {
        let reading = updater.line().at(tsc).unwrap();
        assert!(reading >= self.last, "{reading} after {}", self.last);
        self.last = reading;
        self.errors.push(reading.abs_diff(now));
    }

    /// The error that this part of all does not exceed, in thousandths.
    fn quantile(&mut self, thousandths: usize) -> u64 {
        self.errors.sort_unstable();
        self.errors[(self.errors.len() - 1) * thousandths / 1000]
    }
}

#[test]
fn an_hour_of_drift_and_jitter_stays_within_the_bounds() {
    const HOUR_TICKS: u64 = 360_000;
    let mut updater = updater(2_500_000_000);
    let mut follower = Follower::default();
    // Sixteenths of a counter tick, so that slow drift is not lost in rounding.
    let (mut now, mut fine_tsc, mut noise) = (1_000_000_000_u64, 1_u64 << 40, 1_u64);
    for tick in 0..HOUR_TICKS {
        // Up to 20 parts in a million around 2.5 GHz, up and down in ten minutes, as with temperature.
        let phase = tick % 60_000;
        let ppm = 20 - (phase.min(60_000 - phase) / 750).cast_signed();
        let rate = 40_000_i64 * 1_000_000 + 40_000 * ppm;
        let mut pass = |nanos: u64| {
            now += nanos;
            fine_tsc += nanos * rate.unsigned_abs() / 1_000_000_000;
            (now, fine_tsc / 16)
        };
        // Ticks are late by up to a quarter of an interval, and now and then miss a few.
        noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let late = (noise >> 40) % 2_500_000;
        let missed = if noise >> 56 == 0 { 5 * INTERVAL } else { 0 };
        let (half, tsc) = pass(INTERVAL / 2);
        if tick > 1_000 {
            follower.read(&updater, tsc, half);
        }
        let (full, tsc) = pass(INTERVAL / 2 + late + missed);
        if tick > 1_000 {
            follower.read(&updater, tsc, full);
        }
        updater.tick(Nanoseconds::new(full), tsc);
    }
    let (median, p999) = (follower.quantile(500), follower.quantile(999));
    assert!(median <= 50 && p999 <= 1_000, "median {median} ns, 99.9 % {p999} ns");
}

#[test]
fn a_machine_that_was_stopped_or_suspended_is_true_again_and_never_went_back() {
    // The clock goes on and the counter stands; the other way round; both go on; and the counter starts
    // from zero, as after a suspension.
    let (second, hour) = (1_000_000_000_u64, 3_600_000_000_000_u64);
    for (clock_gap, counter_gap) in
        [(hour, 0), (0, second), (0, hour), (hour, hour), (second, u64::MAX / 2), (hour, u64::MAX)]
    {
        let (mut now, mut tsc) = (5_000_000_000_u64, 1_u64 << 44);
        let mut updater = updater(1_000_000_000);
        let mut follower = Follower::default();
        let mut run = |updater: &mut Updater, now: &mut u64, tsc: &mut u64, ticks| {
            for _ in 0..ticks {
                *now += INTERVAL;
                *tsc = tsc.wrapping_add(INTERVAL);
                updater.tick(Nanoseconds::new(*now), *tsc);
                follower.read(updater, *tsc, *now);
            }
        };
        run(&mut updater, &mut now, &mut tsc, 500);
        now += clock_gap;
        tsc = if counter_gap == u64::MAX { 77 } else { tsc.wrapping_add(counter_gap) };
        run(&mut updater, &mut now, &mut tsc, 3_000);
        let error = updater.line().at(tsc).unwrap().abs_diff(now);
        assert!(
            error <= 50,
            "{error} ns half a minute after gaps of {clock_gap} and {counter_gap}"
        );
    }
}

#[test]
fn a_counter_may_wrap() {
    let (mut now, mut tsc) = (5_000_000_000_u64, u64::MAX - 200 * INTERVAL);
    let mut updater = updater(1_000_000_000);
    let mut follower = Follower::default();
    for _ in 0..1_000 {
        (now, tsc) = (now + INTERVAL, tsc.wrapping_add(INTERVAL));
        assert!(!updater.tick(Nanoseconds::new(now), tsc).is_error);
        let (later, by) = (now + INTERVAL / 3, tsc.wrapping_add(INTERVAL / 3));
        follower.read(&updater, by, later);
        assert!(updater.line().at(by).unwrap().abs_diff(later) <= 2);
    }
    assert!(tsc < u64::MAX / 2, "it has wrapped");
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
