//! The absolute symbols: names whose addresses are values.
//!
//! Modules declare them as functions, so that the linker has something to bind, and never call them.
//!
//! Neighbours: `exports` has their rows, each backend its [`Segments`]. Invariant: the values stay as they
//! are for as long as the driver runs.

/// The segment selectors of ring 0, and what the absolute symbols are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segments {
    /// Of code.
    pub cs: u16,
    /// Of the stack.
    pub ss: u16,
    /// Of data.
    pub ds: u16,
    /// The first extra one.
    pub es: u16,
    /// The second extra one.
    pub fs: u16,
    /// The third extra one.
    pub gs: u16,
}

impl Segments {
    /// Those that a 64-bit Linux gives its kernel: what a process answers, whose own are of ring 3.
    pub const OF_LINUX: Self = Self { cs: 0x10, ss: 0x18, ds: 0, es: 0, fs: 0, gs: 0 };
}

/// What an absolute symbol is, given the selectors.
pub(crate) type Absolute = fn(Segments) -> u16;
