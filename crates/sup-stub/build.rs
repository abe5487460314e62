//! The start program needs nothing but the C library: unwinding, which Rust's library mentions, is linked in.
//!
//! Invariant: the step `c-programs` looks at what the program needs in the end, so this cannot fail unnoticed.

use std::env;
use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let compiler = env::var_os("CC").unwrap_or_else(|| "cc".into());
    let told = Command::new(compiler).arg("-print-file-name=libgcc_eh.a").output();
    let told = told.ok().and_then(|output| String::from_utf8(output.stdout).ok());
    let Some(folder) = told.as_deref().and_then(|path| Path::new(path.trim()).parent()) else {
        return;
    };
    if folder.is_absolute() {
        println!("cargo::rustc-link-search=native={}", folder.display());
        // Whole, because it stands before those who ask for it; what nobody asks for is dropped.
        println!("cargo::rustc-link-lib=static:+whole-archive=gcc_eh");
    }
}
