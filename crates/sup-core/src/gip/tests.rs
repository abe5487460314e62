//! The page as a session gets it, over the test host, whose timer never ticks.

extern crate std;

use core::sync::atomic::Ordering;

use super::NEVER_UPDATED_HZ;
use crate::Driver;
use crate::host::GipMemory;
use crate::testing::TestHost;

#[test]
fn every_processor_has_a_true_line_before_the_first_timer_tick() {
    let host = TestHost::default();
    host.record.more_cpus.store(3, Ordering::Relaxed);
    let driver = Driver::start(host).unwrap();
    let session = driver.open_session(()).unwrap();
    driver.map_gip(&session).unwrap();
    let entries = driver.gip().memory().cpus();
    assert_eq!(entries.len(), 4);
    for entry in entries {
        assert_ne!(entry.u64CpuHz.load(Ordering::Relaxed), NEVER_UPDATED_HZ);
    }
    driver.close_session(session);
}
