//! What a panic does: it tells where, and ends the process that runs. The machine goes on.
//!
//! The finished object contains no panic: `cargo xtask kmod` looks for its symbols. This handler is
//! there because the language demands one, and for the day on which that check is wrong.
#![cfg(target_os = "none")]

use core::fmt::Write;
use core::panic::PanicInfo;

use sup_core::host::LogLevel;

use crate::shim::log::{Line, log};

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    let mut line = Line::new();
    // A line that is full is cut.
    let _ = write!(line, "panic: {info}");
    log(LogLevel::Error, line.as_str());
    // SAFETY: an invalid opcode is what the kernel itself uses for BUG(): it ends the current process
    // with an oops, and never comes back.
    unsafe { core::arch::asm!("ud2", options(noreturn, nomem, nostack)) }
}
