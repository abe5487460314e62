//! echo: a ring-0 module in Rust, to learn from: a service with typed packets.
//!
//! `supctl module build modules/echo` compiles it for ring 0, into `target/r0/echo.r0`. The driver maps
//! that file, binds its imports and calls the functions that [`ring0_module!`] names: `start` once,
//! `serve` for each request, on the thread and with the session of the caller, `end` once. The same file
//! runs in the kernel and, under the embedded backend, in the process that loaded it; `cargo test` runs
//! what needs no driver on the host.
//!
//! Two habits keep a ring-0 module safe. Every packet is looked at through a view, which is made only if
//! the size is right; what the fields say is checked before it is used. And what a call makes belongs to
//! the caller's session, so that nothing is lost if the call fails, or panics.

#![no_std]

use core::sync::atomic::{AtomicU64, Ordering};

use sup_module::{
    Call, Module, Result, SUPR0SERVICEREQHDR, Session, Status, Timeout, log, probe, provider,
    ring0_module,
};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

ring0_module! {
    init: start,
    term: end,
    service: echoServiceReqHandler => serve,
}

provider! {
    /// What this module does for others, for a tracer to see.
    mod echoes;
    /// A text was given back: its bytes, and how many texts there were.
    probe text(bytes: u32, count: u64);
    /// Numbers were added up: how many, and their sum.
    probe sum(numbers: usize, sum: u64);
}

/// Gives a text back, with an [`Echo`] packet.
pub const OP_ECHO: u32 = 0;
/// Adds numbers up, with a [`Sum`] packet and the numbers (`u64`) behind it.
pub const OP_SUM: u32 = 1;
/// Signals an event of the session, and waits for it.
pub const OP_EVENT: u32 = 2;
/// Fills memory of both rings with the argument, and answers whether it is there.
pub const OP_MEMORY: u32 = 4;
/// Signals an event that stays signalled, waits for it twice, resets it, and finds that it is.
pub const OP_MANUAL_RESET: u32 = 5;
/// Panics if the argument is 8 or more: an index out of bounds, to see what comes of it.
pub const OP_TABLE: u32 = 3;

/// The packet of [`OP_ECHO`].
#[derive(Debug, FromBytes, Immutable, IntoBytes, KnownLayout)]
#[repr(C)]
pub struct Echo {
    /// The size is exactly that of this structure.
    pub header: SUPR0SERVICEREQHDR,
    /// In: how many bytes of `text` are used.
    pub length: u32,
    /// Explicit padding, ignored.
    pub padding: u32,
    /// Out: how many echoes this module has given since it was loaded.
    pub count: u64,
    /// In: the text. Out: the text in capitals.
    pub text: [u8; 64],
}

/// The packet of [`OP_SUM`], before its numbers.
#[derive(Debug, FromBytes, Immutable, IntoBytes, KnownLayout)]
#[repr(C)]
pub struct Sum {
    /// The size covers the numbers as well.
    pub header: SUPR0SERVICEREQHDR,
    /// Out: the sum, modulo 2^64.
    pub sum: u64,
}

/// Echoes given so far. Calls of many threads run at once, so a module's own data is atomic.
static ECHOES: AtomicU64 = AtomicU64::new(0);

fn start(module: Module) -> Result<()> {
    module.register_provider(echoes::provider())?;
    log!("echo: hello from ring 0, I am {module}");
    Ok(())
}

fn end(module: Module) {
    // Relaxed: a count, which orders nothing.
    log!("echo: {} echoes, goodbye from {module}", ECHOES.load(Ordering::Relaxed));
}

fn serve(mut call: Call<'_>) -> Result<Status> {
    match call.operation {
        OP_ECHO => echo(call.packet.view()?)?,
        OP_SUM => {
            let (sum, numbers): (&mut Sum, &mut [u64]) = call.packet.view_with_tail()?;
            sum.sum = numbers.iter().fold(0, |sum, number| sum.wrapping_add(*number));
            probe!(echoes, sum, numbers.len(), sum.sum);
        }
        OP_EVENT => event(call.session)?,
        OP_MEMORY => memory(call.session, call.argument)?,
        OP_MANUAL_RESET => manual_reset(call.session)?,
        OP_TABLE => return Ok(table(call.argument)),
        _ => return Err(Status::VERR_NOT_SUPPORTED),
    }
    Ok(Status::VINF_SUCCESS)
}

/// The packet's size is right; what it says may be anything.
fn echo(packet: &mut Echo) -> Result<()> {
    let text = packet.text.get_mut(..packet.length as usize);
    text.ok_or(Status::VERR_INVALID_PARAMETER)?.make_ascii_uppercase();
    // Relaxed: a count, which orders nothing.
    packet.count = ECHOES.fetch_add(1, Ordering::Relaxed) + 1;
    probe!(echoes, text, packet.length, packet.count);
    Ok(())
}

/// The event is closed when it is dropped, whatever went wrong before.
fn event(session: Session<'_>) -> Result<()> {
    let event = session.event()?;
    event.signal()?;
    event.wait(Timeout::Poll)
}

/// Words of the session's memory, which is freed when it is dropped. Its process could change them meanwhile.
fn memory(session: Session<'_>, value: u64) -> Result<()> {
    let memory = session.memory(1024)?;
    let words = memory.words();
    if words.iter().any(|word| word.load(Ordering::Relaxed) != 0) {
        return Err(Status::VERR_INTERNAL_ERROR);
    }
    // Relaxed, here and above: one thread writes and reads.
    words.iter().for_each(|word| word.store(value, Ordering::Relaxed));
    let is_there = words.iter().all(|word| word.load(Ordering::Relaxed) == value);
    if is_there { Ok(()) } else { Err(Status::VERR_INTERNAL_ERROR) }
}

/// Until it is reset, the event lets every wait succeed.
fn manual_reset(session: Session<'_>) -> Result<()> {
    let event = session.manual_reset_event()?;
    event.signal()?;
    event.wait(Timeout::Poll)?;
    event.wait(Timeout::Nanoseconds(1_000))?;
    event.reset()?;
    match event.wait(Timeout::Poll) {
        Err(Status::VERR_TIMEOUT) => Ok(()),
        _ => Err(Status::VERR_INTERNAL_ERROR),
    }
}

/// Looks an index up that nobody checked: an argument of 8 panics, and its call alone ends.
fn table(argument: u64) -> Status {
    const SQUARES: [i32; 8] = [0, 1, 4, 9, 16, 25, 36, 49];
    Status::new(SQUARES[argument as usize])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(text: &str, length: u32) -> Echo {
        let header = SUPR0SERVICEREQHDR { u32Magic: 0, cbReq: 0 };
        let mut packet = Echo { header, length, padding: 0, count: 0, text: [0; 64] };
        packet.text[..text.len()].copy_from_slice(text.as_bytes());
        packet
    }

    #[test]
    fn an_echo_is_in_capitals_and_counted() {
        let mut packet = packet("hello", 4);
        assert_eq!(echo(&mut packet), Ok(()));
        assert!(packet.text.starts_with(b"HELLo\0"));
        assert!(packet.count > 0);
    }

    #[test]
    fn cannot_echo_more_than_there_is() {
        assert_eq!(echo(&mut packet("", 65)), Err(Status::VERR_INVALID_PARAMETER));
        assert_eq!(echo(&mut packet("", u32::MAX)), Err(Status::VERR_INVALID_PARAMETER));
    }
}
