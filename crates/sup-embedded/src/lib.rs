//! The driver in a process: the host that needs no kernel module.
//!
//! One driver serves all sessions of a process ([`client`]). It runs the same core as the kernel
//! backend; what differs is what stands in for the machine:
//!
//! | service | here |
//! |---|---|
//! | pages | one memfd as "physical memory"; ring 3 and ring 0 are two mappings of it |
//! | contiguous memory | a huge page, where the machine's memory is low; otherwise any pages |
//! | physical addresses | the machine's, from `/proc/self/pagemap`, where it shows them and they keep the service's promise; otherwise the offset in the memfd, marked synthetic |
//! | module images | anonymous memory, sealed with `mprotect` |
//! | faults in modules | a line with module and offset before the process ends, by a signal handler |
//! | waits | futexes with absolute deadlines on the monotonic clock |
//! | timer | a thread with all signals blocked; one for each processor in asynchronous mode |
//! | control registers | what every 64-bit Linux runs with, from the flags in `/proc/cpuinfo` |
//! | model specific registers | `/dev/cpu/N/msr`, where it can be read |
//!
//! This is one of the crates that contain `unsafe`: system calls that map memory, and the time stamp
//! counter. Invariant: every mapping has one owner, which unmaps it.

mod access;
mod calls;
mod clock;
mod contiguous;
mod cpu;
mod crash;
mod debugger;
mod gip;
mod host;
mod hotplug;
mod image;
mod locked;
mod mapping;
mod memory;
mod pagemap;
mod printing;
mod ranges;
mod signals;
mod timer;
mod view;
mod wait;
mod words;

pub mod client;
pub mod kept;
pub mod trust;

pub use calls::ThreadCalls;
pub use client::Client;
pub use clock::{Tsc, UnorderedTsc};
pub use host::EmbeddedHost;
pub use words::Words;
