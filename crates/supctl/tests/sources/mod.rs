//! Whether modules in Rust can be compiled here.
//!
//! Neighbours: the tests that compile some. Invariant: it looks where `supctl module build` does.

use std::path::Path;
use std::process::Command;

/// What a test says that needs them, where they are missing.
pub(crate) const MISSING: &str = "no sources of Rust's library: `rustup component add rust-src`";

/// Whether the sources of Rust's library are there.
pub(crate) fn are_there() -> bool {
    let sysroot = Command::new("rustc").args(["--print", "sysroot"]).output();
    let current = sysroot.ok().and_then(|run| String::from_utf8(run.stdout).ok());
    let places = [current.unwrap_or_default(), "/usr".to_owned()];
    places.iter().any(|place| Path::new(place.trim()).join("lib/rustlib/src/rust/library").is_dir())
}
