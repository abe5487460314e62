//! Floating point and vectors: in ring 0 those registers hold what a process left there.

use std::collections::BTreeMap;

use super::image::Image;

/// Functions that use such registers, each with its first such instruction.
pub(super) fn floating_point(image: &Image<'_>) -> Vec<String> {
    let mut found = BTreeMap::new();
    image.instructions(|section, instruction| {
        if sup_grade::uses_floating_point(instruction) {
            let function = image.name_at(section, instruction.ip());
            found.entry(function).or_insert_with(|| format!("{:?}", instruction.code()));
        }
    });
    let sentence =
        |(function, code)| format!("`{function}` uses a floating-point or vector register: {code}");
    found.into_iter().map(sentence).collect()
}
