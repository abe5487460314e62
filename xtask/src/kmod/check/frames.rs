//! The stack frames that the compiler noted in `.stack_sizes`: an address and a size for each function.
//!
//! A kernel's stack has 16 KiB for a system call, the interrupt that comes meanwhile, and a module's
//! code that we call. The kernel's own check (FRAME_WARN) does not see Rust.

use anyhow::{Context, Result, ensure};
use object::{Object, ObjectSection};

use super::image::Image;

const SECTION: &str = ".stack_sizes";
const LIMIT_BYTES: u64 = 1024;

/// Functions whose frame is over the limit, the largest first.
pub(super) fn too_large(image: &Image<'_>) -> Result<Vec<String>> {
    let mut frames = frames(image)?;
    ensure!(!frames.is_empty(), "no frame in {SECTION}: was it built with -Zemit-stack-sizes?");
    frames.retain(|(_, size_bytes)| *size_bytes > LIMIT_BYTES);
    frames.sort_by_key(|(_, size_bytes)| std::cmp::Reverse(*size_bytes));
    let sentence = |(function, size_bytes)| {
        format!("`{function}` has a stack frame of {size_bytes} bytes, over {LIMIT_BYTES}")
    };
    Ok(frames.into_iter().map(sentence).collect())
}

/// Names and frame sizes of all functions.
fn frames(image: &Image<'_>) -> Result<Vec<(String, u64)>> {
    let mut frames = Vec::new();
    for section in image.file.sections().filter(|section| section.name() == Ok(SECTION)) {
        let bytes = section.data()?;
        // The addresses are relocations, one for each entry, and zero in the bytes.
        for (offset, relocation) in section.relocations() {
            let function = image.target(&relocation).context("a frame of no function")?;
            let size = usize::try_from(offset)?.checked_add(size_of::<u64>());
            let size = size.and_then(|start| uleb128(bytes.get(start..)?));
            frames.push((function, size.context("an entry is cut off")?));
        }
    }
    Ok(frames)
}

/// Reads a number in DWARF's format of seven bits a byte, the lowest first.
pub(super) fn uleb128(bytes: &[u8]) -> Option<u64> {
    let mut number = 0;
    for (index, byte) in bytes.iter().enumerate() {
        let shift = u32::try_from(index).ok()?.checked_mul(7)?;
        number |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}
