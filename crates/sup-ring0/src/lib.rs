//! The ring-0 face of the driver: the functions that modules import, and the loader of module images.

#![no_std]

#[cfg(test)]
extern crate std;

pub mod elf;
