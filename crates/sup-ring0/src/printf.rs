//! `SUPR0Printf`: the one function with variable arguments.
//!
//! Rust cannot define such a function, so its entry is a few instructions that put the argument
//! registers on the stack and call [`print`] with the two places where arguments are: the registers,
//! and the caller's stack. Ring-0 code passes no floating point, so the vector registers are left
//! alone. Text goes to the host's log, one entry a line, and is cut at 510 bytes. The return address tells whose
//! budget of lines it is put out on (`sup-core/src/logger/printers.rs`).

use core::fmt;

use sup_abi::{R0Ptr, Status};
use sup_core::printf::{Arguments, Sink, format};

use crate::Ring0;
use crate::exports::is_plausible;
use crate::naked::return_instruction;

/// The longest text of one call, in bytes.
pub const MAX_TEXT: usize = 510;
/// A format that does not end within this many bytes is cut.
const MAX_FORMAT: usize = 4096;
/// Arguments that the calling convention passes in registers.
const REGISTERS: usize = 6;

/// Corresponds to `SUPR0Printf`: `int SUPR0Printf(const char *pszFormat, ...)`. Returns 0.
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn supr0_printf<R: Ring0>() -> i32 {
    core::arch::naked_asm!(
        "endbr64",
        // 48 bytes of registers, and 8 so that the stack is aligned to 16 at the call.
        "sub rsp, 56",
        "mov [rsp], rdi",
        "mov [rsp + 8], rsi",
        "mov [rsp + 16], rdx",
        "mov [rsp + 24], rcx",
        "mov [rsp + 32], r8",
        "mov [rsp + 40], r9",
        "mov rdi, rsp",
        // The first argument on the stack lies above this frame and the return address.
        "lea rsi, [rsp + 64]",
        "call {print}",
        "add rsp, 56",
        return_instruction!(),
        print = sym print::<R>,
    )
}

/// Prints; called by [`supr0_printf`] only.
///
/// # Safety
/// `registers` points to [`REGISTERS`] words, of which the first is the format, and `stack` to as many
/// words as the format has further arguments, with the return address of the call below them.
unsafe extern "C" fn print<R: Ring0>(registers: *const u64, stack: *const u64) -> i32 {
    // SAFETY: the entry stored six words there, the format first.
    let format_address = unsafe { registers.read() };
    let mut arguments =
        CallArguments::<R> { registers, stack, next: 1, host: core::marker::PhantomData };
    // SAFETY: below the caller's stack words is where the call returns to.
    let caller_at = unsafe { stack.sub(1) };
    // SAFETY: the call stored it there.
    let caller = R0Ptr::new(unsafe { caller_at.read() });
    let mut line = Line::<R>::new(caller);
    if is_plausible::<R, _>(format_address as usize as *const u8) {
        let mut length = 0_usize;
        arguments.string(format_address, MAX_FORMAT, &mut |_| length = length.wrapping_add(1));
        let start = format_address as usize as *const u8;
        // SAFETY: the bytes up to the NUL were just read, and by the C contract nobody changes the
        // format during the call.
        let text = unsafe { core::slice::from_raw_parts(start, length) };
        // A line that is full ends the text.
        let _ = format(text, &mut arguments, &mut line);
    }
    line.flush();
    Status::VINF_SUCCESS.raw()
}

/// The arguments of one call of [`supr0_printf`].
struct CallArguments<R> {
    registers: *const u64,
    stack: *const u64,
    next: usize,
    host: core::marker::PhantomData<R>,
}

impl<R: Ring0> Arguments for CallArguments<R> {
    fn next(&mut self) -> u64 {
        let index = self.next;
        self.next = index.wrapping_add(1);
        let (base, offset) = match index.checked_sub(REGISTERS) {
            None => (self.registers, index),
            Some(on_stack) => (self.stack, on_stack),
        };
        // SAFETY: either one of the six registers that the entry stored, or a stack slot of the
        // caller: by the C contract the call has as many arguments as its format says.
        let slot = unsafe { base.add(offset) };
        // SAFETY: an argument that the format names has a slot, by the C contract of the caller; slots
        // are aligned words.
        unsafe { slot.read() }
    }

    fn string(&mut self, address: u64, limit: usize, each: &mut dyn FnMut(u8)) {
        let start = address as usize as *const u8;
        if !is_plausible::<R, _>(start) {
            return;
        }
        for offset in 0..limit {
            // SAFETY: by the C contract `%s` takes a NUL-terminated string; every byte up to the NUL,
            // at which this loop ends, belongs to it.
            let place = unsafe { start.add(offset) };
            // SAFETY: no NUL came before this byte, so by the C contract it belongs to the string.
            match unsafe { place.read() } {
                0 => break,
                byte => each(byte),
            }
        }
    }
}

/// Collects a line and hands it to the host's log.
struct Line<R: Ring0> {
    /// Who prints.
    caller: R0Ptr,
    bytes: arrayvec::ArrayVec<u8, MAX_TEXT>,
    budget: usize,
    host: core::marker::PhantomData<R>,
}

impl<R: Ring0> Line<R> {
    fn new(caller: R0Ptr) -> Self {
        Self {
            caller,
            bytes: arrayvec::ArrayVec::new_const(),
            budget: MAX_TEXT,
            host: core::marker::PhantomData,
        }
    }

    fn flush(&mut self) {
        if self.bytes.is_empty() {
            return;
        }
        if let Some(driver) = R::driver() {
            let text = self.bytes.utf8_chunks();
            driver.print(self.caller, format_args!("{}", Lossy(text)));
        }
        self.bytes.clear();
    }
}

impl<R: Ring0> Sink for Line<R> {
    fn put(&mut self, byte: u8) -> fmt::Result {
        self.budget = self.budget.checked_sub(1).ok_or(fmt::Error)?;
        if byte == b'\n' {
            self.flush();
            return Ok(());
        }
        self.bytes.try_push(byte).map_err(|_| fmt::Error)
    }
}

/// Text with a replacement character for what is not UTF-8.
pub(crate) struct Lossy<'a>(pub(crate) core::str::Utf8Chunks<'a>);

impl fmt::Display for Lossy<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.clone() {
            f.write_str(chunk.valid())?;
            if !chunk.invalid().is_empty() {
                f.write_str("\u{fffd}")?;
            }
        }
        Ok(())
    }
}
