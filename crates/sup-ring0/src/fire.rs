//! `SUPR0TracerFireProbe`: the way of a hit in ring 0 to the tracer.
//!
//! A probe that is switched on jumps here with its location record and its arguments where the calling
//! convention has them, and the function jumps on: no register but the accumulator changes, so the tracer
//! finds everything as the probe left it, arguments on the stack included.
//!
//! ```text
//! probe's stub ── jmp ──▶ fire ── jmp through TARGET ──▶ in the kernel: the tracer
//!                                                   ──▶ in a process: gate ── call ──▶ the tracer
//!                                                   ──▶ no tracer: ignore
//! ```
//! A tracer that goes has to know when the last hit has left it. The kernel can wait until every task has
//! slept or run in ring 3 (tracers never sleep in a hit), so nothing is needed here. A process has nothing
//! of that kind: there the gate counts who is inside, and calls the tracer, with copies of the first
//! [`STACK_ARGUMENTS`] words of the stack.
//!
//! The gate counts before it reads the tracer, and the end of a tracer clears it before it reads the
//! counts: either the hit finds no tracer, or the end sees the hit and waits for it. Invariant: a thread is
//! in the tracer only while its stripe's count says so.

use core::sync::atomic::{AtomicPtr, Ordering};

use crate::naked::return_instruction;

/// Where [`supr0_tracer_fire_probe`] goes.
static TARGET: AtomicPtr<()> = AtomicPtr::new(ignore as *mut ());

/// Corresponds to `SUPR0TracerFireProbe`.
#[cfg(target_os = "none")]
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn supr0_tracer_fire_probe() {
    core::arch::naked_asm!(
        "endbr64",
        "mov rax, [rip + {target}]",
        // The kernel patches it as its mitigations of attacks on branch prediction demand.
        "jmp __x86_indirect_thunk_rax",
        target = sym TARGET,
    )
}

/// Corresponds to `SUPR0TracerFireProbe`.
#[cfg(not(target_os = "none"))]
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn supr0_tracer_fire_probe() {
    core::arch::naked_asm!(
        "endbr64",
        "mov rax, [rip + {target}]",
        "jmp rax",
        target = sym TARGET,
    )
}

/// The target while there is no tracer.
#[unsafe(naked)]
unsafe extern "C" fn ignore() {
    core::arch::naked_asm!("endbr64", return_instruction!())
}

/// The function of a tracer that takes hits in ring 0.
#[derive(Debug, Clone, Copy)]
pub struct Entry(pub(crate) *const ());

#[cfg(target_os = "none")]
mod wait {
    //! In the kernel, which waits itself.

    use super::{AtomicPtr, Entry, Ordering, TARGET, ignore};

    /// Sends hits to a tracer, or nowhere. In the latter case the caller waits until nobody is inside.
    pub fn aim(entry: Option<Entry>) {
        let target = entry.map_or(ignore as *mut (), |Entry(entry)| entry.cast_mut());
        // Release: a hit that comes there finds the tracer that was made before.
        AtomicPtr::store(&TARGET, target, Ordering::Release);
    }
}

#[cfg(not(target_os = "none"))]
mod wait {
    //! In a process: the gate.

    use core::sync::atomic::AtomicU64;

    use super::{AtomicPtr, Entry, Ordering, TARGET, ignore};

    /// Words of the caller's stack that the tracer finds where the calling convention has them.
    pub const STACK_ARGUMENTS: usize = 8;

    /// Threads inside, by a part of their stacks' addresses, each count in a cache line of its own.
    #[repr(align(64))]
    struct Stripe(AtomicU64);
    static STRIPES: [Stripe; 64] = [const { Stripe(AtomicU64::new(0)) }; 64];

    /// The tracer's function; null while there is no tracer.
    static TRACER: AtomicPtr<()> = AtomicPtr::new(core::ptr::null_mut());

    /// Calls the tracer, counted.
    #[unsafe(naked)]
    unsafe extern "C" fn gate() {
        core::arch::naked_asm!(
            "endbr64",
            // The stripe of this stack: bits 14 to 19 of its address, 64 bytes each.
            "push rcx",
            "mov rax, rsp",
            "shr rax, 14",
            "and eax, 63",
            "shl eax, 6",
            "lea rcx, [rip + {stripes}]",
            "add rax, rcx",
            "pop rcx",
            // A full barrier: pairs with the exchange in `aim`.
            "lock inc qword ptr [rax]",
            "push rax",
            "mov rax, [rip + {tracer}]",
            "test rax, rax",
            "jz 2f",
            // The last word first; each push moves the next one to the same place.
            "push qword ptr [rsp + 72]",
            "push qword ptr [rsp + 72]",
            "push qword ptr [rsp + 72]",
            "push qword ptr [rsp + 72]",
            "push qword ptr [rsp + 72]",
            "push qword ptr [rsp + 72]",
            "push qword ptr [rsp + 72]",
            "push qword ptr [rsp + 72]",
            "call rax",
            "add rsp, 64",
            "2:",
            "pop rax",
            "lock dec qword ptr [rax]",
            "ret",
            stripes = sym STRIPES,
            tracer = sym TRACER,
        )
    }

    /// Sends hits to a tracer, or nowhere. In the latter case the caller waits until
    /// [`is_quiet`] says so.
    pub fn aim(entry: Option<Entry>) {
        let tracer = entry.map_or(core::ptr::null_mut(), |Entry(entry)| entry.cast_mut());
        // SeqCst, a full barrier: the argument at the top of this file.
        TRACER.swap(tracer, Ordering::SeqCst);
        let target = if tracer.is_null() { ignore as *mut () } else { gate as *mut () };
        // Relaxed: both targets look at the tracer again, or need none.
        TARGET.store(target, Ordering::Relaxed);
    }

    /// Whether nobody is inside a tracer that was sent nowhere before.
    pub fn is_quiet() -> bool {
        // SeqCst: the argument at the top of this file.
        STRIPES.iter().all(|Stripe(inside)| inside.load(Ordering::SeqCst) == 0)
    }
}

pub use wait::*;

#[cfg(test)]
#[cfg(loom)]
mod loom_tests;
#[cfg(test)]
#[cfg(not(loom))]
mod tests;
