//! The driver in the Linux kernel: `supdrv.ko`.
//!
//! The same core as in every backend; what is here is the kernel's [`Host`](host::KernelHost) and the
//! device `/dev/supdrv`. Whatever only C can say (macros, inline functions, structures whose layout
//! depends on the configuration) is in `kmod/shim.c`, behind the contract in `kmod/shim.h`; the modules
//! below [`shim`] are its only callers. So one object serves every kernel.
//!
//! | service | here |
//! |---|---|
//! | pages | the page allocator; ring 3 and ring 0 are two mappings of them ([`pages`], [`process`]) |
//! | module images | two mappings while an image is made, one afterwards, never both writable and executable ([`image`]) |
//! | waits | a queue of tasks with absolute deadlines ([`wait`]) |
//! | locks | the kernel's queued spin lock, and a sleeping lock of one word ([`lock`]) |
//! | timer | high-resolution timers, one for each processor in asynchronous mode ([`timer`]) |
//! | faults in modules | named in the kernel's log ([`crash`]) |
//! | requests | `ioctl` on an open file, which is a session ([`device`]); packets of other kernel modules ([`idc`]) |
//!
//! This is one of the crates that contain `unsafe`. Invariant: no function of the shim is called but
//! through a wrapper that upholds its contract, and everything that C hands out has one owner here.

#![no_std]
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

extern crate alloc;

mod allocator;
mod calls;
mod cpu;
mod crash;
mod device;
mod gip;
mod host;
mod idc;
mod image;
mod lock;
mod memory;
mod pages;
mod panic;
mod process;
mod shim;
mod timer;
mod wait;
mod words;

/// A lock around what it guards.
type Lock<R, T> = lock_api::Mutex<R, T>;
