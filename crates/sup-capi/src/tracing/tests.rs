//! What a probe's registers and arguments look like to the driver.

use std::arch::asm;
use std::cell::Cell;

use sup_abi::{SUPDRVTRACERUSRCTX, VTGPROBELOC};

use super::SUPTracerFireProbe;

thread_local! {
    /// The context of this thread's last hit.
    pub(super) static SEEN: Cell<Option<SUPDRVTRACERUSRCTX>> = const { Cell::new(None) };
}

/// Hits a location as a probe's stub does, with ten arguments, and with known values in other registers.
/// Returns where the stack stood, and the registers afterwards that a call has to leave as they were.
#[inline(never)]
fn hit(location: &VTGPROBELOC) -> (u64, [u64; 3]) {
    let (stack, r12, r13, r14): (u64, u64, u64, u64);
    // SAFETY: the stack is aligned at the call, what is pushed is taken back, and the call leaves as they
    // were the registers that are not named.
    unsafe {
        asm!(
            "mov r15, rsp",
            "and rsp, -16",
            "sub rsp, 8",
            "push 110",
            "push 109",
            "push 108",
            "push 107",
            "push 106",
            "mov rax, 201",
            "mov r10, 202",
            "mov r11, 203",
            "mov r12, 204",
            "mov r13, 205",
            "mov r14, 206",
            "stc",
            "call {fire}",
            // What was pushed is there still.
            "lea rax, [rsp]",
            "mov rsp, r15",
            fire = sym SUPTracerFireProbe,
            in("rdi") location,
            in("rsi") 101_u64,
            in("rdx") 102_u64,
            in("rcx") 103_u64,
            in("r8") 104_u64,
            in("r9") 105_u64,
            lateout("rax") stack,
            lateout("r12") r12,
            lateout("r13") r13,
            lateout("r14") r14,
            out("r15") _,
            clobber_abi("C"),
        );
    }
    (stack, [r12, r13, r14])
}

#[test]
fn a_hit_has_all_registers_and_ten_arguments() {
    let location = VTGPROBELOC::default();
    location.idProbe.store(7, std::sync::atomic::Ordering::Relaxed);
    let (stack, kept) = hit(&location);
    assert_eq!(kept, [204, 205, 206]);
    let context = SEEN.take().unwrap();
    assert_eq!((context.idProbe, context.cBits, context.abReserved), (7, 64, [0; 3]));
    let registers = context.u.amd64();
    assert_eq!(registers.uVtgProbeLoc, (&raw const location).addr() as u64);
    assert_eq!(registers.aArgs, [101, 102, 103, 104, 105, 106, 107, 108, 109, 110]);
    assert_eq!(registers.rsp, stack);
    assert_eq!(registers.rflags & 1, 1, "the carry flag was set");
    let general = [registers.rax, registers.r10, registers.r11, registers.r12, registers.r13];
    assert_eq!(general, [201, 202, 203, 204, 205]);
    let arguments = [registers.rsi, registers.rdx, registers.rcx, registers.r8, registers.r9];
    assert_eq!(arguments, [101, 102, 103, 104, 105]);
    assert_eq!((registers.rdi, registers.r14), (registers.uVtgProbeLoc, 206));
    let start = hit as *const () as u64;
    assert!((start..start + 4096).contains(&registers.rip), "{:#x}", registers.rip);
}
