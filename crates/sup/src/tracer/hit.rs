//! What a hit of a probe of this process does until the driver knows of it.
//!
//! A probe's stub jumps to [`hit`] with the location and its arguments. The location says which object it
//! belongs to, and so in which session the driver gave it its number.
//!
//! Neighbours: `registration` says which objects there are; the C library has a function of its own over the
//! same code. Invariant: a hit in an object that nobody registered through this crate tells nobody.

use std::sync::{PoisonError, RwLock};

use sup_abi::{SUPDRVTRACERUSRCTX, VTGPROBELOC};

use crate::Session;

/// The body of a function that a probe's stub jumps to: saves the registers as the probe left them, and the
/// arguments, on the stack, and calls a function with the context and the location. To its caller an ordinary
/// function.
///
/// For this crate and the C library.
#[doc(hidden)]
#[macro_export]
macro_rules! tell_of_hit {
    ($fire:path) => {
        ::core::arch::naked_asm!(
            "endbr64",
            // 240 bytes of context, of whose flags this is the only copy; above it the return address.
            "pushfq",
            "sub rsp, 240",
            "mov [rsp + 112], rax",
            "mov [rsp + 120], rcx",
            "mov [rsp + 128], rdx",
            "mov [rsp + 136], rbx",
            "mov [rsp + 152], rbp",
            "mov [rsp + 160], rsi",
            "mov [rsp + 168], rdi",
            "mov [rsp + 176], r8",
            "mov [rsp + 184], r9",
            "mov [rsp + 192], r10",
            "mov [rsp + 200], r11",
            "mov [rsp + 208], r12",
            "mov [rsp + 216], r13",
            "mov [rsp + 224], r14",
            "mov [rsp + 232], r15",
            // The location, and the arguments: five in registers, five on the stack.
            "mov [rsp + 8], rdi",
            "mov [rsp + 16], rsi",
            "mov [rsp + 24], rdx",
            "mov [rsp + 32], rcx",
            "mov [rsp + 40], r8",
            "mov [rsp + 48], r9",
            "mov rax, [rsp + 256]",
            "mov [rsp + 56], rax",
            "mov rax, [rsp + 264]",
            "mov [rsp + 64], rax",
            "mov rax, [rsp + 272]",
            "mov [rsp + 72], rax",
            "mov rax, [rsp + 280]",
            "mov [rsp + 80], rax",
            "mov rax, [rsp + 288]",
            "mov [rsp + 88], rax",
            // Where it returns to, the flags, and the stack after the return.
            "mov rax, [rsp + 248]",
            "mov [rsp + 96], rax",
            "mov rax, [rsp + 240]",
            "mov [rsp + 104], rax",
            "lea rax, [rsp + 256]",
            "mov [rsp + 144], rax",
            // The location's number, the width, and zeros.
            "mov eax, [rdi + 4]",
            "mov [rsp], eax",
            "mov dword ptr [rsp + 4], 64",
            "cld",
            // The context, and the location.
            "mov rsi, rdi",
            "mov rdi, rsp",
            "call {fire}",
            "add rsp, 248",
            "ret",
            fire = sym $fire,
        )
    };
}

/// The location records of an object, and the session that knows them.
struct Registered {
    start: usize,
    end: usize,
    session: Session,
}

/// Few, and looked at from the last one on.
static REGISTERED: RwLock<Vec<Registered>> = RwLock::new(Vec::new());

/// From now on hits of these locations go to the driver by that session.
pub(super) fn connect(start: usize, end: usize, session: &Session) {
    let mut registered = REGISTERED.write().unwrap_or_else(PoisonError::into_inner);
    registered.push(Registered { start, end, session: session.clone() });
}

/// Forgets the locations of an object that this session has registered.
pub(super) fn disconnect(start: usize, session: &Session) {
    let found = {
        let mut registered = REGISTERED.write().unwrap_or_else(PoisonError::into_inner);
        let is_it =
            |object: &Registered| object.start == start && object.session.id() == session.id();
        registered.iter().rposition(is_it).map(|index| registered.remove(index))
    };
    // What may be the last clone of the session goes when the lock is free.
    drop(found);
}

/// A probe of this image was hit.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn hit() {
    crate::tell_of_hit!(fire)
}

/// Called by [`hit`] only.
///
/// # Safety
/// The context is there, and nobody else uses it.
unsafe extern "C" fn fire(context: *const SUPDRVTRACERUSRCTX, location: *const VTGPROBELOC) {
    // SAFETY: `hit` has made the context on its own stack, and calls this with nobody else looking at it.
    let context = unsafe { &*context };
    let session = {
        let registered = REGISTERED.read().unwrap_or_else(PoisonError::into_inner);
        let is_in = |object: &&Registered| (object.start..object.end).contains(&location.addr());
        registered.iter().rev().find(is_in).map(|object| object.session.clone())
    };
    if let Some(session) = session {
        session.fire_probe(context);
    }
}
