//! [`SUPDRVTRACERUSRCTX`]: the registers and arguments that a user-mode probe sends along.
//!
//! The fire request carries it to the driver, which hands it on to the tracer (`tracer`).
//!
//! Invariant: [`SUPDRVTRACERUSRCTX::cBits`] alone tells which of the two register sets the bytes are.
//! The header uses a union for them; here they are plain words with two safe views, because bytes
//! that a process sends may be read as either one without harm.

#![expect(non_snake_case, reason = "members keep the names they have in sup.h")]

#[cfg(test)]
mod tests;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, transmute_mut, transmute_ref};

/// Words in [`TracerRegisters`].
const REGISTER_WORDS: usize = size_of::<TracerAmd64Context>() / size_of::<u64>();

/// The state at a user-mode probe. Corresponds to `SUPDRVTRACERUSRCTX`.
///
/// ```
/// use sup_abi::{SUPDRVTRACERUSRCTX, TracerContext};
///
/// let mut context = SUPDRVTRACERUSRCTX { cBits: 64, ..Default::default() };
/// context.u.amd64_mut().aArgs[2] = 42;
/// assert!(matches!(context.view(), Some(TracerContext::Amd64(regs)) if regs.aArgs[2] == 42));
/// ```
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct SUPDRVTRACERUSRCTX {
    /// The number that the location record holds.
    pub idProbe: u32,
    /// 32 for [`TracerX86Context`], 64 for [`TracerAmd64Context`].
    pub cBits: u8,
    /// Zero.
    pub abReserved: [u8; 3],
    /// Registers and arguments.
    pub u: TracerRegisters,
}

/// The register set that a context holds, by its `cBits`.
#[derive(Clone, Copy, Debug)]
pub enum TracerContext<'a> {
    /// `cBits` is 32.
    X86(&'a TracerX86Context),
    /// `cBits` is 64.
    Amd64(&'a TracerAmd64Context),
}

impl SUPDRVTRACERUSRCTX {
    /// Returns the register set, or `None` if `cBits` is neither 32 nor 64.
    #[must_use]
    pub const fn view(&self) -> Option<TracerContext<'_>> {
        match self.cBits {
            32 => Some(TracerContext::X86(self.u.x86())),
            64 => Some(TracerContext::Amd64(self.u.amd64())),
            _ => None,
        }
    }
}

/// Room for either register set. Corresponds to the union `SUPDRVTRACERUSRCTX::u`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(transparent)]
pub struct TracerRegisters {
    words: [u64; REGISTER_WORDS],
}

impl TracerRegisters {
    /// Reads the bytes as 32-bit registers.
    #[must_use]
    pub const fn x86(&self) -> &TracerX86Context {
        let padded: &PaddedX86 = transmute_ref!(&self.words);
        &padded.registers
    }

    /// Changes the bytes as 32-bit registers.
    pub fn x86_mut(&mut self) -> &mut TracerX86Context {
        let padded: &mut PaddedX86 = transmute_mut!(&mut self.words);
        &mut padded.registers
    }

    /// Reads the bytes as 64-bit registers.
    #[must_use]
    pub const fn amd64(&self) -> &TracerAmd64Context {
        transmute_ref!(&self.words)
    }

    /// Changes the bytes as 64-bit registers.
    pub fn amd64_mut(&mut self) -> &mut TracerAmd64Context {
        transmute_mut!(&mut self.words)
    }
}

/// The smaller register set, brought to the size of the larger one.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct PaddedX86 {
    registers: TracerX86Context,
    rest: [u32; 24],
}

/// Registers and arguments of 32-bit code. Corresponds to `SUPDRVTRACERUSRCTX::u.X86`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[expect(missing_docs, reason = "a register's name says all there is to say")]
pub struct TracerX86Context {
    /// The address of the location record.
    pub uVtgProbeLoc: u32,
    /// The arguments; a 64-bit one takes two entries.
    pub aArgs: [u32; 20],
    pub eip: u32,
    pub eflags: u32,
    pub eax: u32,
    pub ecx: u32,
    pub edx: u32,
    pub ebx: u32,
    pub esp: u32,
    pub ebp: u32,
    pub esi: u32,
    pub edi: u32,
    pub cs: u16,
    pub ss: u16,
    pub ds: u16,
    pub es: u16,
    pub fs: u16,
    pub gs: u16,
}

/// Registers and arguments of 64-bit code. Corresponds to `SUPDRVTRACERUSRCTX::u.Amd64`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[expect(missing_docs, reason = "a register's name says all there is to say")]
pub struct TracerAmd64Context {
    /// The address of the location record.
    pub uVtgProbeLoc: u64,
    /// The arguments.
    pub aArgs: [u64; 10],
    pub rip: u64,
    pub rflags: u64,
    pub rax: u64,
    pub rcx: u64,
    pub rdx: u64,
    pub rbx: u64,
    pub rsp: u64,
    pub rbp: u64,
    pub rsi: u64,
    pub rdi: u64,
    pub r8: u64,
    pub r9: u64,
    pub r10: u64,
    pub r11: u64,
    pub r12: u64,
    pub r13: u64,
    pub r14: u64,
    pub r15: u64,
}
