//! What a panic does in a module: the driver logs it and ends the call; nothing unwinds.
//!
//! Neighbours: `sup-ring0/src/panic.rs` is the other side. Invariant: the handler itself cannot panic.

use core::panic::PanicInfo;

use crate::log::Text;
use crate::raw;

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    let text = match info.location() {
        Some(place) => Text::new(format_args!("{place}: {}", info.message())),
        None => Text::new(format_args!("{}", info.message())),
    };
    let bytes = text.as_bytes();
    // By its own address the driver knows which module speaks.
    let module = panic as *const ();
    // SAFETY: so many bytes are there. The driver leaves this stack for good: nothing on it needs to be
    // dropped for the sake of others, because what a call makes belongs to its session.
    unsafe { raw::SUPR0ModulePanic(bytes.as_ptr(), bytes.len(), module.cast()) }
}
