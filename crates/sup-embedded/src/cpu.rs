//! The processors: which there are, who they are, and what their registers say.

use std::arch::x86_64::__cpuid_count;
use std::fs;
use std::ops::RangeInclusive;
use std::os::unix::fs::FileExt;
use std::sync::OnceLock;

use rustix::thread::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity};
use sup_core::host::{ControlRegisters, CpuIdentity, CpuSummary};
use sup_core::platform::apic_id;

/// Where the kernel lists the processors that run.
pub(crate) const ONLINE: &str = "/sys/devices/system/cpu/online";

/// The ranges of a kernel list like `0-3,7`, each not empty.
pub(crate) fn ranges(list: &str) -> Option<Vec<RangeInclusive<u16>>> {
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (first.parse::<u16>().ok()?, last.parse::<u16>().ok()?);
        (first <= last).then_some(first..=last)
    };
    list.trim().split(',').map(range).collect()
}

/// The highest processor number in a list of the kernel's, and how many it names.
fn list(path: &str) -> Option<(u16, u16)> {
    let ranges = ranges(&fs::read_to_string(path).ok()?)?;
    let highest = ranges.iter().map(|range| *range.end()).max()?;
    let count = ranges.into_iter().map(Iterator::count).sum::<usize>();
    Some((highest, u16::try_from(count).ok()?))
}

/// The processors that the current thread may run on, also those that are not there just now.
pub(crate) fn allowed() -> Option<Vec<RangeInclusive<u16>>> {
    let status = fs::read_to_string("/proc/thread-self/status").ok()?;
    ranges(status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?)
}

/// Counts the processors. Without sysfs, those that the scheduler gives this process.
pub(crate) fn summary() -> CpuSummary {
    let available = std::thread::available_parallelism().map_or(1, |count| count.get() as u16);
    let fallback = (available - 1, available);
    const PRESENT: &str = "/sys/devices/system/cpu/present";
    let (highest_online, online) = list(ONLINE).unwrap_or(fallback);
    let (highest_present, present) = list(PRESENT).unwrap_or(fallback);
    // What sysfs calls possible may be hundreds on a machine that has two; the table is for those
    // that are there or were brought up before.
    let highest = highest_present.max(highest_online);
    CpuSummary { table_size: highest + 1, online, present, possible: highest + 1 }
}

/// The current processor.
pub(crate) fn current() -> CpuIdentity {
    CpuIdentity { index: u16::try_from(sched_getcpu()).unwrap_or(u16::MAX), apic: apic_id(cpuid) }
}

/// Calls `visit` on each processor that this thread may run on, and comes back to where it may.
pub(crate) fn on_each(visit: &mut dyn FnMut(CpuIdentity)) {
    let Ok(allowed) = sched_getaffinity(None) else {
        visit(current());
        return;
    };
    for index in (0..CpuSet::MAX_CPU).filter(|index| allowed.is_set(*index)) {
        let mut only = CpuSet::new();
        only.set(index);
        // A processor that just went offline is left out.
        if sched_setaffinity(None, &only).is_ok() {
            visit(current());
        }
    }
    // The set was this thread's own a moment ago; if it is not any more, the last one stays.
    let _ = sched_setaffinity(None, &allowed);
}

/// Keeps the current thread on one processor; false if it is not to be had, as while it is offline.
pub(crate) fn pin_to(index: u16) -> bool {
    let mut only = CpuSet::new();
    only.set(index.into());
    sched_setaffinity(None, &only).is_ok()
}

/// Calls `visit` on one processor, if it can be had, and goes back to where the thread may run.
pub(crate) fn visit(index: u16, visit: impl FnOnce(CpuIdentity)) {
    let allowed = sched_getaffinity(None);
    if pin_to(index) {
        visit(current());
        if let Ok(allowed) = allowed {
            // The set was this thread's own a moment ago; if it is not any more, this one stays.
            let _ = sched_setaffinity(None, &allowed);
        }
    }
}

/// `CPUID`.
pub(crate) fn cpuid(leaf: u32, subleaf: u32) -> [u32; 4] {
    let result = __cpuid_count(leaf, subleaf);
    [result.eax, result.ebx, result.ecx, result.edx]
}

/// A model specific register of the current processor, from the kernel's msr driver.
pub(crate) fn read_msr(register: u32) -> Option<u64> {
    let device = fs::File::open(format!("/dev/cpu/{}/msr", sched_getcpu())).ok()?;
    let mut value = [0; 8];
    device.read_exact_at(&mut value, u64::from(register)).ok()?;
    Some(u64::from_ne_bytes(value))
}

/// What a process cannot read, but a 64-bit Linux always sets: protected mode, paging, PAE and long
/// mode; global pages and no-execute as the kernel says that it uses them.
pub(crate) fn control_registers() -> ControlRegisters {
    static REGISTERS: OnceLock<ControlRegisters> = OnceLock::new();
    *REGISTERS.get_or_init(stand_in_registers)
}

fn stand_in_registers() -> ControlRegisters {
    const CR0_PE_PG: u64 = 1 | 1 << 31;
    const CR4_PAE: u64 = 1 << 5;
    const CR4_PGE: u64 = 1 << 7;
    const EFER_LME_LMA: u64 = 1 << 8 | 1 << 10;
    const EFER_NXE: u64 = 1 << 11;
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let flags = info.lines().find(|line| line.starts_with("flags")).unwrap_or_default();
    let has = |flag| flags.split_ascii_whitespace().any(|word| word == flag);
    ControlRegisters {
        cr0: CR0_PE_PG,
        cr4: CR4_PAE | if has("pge") { CR4_PGE } else { 0 },
        efer: EFER_LME_LMA | if has("nx") { EFER_NXE } else { 0 },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_ranges_and_numbers() {
        assert_eq!(ranges("0-3,7\n"), Some(vec![0..=3, 7..=7]));
        assert_eq!(ranges("0\n"), Some(vec![0..=0]));
        for wrong in ["", "\n", "3-1", "a", "0-", "0-70000"] {
            assert_eq!(ranges(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn every_processor_is_visited_and_the_thread_comes_back() {
        let before = sched_getaffinity(None).unwrap();
        let mut visited = Vec::new();
        on_each(&mut |cpu| visited.push(cpu.index));
        assert_eq!(visited.len(), before.count() as usize);
        assert_eq!(sched_getaffinity(None).unwrap(), before);
    }

    #[test]
    fn a_visit_leaves_the_thread_where_it_may_run() {
        let before = sched_getaffinity(None).unwrap();
        let highest = (0..CpuSet::MAX_CPU).rfind(|&index| before.is_set(index)).unwrap() as u16;
        let mut visited = None;
        visit(highest, |cpu| visited = Some(cpu.index));
        assert_eq!(visited, Some(highest));
        // No machine has it.
        visit(1023, |cpu| panic!("{cpu:?}"));
        assert_eq!(sched_getaffinity(None).unwrap(), before);
    }
}
