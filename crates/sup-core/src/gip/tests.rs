//! The page as a session gets it, over the test host, whose timer never ticks.

extern crate std;

use core::sync::atomic::Ordering;

use sup_alloc::Arc;

use sup_abi::Nanoseconds;

use super::update::{self, Updater};
use super::{NEVER_UPDATED_HZ, UPDATE_INTERVAL};
use crate::Driver;
use crate::host::{CpuIdentity, GipMemory, Host};
use crate::testing::TestHost;

/// A driver in asynchronous mode that was told of four processors.
fn four_processors() -> Arc<Driver<TestHost>> {
    let host = TestHost::default();
    host.record.more_cpus.store(3, Ordering::Relaxed);
    let driver = Driver::start(host).unwrap();
    driver.host().on_each_cpu(&mut |cpu| driver.cpu_comes(cpu));
    driver
}

/// Spec 5.1, step 5, and 5.4, steps 6 and 7.
#[test]
fn an_entry_begins_with_marks_that_its_first_ticks_overwrite() {
    let driver = four_processors();
    let entry = &driver.gip().memory().cpus()[3];
    let (relaxed, never) = (Ordering::Relaxed, 42_949_672);
    let history = || entry.au32TSCHistory.each_ref().map(|slot| slot.load(relaxed));
    assert_eq!(entry.u32UpdateIntervalTSC.load(relaxed), never);
    assert_eq!(entry.u64CpuHz.load(relaxed), NEVER_UPDATED_HZ);
    assert_eq!(history(), [never; 8]);

    let mut updater = Updater::new(UPDATE_INTERVAL);
    updater.believe(3_000_000_000);
    let mut tick = |now: u64, tsc| {
        update::publish(entry, &mut updater, || (Nanoseconds::new(now), tsc));
        (history(), entry.u32PrevUpdateIntervalNS.load(relaxed))
    };
    // The first has an interval as it is believed to be, the second comes at once.
    let mut expected = [never; 8];
    expected[1] = 30_000_000;
    assert_eq!(tick(1_000_000_000, 50), (expected, 10_000_000));
    assert_eq!(tick(1_000_001_000, 3_050), ([3_000; 8], 1_000));
    assert_eq!(tick(1_010_001_000, 30_003_060), ([30_000_010; 8], 10_000_000));
    expected = [30_000_010; 8];
    expected[4] = 30_000_000;
    assert_eq!(tick(1_020_001_000, 60_003_060), (expected, 10_000_000));
}

#[test]
fn every_processor_has_a_true_line_before_the_first_timer_tick() {
    let driver = four_processors();
    let session = driver.open_session(()).unwrap();
    driver.map_gip(&session).unwrap();
    let entries = driver.gip().memory().cpus();
    assert_eq!(entries.len(), 4);
    for entry in entries {
        assert_ne!(entry.u64CpuHz.load(Ordering::Relaxed), NEVER_UPDATED_HZ);
    }
    driver.close_session(session);
}

#[test]
fn a_processor_that_comes_back_starts_a_new_line_if_the_page_is_in_use() {
    let driver = four_processors();
    let entry = &driver.gip().memory().cpus()[2];
    let transaction = || entry.u32TransactionId.load(Ordering::Relaxed);
    let away_and_back = || {
        driver.cpu_goes(2);
        driver.host().record.current_cpu.store(2, Ordering::Relaxed);
        driver.cpu_comes(CpuIdentity { index: 2, apic: 2 });
        driver.host().record.current_cpu.store(0, Ordering::Relaxed);
    };
    let untouched = transaction();
    away_and_back();
    assert_eq!(transaction(), untouched, "nobody uses the page");
    let session = driver.open_session(()).unwrap();
    driver.map_gip(&session).unwrap();
    let first = transaction();
    away_and_back();
    assert_eq!(transaction(), first + 2);
    assert_eq!(driver.gip_page().cOnlineCpus.load(Ordering::Relaxed), 4);
    driver.close_session(session);
}

#[test]
fn ring_zero_counts_as_a_user_without_a_mapping() {
    let driver = four_processors();
    let session = driver.open_session(()).unwrap();
    let is_running = || driver.gip().is_running.load(Ordering::Relaxed);
    for _ in 0..2 {
        driver.want_gip_updates(&session).unwrap();
        assert!(is_running());
    }
    driver.map_gip(&session).unwrap();
    driver.unmap_gip(&session);
    assert!(!is_running(), "one unmap undoes all maps");
    driver.want_gip_updates(&session).unwrap();
    driver.close_session(session);
    assert!(!is_running(), "the end of the session undoes them too");
}
