//! Ring-0 module images: what a `.r0` file must look like, and how it becomes code in memory.
//!
//! A module is a shared object as an ordinary compiler and linker make it: ELF64, x86-64, little
//! endian, `ET_DYN`. [`Elf::parse`] checks the whole file before anything is used, and an [`Elf`]
//! is the proof that the checks held. [`Elf::load`] then copies the segments and relocates them for
//! the address at which the image is going to live. Mapping the result, page by page with the
//! protections of [`Elf::segments`] and [`Elf::relro`], is up to the backend.
//!
//! What ring 0 has no use for is refused rather than ignored, since ignoring it would run a
//! module in a world it was not built for: dependencies on libraries, constructors, thread-local
//! storage, relocations of code other than the header's own, pages both writable and executable. Symbol
//! versions are the one exception: there is a single driver to bind to, so they carry no information here.
//!
//! The file comes from ring 3 and is hostile until checked. Nothing here allocates, panics or
//! contains unsafe code; all reads are bounded by slices and all arithmetic is checked.
//!
//! | file | holds |
//! |---|---|
//! | `format` | the structures and constants of the ELF format |
//! | `layout` | the loadable segments: addresses, image offsets, file contents |
//! | `dynamic` | the dynamic section: where the tables are, and what is refused there |
//! | `symbols`, `hash` | exported and imported symbols, and finding one by name |
//! | `functions` | which function lies where, for reports of faults |
//! | `relocations` | which relocations are allowed and what they write |
//! | `image` | [`Elf`], which puts these together |
//! | `error` | [`ElfError`], one sentence for every refusal |

#![forbid(unsafe_code)]

mod dynamic;
mod error;
mod format;
mod functions;
mod hash;
mod image;
mod layout;
mod relocations;
mod symbols;
#[cfg(test)]
mod tests;

pub use error::{ElfError, Name, Table};
pub use functions::{FunctionSymbol, functions};
pub use image::Elf;
pub use layout::{MAX_IMAGE_SIZE, PAGE_SIZE, Protection, Segment};
pub use symbols::{Import, MAX_SYMBOLS, Symbol};
