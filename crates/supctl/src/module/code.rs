//! What the eye of a processor sees in a module: whether its code is fit for the kernel, and whether its
//! entries are landing pads.
//!
//! The code is disassembled from one end to the other. Kernel-grade code names no vector, x87, MMX or
//! mask register, which hold what the interrupted process left there, and has nothing below the stack
//! pointer, where an interrupt writes. The second is seen where code addresses memory below `rsp`, or
//! below `rbp` beyond what its function has taken off the stack since it set up `rbp`.
//!
//! This finds what a compiler does without `-mgeneral-regs-only` and `-mno-red-zone`. It is no proof
//! against somebody who hides code: who signs, answers for the module.
//!
//! Neighbours: `sign` refuses what this finds, `check` tells it. Invariant: nothing of the module runs.

use iced_x86::{Code, Decoder, DecoderOptions, Instruction, Mnemonic, OpKind, Register};
use sup_ring0::elf::{Elf, ElfError, Protection};

/// Where the image is laid out; nothing here depends on it.
const BASE: u64 = 0x10_0000;

/// A module's code, as it would lie in memory.
#[derive(Debug)]
pub(super) struct Code64<'a> {
    elf: Elf<'a>,
    image: Vec<u8>,
}

impl<'a> Code64<'a> {
    /// # Errors
    /// The rule of the loader that the file breaks.
    pub(super) fn of(content: &'a [u8]) -> Result<Self, ElfError> {
        let elf = Elf::parse(content)?;
        let mut image = vec![0; elf.image_size()];
        elf.load(&mut image, BASE, &mut |_| Some(BASE))?;
        Ok(Self { elf, image })
    }

    /// Why the code is not kernel-grade, a sentence for each rule and the first place that breaks it.
    pub(super) fn kernel_grade_findings(&self) -> Vec<String> {
        let (mut vectors, mut red_zone) = (None, None);
        let mut frame = Frame::default();
        self.instructions(|offset, instruction| {
            if self.elf.symbols().any(|symbol| symbol.is_function && symbol.offset == offset) {
                frame = Frame::default();
            }
            if sup_grade::uses_floating_point(instruction) {
                vectors.get_or_insert((offset, instruction.code()));
            }
            if frame.is_red_zone_use(instruction) {
                red_zone.get_or_insert((offset, instruction.code()));
            }
            frame.follow(instruction);
        });
        let at = |(offset, code): (usize, Code), what: &str| {
            format!("{} {what} ({code:?})", self.place(offset))
        };
        let vectors = vectors.map(|found| at(found, "uses a vector or floating-point register"));
        let red_zone = red_zone.map(|found| at(found, "uses the red zone below the stack pointer"));
        vectors.into_iter().chain(red_zone).collect()
    }

    /// Exported functions that do not begin with `endbr64`.
    pub(super) fn entries_without_landing_pad(&self) -> Vec<String> {
        let is_code = |offset| self.elf.is_executable(offset);
        let functions = self.elf.symbols().filter(|symbol| is_code(symbol.offset));
        let has_pad = |offset: usize| {
            let bytes = self.image.get(offset..).unwrap_or_default();
            Decoder::new(64, bytes, DecoderOptions::NONE).decode().mnemonic() == Mnemonic::Endbr64
        };
        functions
            .filter(|symbol| !has_pad(symbol.offset))
            .map(|symbol| symbol.name.to_owned())
            .collect()
    }

    fn instructions(&self, mut look: impl FnMut(usize, &Instruction)) {
        let segments = self.elf.segments();
        for segment in segments.filter(|segment| segment.protection == Protection::ReadExecute) {
            let bytes = self.image.get(segment.pages.clone()).unwrap_or_default();
            // What follows the last instruction on its page is zeros, and so is what nobody runs.
            let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            let start = segment.pages.start as u64;
            for instruction in
                Decoder::with_ip(64, &bytes[..end], start, DecoderOptions::NONE).iter()
            {
                look(instruction.ip() as usize, &instruction);
            }
        }
    }

    /// The offset, with the exported function before it.
    fn place(&self, offset: usize) -> String {
        let before =
            self.elf.symbols().filter(|symbol| symbol.is_function && symbol.offset <= offset);
        match before.max_by_key(|symbol| symbol.offset) {
            Some(symbol) => format!("{}+{:#x}", symbol.name, offset - symbol.offset),
            None => format!("offset {offset:#x}"),
        }
    }
}

/// What is known of the current function's stack frame.
#[derive(Debug, Default)]
struct Frame {
    /// Bytes that were taken off the stack below `rbp`; `None` if `rbp` is not the frame's.
    below_rbp: Option<u64>,
}

impl Frame {
    fn is_red_zone_use(&self, instruction: &Instruction) -> bool {
        let has_memory = (0..instruction.op_count())
            .any(|operand| instruction.op_kind(operand) == OpKind::Memory);
        let displacement = instruction.memory_displacement64() as i64;
        if !has_memory || displacement >= 0 || instruction.mnemonic() == Mnemonic::Lea {
            return false;
        }
        match (instruction.memory_base(), self.below_rbp) {
            (Register::RSP, _) => true,
            (Register::RBP, Some(bytes)) => displacement.unsigned_abs() > bytes,
            _ => false,
        }
    }

    /// A frame only grows: what stands behind an early return has the frame that stood before it.
    fn follow(&mut self, instruction: &Instruction) {
        let first = |register| {
            instruction.op0_kind() == OpKind::Register && instruction.op0_register() == register
        };
        let sets_frame = instruction.mnemonic() == Mnemonic::Mov
            && first(Register::RBP)
            && instruction.op1_kind() == OpKind::Register
            && instruction.op1_register() == Register::RSP;
        let taken = match instruction.mnemonic() {
            Mnemonic::Endbr64 => return *self = Self::default(),
            _ if sets_frame => return self.below_rbp = Some(0),
            Mnemonic::Push => 8,
            Mnemonic::Sub if first(Register::RSP) => match instruction.op1_kind() {
                OpKind::Register => u64::MAX,
                _ => instruction.immediate(1),
            },
            Mnemonic::Add if first(Register::RSP) => {
                (instruction.immediate(1) as i64).checked_neg().map_or(0, |bytes| bytes.max(0))
                    as u64
            }
            // Alignment, and a stack of variable size.
            Mnemonic::And | Mnemonic::Lea | Mnemonic::Mov if first(Register::RSP) => u64::MAX,
            _ => 0,
        };
        self.below_rbp = self.below_rbp.map(|bytes| bytes.saturating_add(taken));
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::process::Command;

    use sup_modules::HELLO;

    use super::*;

    const FIT: [&str; 3] = ["-mgeneral-regs-only", "-mno-red-zone", "-fcf-protection=branch"];

    /// Compiles a function of C into a module.
    fn compile(source: &str, flags: &[&str]) -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        let path = |name| Path::join(folder.path(), name);
        std::fs::write(path("m.c"), source).unwrap();
        let status = Command::new("cc")
            .args(["-fPIC", "-shared", "-nostdlib", "-ffreestanding", "-Wl,-z,separate-code"])
            .args(["-Wl,-z,noexecstack", "-Wl,-z,now", "-fno-asynchronous-unwind-tables"])
            .args(flags)
            .arg(path("m.c"))
            .arg("-o")
            .arg(path("m.r0"))
            .status()
            .unwrap();
        assert!(status.success());
        std::fs::read(path("m.r0")).unwrap()
    }

    fn findings(source: &str, flags: &[&str]) -> Vec<String> {
        Code64::of(&compile(source, flags)).unwrap().kernel_grade_findings()
    }

    const LEAF: &str = "int leaf(int a) { volatile int b[4] = {a, a, a, a}; return b[1]; }";
    const FRAME: &str = "int g(volatile int *);\
        __attribute__((noinline)) int g(volatile int *a) { return *a; }\
        int f(int n) { volatile int b[40]; b[0] = n; if (n) return g(b); b[1] = 2; return b[1]; }\
        int v(int n) { volatile int b[n]; b[0] = n; b[n - 1] = 1; return g(b); }";

    #[test]
    fn the_tutorial_module_is_fit() {
        let code = Code64::of(HELLO.image).unwrap();
        assert_eq!(code.kernel_grade_findings(), [""; 0]);
        assert_eq!(code.entries_without_landing_pad(), [""; 0]);
    }

    #[test]
    fn cannot_hide_the_red_zone_of_a_leaf_function() {
        for optimise in ["-O0", "-O2"] {
            let found = findings(LEAF, &[optimise, "-mgeneral-regs-only"]);
            assert!(
                found.len() == 1 && found[0].starts_with("leaf") && found[0].contains("red zone"),
                "{optimise}: {found:?}"
            );
        }
    }

    #[test]
    fn ordinary_frames_are_not_taken_for_the_red_zone() {
        for optimise in ["-O0", "-O1", "-O2", "-Os"] {
            for frame in ["-fomit-frame-pointer", "-fno-omit-frame-pointer"] {
                for source in [LEAF, FRAME] {
                    let found = findings(source, &[&FIT[..], &[optimise, frame]].concat());
                    assert!(found.is_empty(), "{optimise} {frame}: {found:?}");
                }
            }
        }
    }

    #[test]
    fn cannot_hide_vector_and_x87_registers() {
        for source in [
            "double f(double a) { return a * 2; }",
            "void f(long double *a) { *a = *a * 2; }",
            "void f(unsigned char *a) { for (int i = 0; i < 4096; i++) a[i] += 3; }",
        ] {
            let found = findings(source, &["-O3", "-mno-red-zone"]);
            assert!(
                found.len() == 1 && found[0].starts_with("f+") && found[0].contains("register"),
                "{source}: {found:?}"
            );
        }
    }

    #[test]
    fn entries_without_landing_pads_are_named() {
        let image = compile(LEAF, &["-O2", "-mno-red-zone", "-fcf-protection=none"]);
        assert_eq!(Code64::of(&image).unwrap().entries_without_landing_pad(), ["leaf"]);
    }
}
