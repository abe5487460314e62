//! The string table of a VTG object.
//!
//! Invariant: a name that passed ends inside its table.

use sup_abi::Status;

/// A name and its NUL have at most so many bytes.
const STRING_BYTES_MAX: usize = 4096;

/// The name that begins at `offset`.
///
/// # Errors
/// `VERR_SUPDRV_VTG_STRTAB_OFF` outside the table, `VERR_SUPDRV_VTG_BAD_STRING` for a character that
/// names do not have, `VERR_SUPDRV_VTG_STRING_TOO_LONG` if that many bytes, or the table, end before it.
/// (The original reads on behind the table. Such a name is longer than there is room for.)
pub(super) fn name(table: &[u8], offset: u32) -> Result<&str, Status> {
    let tail = table.get(offset as usize..).unwrap_or_default();
    if tail.is_empty() {
        return Err(Status::VERR_SUPDRV_VTG_STRTAB_OFF);
    }
    let tail = tail.get(..STRING_BYTES_MAX).unwrap_or(tail);
    // The first byte that no name has decides: it is the end, or wrong.
    let end = tail.iter().position(|byte| !is_of_names(*byte));
    match end.and_then(|end| tail.split_at_checked(end)) {
        Some((name, [0, ..])) => {
            str::from_utf8(name).map_err(|_| Status::VERR_SUPDRV_VTG_BAD_STRING)
        }
        Some(_) => Err(Status::VERR_SUPDRV_VTG_BAD_STRING),
        None => Err(Status::VERR_SUPDRV_VTG_STRING_TOO_LONG),
    }
}

const fn is_of_names(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b' ' | b'_' | b'-' | b'(' | b')' | b',' | b'*' | b'&')
}
