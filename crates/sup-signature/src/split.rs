//! [`split`]: a module's file taken apart into content and block.

use crate::Refusal;
use crate::statement::{BLOCK_BYTES, Block, MAGIC};

/// A module's file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signed<'a> {
    /// The image.
    pub content: &'a [u8],
    /// The block behind it, if there is one; its form is right, its signature was not looked at.
    pub block: Option<&'a Block>,
}

/// Takes a file apart. A file that does not end with a block is content altogether.
///
/// # Errors
/// [`Refusal::Truncated`] if a block begins near the end, and the file ends within it;
/// [`Refusal::UnknownFormat`], [`Refusal::Malformed`].
#[inline(never)]
pub fn split(file: &[u8]) -> Result<Signed<'_>, Refusal> {
    if let Some((content, bytes)) = file.split_last_chunk::<BLOCK_BYTES>()
        && bytes.starts_with(&MAGIC)
    {
        return Ok(Signed { content, block: Some(Block::decode(bytes)?) });
    }
    let tail = file.get(file.len().saturating_sub(BLOCK_BYTES)..).unwrap_or_default();
    if tail.windows(MAGIC.len()).any(|window| window == MAGIC) {
        return Err(Refusal::Truncated);
    }
    Ok(Signed { content: file, block: None })
}
