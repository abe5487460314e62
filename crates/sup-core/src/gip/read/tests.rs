//! Snapshots against looks, over the test host's page and a counter that stands where a test puts it.

extern crate std;

use std::cell::Cell;

use proptest::prelude::*;
use sup_abi::Nanoseconds;

use super::*;
use crate::Driver;
use crate::gip::update::{Updater, publish};
use crate::host::GipMemory;
use crate::testing::TestHost;

struct Standing(Cell<u64>);

impl Counter for Standing {
    fn read_before(&self, cell: &AtomicU32) -> (u64, u32) {
        (self.0.get(), cell.load(Ordering::Acquire))
    }

    fn current_cpu(&self) -> u16 {
        0
    }
}

/// Runs `check` over a page whose first entry is updated by the given updater from then on.
fn with_page(check: impl FnOnce(&SUPGLOBALINFOPAGE, &[SUPGIPCPU])) {
    let driver = Driver::start(TestHost::default()).unwrap();
    let gip = driver.gip();
    check(gip.memory().page(), gip.memory().cpus());
}

fn updater(hz: u64) -> Updater {
    let mut updater = Updater::new(Nanoseconds::new(10_000_000));
    updater.believe(hz);
    updater
}

#[test]
fn snapshot_of_nothing_never_says_the_time() {
    with_page(|page, cpus| {
        for tsc in [0, 1, u64::MAX / 2, u64::MAX / 2 + 1, u64::MAX] {
            let counter = Standing(Cell::new(tsc));
            assert_eq!(Snapshot::NONE.nanoseconds(page, cpus, &counter), None, "{tsc}");
        }
    });
}

#[test]
fn snapshot_is_over_with_the_next_update_and_while_one_runs() {
    with_page(|page, cpus| {
        let counter = Standing(Cell::new(1_000));
        let mut updater = updater(1_000_000_000);
        publish(&cpus[0], &mut updater, || (Nanoseconds::new(5_000), 1_000));
        let snapshot = look(page, cpus, &counter).unwrap().snapshot.unwrap();
        counter.0.set(1_250);
        assert_eq!(snapshot.nanoseconds(page, cpus, &counter), Some(5_250));
        publish(&cpus[0], &mut updater, || {
            assert_eq!(snapshot.nanoseconds(page, cpus, &counter), None, "an update runs");
            assert_eq!(look(page, cpus, &counter), None, "an update runs");
            (Nanoseconds::new(5_300), 1_300)
        });
        assert_eq!(snapshot.nanoseconds(page, cpus, &counter), None);
    });
}

#[test]
fn snapshot_is_over_with_the_page() {
    with_page(|page, cpus| {
        let counter = Standing(Cell::new(1_000));
        publish(&cpus[0], &mut updater(1_000_000_000), || (Nanoseconds::new(5_000), 1_000));
        let snapshot = look(page, cpus, &counter).unwrap().snapshot.unwrap();
        page.u32Magic.store(0, Ordering::Relaxed);
        assert_eq!(snapshot.nanoseconds(page, cpus, &counter), None);
    });
}

#[test]
fn counter_that_ran_too_far_is_not_believed() {
    with_page(|page, cpus| {
        let counter = Standing(Cell::new(1_000));
        publish(&cpus[0], &mut updater(1_000_000_000), || (Nanoseconds::new(5_000), 1_000));
        let snapshot = look(page, cpus, &counter).unwrap().snapshot.unwrap();
        for tsc in [999, 1_001 + crate::gip::update::MAX_COUNTER_GAP] {
            counter.0.set(tsc);
            assert_eq!(snapshot.nanoseconds(page, cpus, &counter), None, "{tsc}");
            assert_eq!(look(page, cpus, &counter), None, "{tsc}");
        }
    });
}

proptest! {
    /// Readers that kept their snapshot and readers that look anew never see each other's past.
    #[test]
    fn kept_and_fresh_readers_agree_and_never_go_back(
        hz in 500_000_000_u64..5_000_000_000,
        steps in prop::collection::vec((1_u64..40_000_000, -20_000_i64..20_000, 0_u64..100), 1..200),
    ) {
        let host = Driver::start(TestHost::default()).unwrap();
        let (page, cpus) = (host.gip().memory().page(), host.gip().memory().cpus());
        let counter = Standing(Cell::new(0));
        let mut updater = updater(hz);
        let (mut now, mut kept, mut last) = (1_000_000_000_u64, Snapshot::NONE, 0);
        for (gap, jitter, percent) in steps {
            let tsc = |now: u64| (u128::from(now) * u128::from(hz) / 1_000_000_000) as u64;
            publish(&cpus[0], &mut updater, || {
                (Nanoseconds::new(now.saturating_add_signed(jitter)), tsc(now))
            });
            for at in [now, now + gap * percent / 100, now + gap] {
                counter.0.set(tsc(at));
                let fresh = look(page, cpus, &counter).unwrap();
                if kept.nanoseconds(page, cpus, &counter).is_none() {
                    kept = fresh.snapshot.unwrap();
                }
                prop_assert_eq!(kept.nanoseconds(page, cpus, &counter), Some(fresh.nanoseconds));
                prop_assert!(fresh.nanoseconds >= last, "{} after {last}", fresh.nanoseconds);
                last = fresh.nanoseconds;
            }
            now += gap;
        }
    }
}
