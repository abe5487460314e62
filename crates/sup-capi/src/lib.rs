//! The C library: the ring-3 functions of `sup.h` under their own names.
//!
//! A thin skin over [`sup`]: what a program in C names by number, address or name is looked up by the
//! driver ([`sup::raw`]). Here is what C adds: one session for the process ([`process`]) that calls in any
//! thread may use while another one ends it ([`calls`]), pointers ([`mod@pointer`]), texts of errors
//! ([`error_info`]), and functions that no panic leaves ([`entry`]). Each group of the header has its
//! file: [`init`], [`gip`], [`semaphores`], [`memory`], [`pages`], [`modules`], [`vmm`],
//! [`platform`], [`tracing`](mod@tracing), [`logger`], [`hardening`] with [`libraries`], and
//! [`preinit`] for what the start with privileges hands over. [`mod@log`] shows what is told, if it is asked to.
//!
//! | called | answer |
//! |---|---|
//! | before `SUPR3Init`, after the last `SUPR3Term`, in a forked child | `VERR_INVALID_HANDLE`, as a closed device would; functions without a status: their failure |
//! | with a pointer that cannot be one | `VERR_INVALID_POINTER`, or what the function has for it |
//! | twice for the same thing | what the driver says of things that are not there |
//!
//! Pointers need not be aligned. What a plausible pointer points to is the caller's promise, as always in C.
//!
//! This is one of the crates that contain `unsafe`: it follows pointers of C. Invariant: a status reaches the
//! caller as the driver gave it, and whatever is called when, this library does not end the process.

mod calls;
mod entry;
mod error_info;
mod gip;
mod hardening;
mod init;
mod install;
mod libraries;
mod lock;
mod log;
mod logger;
mod memory;
mod modules;
mod pages;
mod platform;
mod pointer;
mod preinit;
mod process;
mod semaphores;
mod tracing;
mod vmm;
