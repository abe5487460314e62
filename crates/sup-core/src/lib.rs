//! The support driver, written once: safe Rust that knows no operating system.
