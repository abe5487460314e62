//! The processors: which there are, who they are, and what their registers say.

use core::arch::asm;
use core::arch::x86_64::{__cpuid_count, _rdtsc};
use core::ffi::c_void;

use sup_core::host::{ControlRegisters, CpuIdentity, CpuSummary};
use sup_core::platform::apic_id;
use sup_ring0::absolute::Segments;

use crate::shim::{Errno, raw};

/// Counts the processors.
pub(crate) fn summary() -> CpuSummary {
    let mut cpus = raw::Cpus::default();
    // SAFETY: the structure is this function's own, and the shim fills all of it.
    unsafe { raw::supdrv_cpus(&raw mut cpus) };
    let narrow = |count: u32| u16::try_from(count).unwrap_or(u16::MAX);
    CpuSummary {
        table_size: narrow(cpus.ids),
        online: narrow(cpus.online),
        present: narrow(cpus.present),
        possible: narrow(cpus.possible),
    }
}

/// The current processor. Never sleeps.
pub(crate) fn current() -> CpuIdentity {
    // SAFETY: the function has no precondition.
    let index = unsafe { raw::supdrv_current_cpu() };
    CpuIdentity { index: u16::try_from(index).unwrap_or(u16::MAX), apic: apic_id(cpuid) }
}

/// Calls `visit` on each online processor in turn, with interrupts off.
///
/// # Context
/// May sleep; `visit` may not.
pub(crate) fn on_each(visit: &mut dyn FnMut(CpuIdentity)) {
    let mut visit = visit;
    let context = (&raw mut visit).cast::<c_void>();
    // SAFETY: the context lives for the call, which returns after the last visit; visits come one
    // after the other, each before the next is asked for, so the exclusive borrow is one at a time.
    unsafe { raw::supdrv_on_each_cpu(visit_this, context) };
}

unsafe extern "C" fn visit_this(context: *mut c_void) {
    // SAFETY: `on_each` passed a pointer to its own borrow of the closure, valid and unshared during
    // this visit.
    let visit = unsafe { &mut *context.cast::<&mut dyn FnMut(CpuIdentity)>() };
    visit(current());
}

/// `CPUID`.
pub(crate) fn cpuid(leaf: u32, subleaf: u32) -> [u32; 4] {
    let result = __cpuid_count(leaf, subleaf);
    [result.eax, result.ebx, result.ecx, result.edx]
}

/// The time stamp counter, not before what precedes it and before what follows.
pub(crate) fn tsc() -> u64 {
    // SAFETY: the instruction only orders; every x86-64 processor has it.
    unsafe { asm!("lfence", options(nostack, preserves_flags)) };
    // SAFETY: every x86-64 processor has the instruction, and ring 0 may always use it.
    let tsc = unsafe { _rdtsc() };
    // SAFETY: the instruction only orders; every x86-64 processor has it.
    unsafe { asm!("lfence", options(nostack, preserves_flags)) };
    tsc
}

/// A model specific register of the current processor, if it has it.
pub(crate) fn read_msr(register: u32) -> Option<u64> {
    let mut value = 0;
    // SAFETY: the place is writable; the shim answers an error where the instruction would fault.
    Errno::check(unsafe { raw::supdrv_read_msr(register, &raw mut value) }).ok()?;
    Some(value)
}

fn cr4() -> u64 {
    let cr4: u64;
    // SAFETY: reading the register changes nothing, and ring 0 may.
    unsafe { asm!("mov {}, cr4", out(reg) cr4, options(nomem, nostack, preserves_flags)) };
    cr4
}

/// How many bits an address has. Never sleeps.
pub(crate) fn address_bits() -> u32 {
    const LA57: u64 = 1 << 12;
    if cr4() & LA57 == 0 { 48 } else { 57 }
}

/// The registers that decide the paging mode.
pub(crate) fn control_registers() -> ControlRegisters {
    const EFER: u32 = 0xc000_0080;
    let cr0: u64;
    // SAFETY: reading the register changes nothing, and ring 0 may.
    unsafe { asm!("mov {}, cr0", out(reg) cr0, options(nomem, nostack, preserves_flags)) };
    ControlRegisters { cr0, cr4: cr4(), efer: read_msr(EFER).unwrap_or(0) }
}

macro_rules! selector {
    ($register:literal) => {{
        let selector: u16;
        // SAFETY: reading the register changes nothing.
        unsafe {
            asm!(
                concat!("mov {:x}, ", $register),
                out(reg) selector,
                options(nomem, nostack, preserves_flags),
            )
        };
        selector
    }};
}

/// The segment selectors that ring 0 runs with here and now.
pub(crate) fn segments() -> Segments {
    Segments {
        cs: selector!("cs"),
        ss: selector!("ss"),
        ds: selector!("ds"),
        es: selector!("es"),
        fs: selector!("fs"),
        gs: selector!("gs"),
    }
}
