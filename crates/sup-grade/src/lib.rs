//! Which instructions code of ring 0 must not have.
//!
//! In ring 0 the registers of vectors and of floating point hold what a process left there, and nobody
//! saves them. Neighbours: `supctl module sign` and `check` look at modules, `cargo xtask kmod` at the
//! driver itself. Invariant: both go by the one rule here.

#![forbid(unsafe_code)]

use iced_x86::{CpuidFeature, Instruction, OpKind};

/// True if the instruction uses a vector, mask, MMX or x87 register.
///
/// ```
/// use iced_x86::{Decoder, DecoderOptions};
/// let uses = |bytes: &[u8]| {
///     let instruction = Decoder::new(64, bytes, DecoderOptions::NONE).decode();
///     sup_grade::uses_floating_point(&instruction)
/// };
/// assert!(uses(&[0x0f, 0x57, 0xc0]), "xorps xmm0, xmm0");
/// assert!(uses(&[0xd9, 0xe8]), "fld1");
/// assert!(!uses(&[0x48, 0x01, 0xd8]), "add rax, rbx");
/// ```
pub fn uses_floating_point(instruction: &Instruction) -> bool {
    touches_vectors(instruction) || is_x87(instruction)
}

fn touches_vectors(instruction: &Instruction) -> bool {
    (0..instruction.op_count())
        .filter(|operand| instruction.op_kind(*operand) == OpKind::Register)
        .map(|operand| instruction.op_register(operand))
        .any(|register| register.is_vector_register() || register.is_mm() || register.is_k())
}

/// Most of these name no register: they use the top of a stack of registers.
fn is_x87(instruction: &Instruction) -> bool {
    let is_fpu = |feature: &CpuidFeature| {
        matches!(feature, CpuidFeature::FPU | CpuidFeature::FPU287 | CpuidFeature::FPU387)
    };
    instruction.cpuid_features().iter().any(is_fpu)
}
