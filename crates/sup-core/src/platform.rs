//! What the processor can do and how it runs: paging mode and virtualisation capabilities.
//!
//! Pure decisions over what the [`Host`] reads. Corresponds to
//! `SUPR0GetPagingMode` and `SUPR0QueryVTCaps`.

use sup_abi::{SUPPAGINGMODE, SUPVTCAPS_AMD_V, SUPVTCAPS_NESTED_PAGING, SUPVTCAPS_VT_X, Status};

use crate::host::{ControlRegisters, Host};

const CR0_PE: u64 = 1 << 0;
const CR0_PG: u64 = 1 << 31;
const CR4_PAE: u64 = 1 << 5;
const CR4_PGE: u64 = 1 << 7;
const EFER_LMA: u64 = 1 << 10;
const EFER_NXE: u64 = 1 << 11;

/// The current processor's x2APIC id, or the initial APIC id of one that has no such leaf.
///
/// ```
/// use sup_core::platform::apic_id;
///
/// let old = |leaf, _| if leaf == 1 { [0, 7 << 24, 0, 0] } else { [2, 0, 0, 0] };
/// assert_eq!(apic_id(old), 7);
/// let new = |leaf, _| if leaf == 0xb { [1, 2, 0, 300] } else { [0xb, 0, 0, 0] };
/// assert_eq!(apic_id(new), 300);
/// ```
pub fn apic_id(cpuid: impl Fn(u32, u32) -> [u32; 4]) -> u32 {
    let [last, ..] = cpuid(0, 0);
    if last >= 0xb {
        let [_, ebx, _, edx] = cpuid(0xb, 0);
        if ebx != 0 {
            return edx;
        }
    }
    let [_, ebx, ..] = cpuid(1, 0);
    ebx >> 24
}

/// The paging mode that the control registers make.
///
/// ```
/// use sup_abi::SUPPAGINGMODE;
/// use sup_core::{host::ControlRegisters, platform::paging_mode};
///
/// // An ordinary 64-bit Linux: PG and PE, PAE and PGE, LMA and NXE.
/// let registers = ControlRegisters { cr0: 0x8000_0001, cr4: 0xa0, efer: 0xc00 };
/// assert_eq!(paging_mode(registers), SUPPAGINGMODE::Amd64GlobalNx);
/// ```
#[inline]
pub const fn paging_mode(registers: ControlRegisters) -> SUPPAGINGMODE {
    use SUPPAGINGMODE as Mode;
    if registers.cr0 & (CR0_PG | CR0_PE) != CR0_PG | CR0_PE {
        return Mode::Invalid;
    }
    let is_global = registers.cr4 & CR4_PGE != 0;
    if registers.cr4 & CR4_PAE == 0 {
        return if is_global { Mode::Bits32Global } else { Mode::Bits32 };
    }
    let is_long = registers.efer & EFER_LMA != 0;
    let has_nx = registers.efer & EFER_NXE != 0;
    match (is_long, is_global, has_nx) {
        (false, false, false) => Mode::Pae,
        (false, true, false) => Mode::PaeGlobal,
        (false, false, true) => Mode::PaeNx,
        (false, true, true) => Mode::PaeGlobalNx,
        (true, false, false) => Mode::Amd64,
        (true, true, false) => Mode::Amd64Global,
        (true, false, true) => Mode::Amd64Nx,
        (true, true, true) => Mode::Amd64GlobalNx,
    }
}

const MSR_IA32_FEATURE_CONTROL: u32 = 0x3a;
const FEATURE_CONTROL_LOCK: u64 = 1 << 0;
const FEATURE_CONTROL_VMX: u64 = 1 << 2;
const MSR_VMX_PROCBASED_CTLS: u32 = 0x482;
const MSR_VMX_PROCBASED_CTLS2: u32 = 0x48b;
const MSR_VM_CR: u32 = 0xc001_0114;
const VM_CR_SVM_DISABLE: u64 = 1 << 4;

/// The virtualisation capabilities of the processor, `SUPVTCAPS_*`.
///
/// A register that the host cannot read is taken as not standing in the way: a process sees what the
/// processor says of itself, and the kernel backend the whole truth.
///
/// # Errors
/// `VERR_VMX_NO_VMX`, `VERR_VMX_MSR_LOCKED_OR_DISABLED`, `VERR_SVM_NO_SVM`, `VERR_SVM_DISABLED`,
/// `VERR_UNSUPPORTED_CPU` for a vendor that has neither.
pub fn vt_caps(host: &impl Host) -> Result<u32, Status> {
    let [_, ebx, ecx, edx] = host.cpuid(0, 0);
    let mut vendor = [0; 12];
    for (field, register) in vendor.chunks_exact_mut(4).zip([ebx, edx, ecx]) {
        field.copy_from_slice(&register.to_le_bytes());
    }
    match &vendor {
        b"GenuineIntel" | b"CentaurHauls" | b"  Shanghai  " => vmx_caps(host),
        b"AuthenticAMD" | b"HygonGenuine" => svm_caps(host),
        _ => Err(Status::VERR_UNSUPPORTED_CPU),
    }
}

/// Bits of CPUID leaf 1, EDX, that both vendors' extensions build upon: MSR and FXSR.
const BASE_FEATURES: u32 = 1 << 5 | 1 << 24;

fn vmx_caps(host: &impl Host) -> Result<u32, Status> {
    let [_, _, ecx, edx] = host.cpuid(1, 0);
    if ecx & 1 << 5 == 0 || edx & BASE_FEATURES != BASE_FEATURES {
        return Err(Status::VERR_VMX_NO_VMX);
    }
    if let Some(control) = host.read_msr(MSR_IA32_FEATURE_CONTROL) {
        let is_locked = control & FEATURE_CONTROL_LOCK != 0;
        if is_locked && control & FEATURE_CONTROL_VMX == 0 {
            return Err(Status::VERR_VMX_MSR_LOCKED_OR_DISABLED);
        }
    }
    let may_be_one = |register, bit: u32| {
        host.read_msr(register).is_some_and(|allowed| allowed >> 32 & 1 << bit != 0)
    };
    let has_ept = may_be_one(MSR_VMX_PROCBASED_CTLS, 31) && may_be_one(MSR_VMX_PROCBASED_CTLS2, 1);
    Ok(SUPVTCAPS_VT_X | if has_ept { SUPVTCAPS_NESTED_PAGING } else { 0 })
}

fn svm_caps(host: &impl Host) -> Result<u32, Status> {
    let [last_extended, ..] = host.cpuid(0x8000_0000, 0);
    let [_, _, ecx, _] = host.cpuid(0x8000_0001, 0);
    let [_, _, _, edx] = host.cpuid(1, 0);
    if ecx & 1 << 2 == 0 || edx & BASE_FEATURES != BASE_FEATURES {
        return Err(Status::VERR_SVM_NO_SVM);
    }
    if host.read_msr(MSR_VM_CR).is_some_and(|control| control & VM_CR_SVM_DISABLE != 0) {
        return Err(Status::VERR_SVM_DISABLED);
    }
    let [_, _, _, features] =
        if last_extended >= 0x8000_000a { host.cpuid(0x8000_000a, 0) } else { [0; 4] };
    Ok(SUPVTCAPS_AMD_V | if features & 1 != 0 { SUPVTCAPS_NESTED_PAGING } else { 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_paging_mode_has_its_registers() {
        use SUPPAGINGMODE as Mode;
        let on = CR0_PE | CR0_PG;
        let rows = [
            (CR0_PE, CR4_PAE, EFER_LMA, Mode::Invalid),
            (on, 0, 0, Mode::Bits32),
            (on, CR4_PGE, 0, Mode::Bits32Global),
            (on, CR4_PAE, 0, Mode::Pae),
            (on, CR4_PAE | CR4_PGE, 0, Mode::PaeGlobal),
            (on, CR4_PAE, EFER_NXE, Mode::PaeNx),
            // The original reports this one without NX; see specification 6.6.
            (on, CR4_PAE | CR4_PGE, EFER_NXE, Mode::PaeGlobalNx),
            (on, CR4_PAE, EFER_LMA, Mode::Amd64),
            (on, CR4_PAE | CR4_PGE, EFER_LMA, Mode::Amd64Global),
            (on, CR4_PAE, EFER_LMA | EFER_NXE, Mode::Amd64Nx),
            (on, CR4_PAE | CR4_PGE, EFER_LMA | EFER_NXE, Mode::Amd64GlobalNx),
        ];
        for (cr0, cr4, efer, mode) in rows {
            assert_eq!(paging_mode(ControlRegisters { cr0, cr4, efer }), mode);
        }
    }
}
