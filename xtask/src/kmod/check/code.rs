//! Floating point and vectors: in ring 0 those registers hold what a process left there.

use std::collections::BTreeMap;

use iced_x86::{CpuidFeature, Instruction, OpKind};

use super::image::Image;

/// Functions that use such registers, each with its first such instruction.
pub(super) fn floating_point(image: &Image<'_>) -> Vec<String> {
    let mut found = BTreeMap::new();
    image.instructions(|section, instruction| {
        if touches_vectors(instruction) || is_x87(instruction) {
            let function = image.name_at(section, instruction.ip());
            found.entry(function).or_insert_with(|| format!("{:?}", instruction.code()));
        }
    });
    let sentence =
        |(function, code)| format!("`{function}` uses a floating-point or vector register: {code}");
    found.into_iter().map(sentence).collect()
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
