//! The processors: which there are, who they are, and what their registers say.

use std::arch::x86_64::__cpuid_count;
use std::fs;
use std::os::unix::fs::FileExt;
use std::sync::OnceLock;

use rustix::thread::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity};
use sup_core::host::{ControlRegisters, CpuIdentity, CpuSummary};
use sup_core::platform::apic_id;

/// The highest processor number in a kernel list like `0-3,7`, and how many it names.
fn parse_list(list: &str) -> Option<(u16, u16)> {
    let mut highest = 0;
    let mut count = 0_u16;
    for part in list.trim().split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (first.parse::<u16>().ok()?, last.parse::<u16>().ok()?);
        highest = highest.max(last);
        count = count.checked_add(last.checked_sub(first)?.checked_add(1)?)?;
    }
    Some((highest, count))
}

fn list(name: &str) -> Option<(u16, u16)> {
    parse_list(&fs::read_to_string(format!("/sys/devices/system/cpu/{name}")).ok()?)
}

/// Counts the processors. Without sysfs, those that the scheduler gives this process.
pub(crate) fn summary() -> CpuSummary {
    let available = std::thread::available_parallelism().map_or(1, |count| count.get() as u16);
    let fallback = (available - 1, available);
    let (_, online) = list("online").unwrap_or(fallback);
    let (_, present) = list("present").unwrap_or(fallback);
    // What sysfs calls possible may be hundreds on a machine that has two; the table is for those
    // that are there or were brought up before.
    let (highest_present, _) = list("present").unwrap_or(fallback);
    let (highest_online, _) = list("online").unwrap_or(fallback);
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

/// Keeps the current thread on one processor.
pub(crate) fn pin_to(index: usize) {
    let mut only = CpuSet::new();
    only.set(index);
    // A processor that went offline cannot be had; its entry then just gets no ticks.
    let _ = sched_setaffinity(None, &only);
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
    fn kernel_lists_are_read() {
        assert_eq!(parse_list("0-3,7\n"), Some((7, 5)));
        assert_eq!(parse_list("0"), Some((0, 1)));
        assert_eq!(parse_list(""), None);
        assert_eq!(parse_list("3-1"), None);
    }

    #[test]
    fn every_processor_is_visited_and_the_thread_comes_back() {
        let before = sched_getaffinity(None).unwrap();
        let mut visited = Vec::new();
        on_each(&mut |cpu| visited.push(cpu.index));
        assert_eq!(visited.len(), before.count() as usize);
        assert_eq!(sched_getaffinity(None).unwrap(), before);
    }
}
