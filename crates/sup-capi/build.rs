//! The name that programs find `libsup.so` by, and that it stays where it is once it is loaded.
//!
//! Neighbours: `cargo xtask install` makes the links that lead to the name, and gives the file its own.
//! Invariant: the number in the name changes when a program that was linked before would not run any more.

/// The name in programs that are linked with the library; `xtask/src/capi.rs` has the same.
const SONAME: &str = "libsup.so.0";

fn main() {
    let map = concat!(env!("CARGO_MANIFEST_DIR"), "/libsup.map");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={map}");
    println!("cargo::rustc-cdylib-link-arg=-Wl,--version-script={map}");
    println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,{SONAME}");
    // Threads run in it, and ends of threads call into it: it cannot be unloaded.
    println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
}
