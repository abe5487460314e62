//! What is promised of the driver's object, checked on the object itself.
//!
//! [`symbols`] finds panics and imports that no kernel has, [`code`] floating point, [`mod@frames`] large
//! stack frames. Each tells its findings as sentences, so that all of them are shown at once.

mod code;
mod frames;
mod image;
mod symbols;
#[cfg(test)]
mod tests;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use object::{Object, ObjectSection, SectionFlags, elf};

use self::image::Image;

/// The goal of issue 3: what the driver may take of the kernel's executable memory.
pub(crate) const TEXT_LIMIT_BYTES: u64 = 300 * 1024;

/// Checks the Rust object against the C shim's header; what it finds, one sentence each.
pub(super) fn object(object: &Path, shim_header: &str) -> Result<Vec<String>> {
    with_image(object, |image| {
        let mut findings = symbols::panics(image);
        findings.extend(symbols::foreign_imports(image, shim_header));
        findings.extend(code::floating_point(image));
        Ok(findings)
    })
}

/// Checks the stack frames in an object that was built to tell them.
pub(super) fn frames(object: &Path) -> Result<Vec<String>> {
    with_image(object, frames::too_large)
}

fn with_image<T>(path: &Path, check: impl FnOnce(&Image<'_>) -> Result<T>) -> Result<T> {
    let bytes = fs::read(path).with_context(|| path.display().to_string())?;
    Image::parse(&bytes).and_then(|image| check(&image)).with_context(|| path.display().to_string())
}

/// The size of all code in a finished module.
pub(super) fn text_bytes(module: &Path) -> Result<u64> {
    let bytes = fs::read(module).with_context(|| module.display().to_string())?;
    let file = object::File::parse(&*bytes).with_context(|| module.display().to_string())?;
    let code = file.sections().filter(|section| match section.flags() {
        SectionFlags::Elf { sh_flags } => sh_flags & u64::from(elf::SHF_EXECINSTR) != 0,
        _ => false,
    });
    Ok(code.map(|section| section.size()).sum())
}
