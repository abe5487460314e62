//! The Global Information Page: what it says, how well it keeps time, how fast it is read.

use std::hint::black_box;

use sup::{AddressSource, Gip, Session};

use super::check::{Finding, Outcome, ns_per_round, require};
use crate::gip::{mode_name, monotonic_ns};

const SECOND_NS: u64 = 1_000_000_000;

/// The page is there, complete, and kept up to date.
pub(super) fn page(session: &Session) -> Outcome {
    let gip = session.gip()?;
    let cpus = gip.cpus().count();
    require(gip.update_hz() > 0, || "the page says that it is never updated".to_owned())?;
    require(cpus > 0 && cpus == usize::from(gip.online_cpus()), || {
        format!("the page counts {} CPUs, and has entries for {cpus}", gip.online_cpus())
    })?;
    let detail = format!(
        "{}, {cpus} CPU{}; at {}, {}",
        mode_name(gip.mode()),
        if cpus == 1 { "" } else { "s" },
        gip.physical_address(),
        match gip.address_source() {
            AddressSource::Machine => "the machine's address",
            AddressSource::Synthetic => "a synthetic address",
        }
    );
    Ok(Finding { figure: gip.update_hz().into(), detail })
}

/// For a second the page's time never goes back, and never differs from `CLOCK_MONOTONIC` by 100 µs
/// beyond the time that the reading itself took.
pub(super) fn follows_monotonic(session: &Session) -> Outcome {
    const WORST_NS: u64 = 100_000;
    let gip = session.gip()?;
    let updates_before = updates(&gip);
    let end = monotonic_ns() + SECOND_NS;
    let (mut samples, mut last, mut worst) = (0_u64, 0, 0);
    loop {
        let before = monotonic_ns();
        let now = gip.now_ns();
        let after = monotonic_ns();
        require(now >= last, || format!("the time went back from {last} to {now} ns"))?;
        last = now;
        worst = worst.max(difference_ns(before, now, after));
        samples += 1;
        if after >= end {
            break;
        }
    }
    let updates = updates(&gip).wrapping_sub(updates_before);
    require(gip.try_now_ns().is_some(), || "the page does not know the time".to_owned())?;
    require(updates > 0, || "the page was not updated for a second".to_owned())?;
    require(worst < WORST_NS, || format!("{worst} ns from CLOCK_MONOTONIC, {WORST_NS} allowed"))?;
    let detail = format!(
        "against CLOCK_MONOTONIC for a second: {samples} samples, {updates} updates, never back"
    );
    Ok(Finding { figure: worst as f64, detail })
}

/// How far `now` is from the middle of the bracket it was read in, beyond what the bracket allows.
fn difference_ns(before: u64, now: u64, after: u64) -> u64 {
    let half = after.saturating_sub(before) / 2;
    now.abs_diff(before + half).saturating_sub(half)
}

/// Updates of all processors' entries so far; each is two transactions.
fn updates(gip: &Gip) -> u32 {
    gip.cpus().map(|cpu| cpu.transaction / 2).fold(0, u32::wrapping_add)
}

/// The time is read in no time.
pub(super) fn reads(session: &Session) -> Outcome {
    let gip = session.gip()?;
    let ns = ns_per_round(2_000_000, || {
        black_box(gip.now_ns());
        Ok(())
    })?;
    let system = ns_per_round(500_000, || {
        black_box(monotonic_ns());
        Ok(())
    })?;
    let detail = format!("{ns:.1} ns a read, clock_gettime takes {system:.1} ns");
    Ok(Finding { figure: 1e3 / ns, detail })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_bracket_cannot_explain_is_a_difference() {
        assert_eq!(difference_ns(100, 100, 200), 0);
        assert_eq!(difference_ns(100, 200, 200), 0);
        assert_eq!(difference_ns(100, 207, 200), 7);
        assert_eq!(difference_ns(100, 93, 200), 7);
        assert_eq!(difference_ns(100, 95, 100), 5);
    }
}
