//! Memory: pages of ring 3 alone, and pages that both rings share.
//!
//! An owner for each kind: [`PageMemory`] is ordinary memory of the process (`process.rs`), seen as a
//! slice; [`LowMemory`], [`ContiguousMemory`] and [`SharedPages`] come from the driver (`block.rs`):
//! zeroed, locked, with a physical address for each page. Ring 0 may write to those at any time, so
//! they are [`SharedRegion`]s (`region.rs`), seen through [`SharedView`] (`view.rs`) and atomic words
//! only. [`LockedMemory`] is memory of the process that is locked where it is (`locked.rs`).
//! [`Protection`] is what either ring may do with [`SharedPages`] (`protect.rs`).
//!
//! Invariant: whatever fails, no memory stays that has no owner.

mod block;
mod locked;
#[cfg(test)]
mod model;
mod process;
mod protect;
mod region;
mod view;

#[cfg(test)]
mod tests;

pub use block::{Block, ContiguousMemory, LowMemory, Memory, RingZeroView, SharedPages};
pub use locked::LockedMemory;
pub use process::PageMemory;
pub use protect::Protection;
pub use region::SharedRegion;
pub use view::SharedView;
