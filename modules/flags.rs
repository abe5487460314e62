//! The compiler flags of ring-0 modules, for the build script here and for that of the conformance
//! suite, which has modules of its own.

/// What every module is compiled with, as ring-0 image and as plain shared object.
pub(crate) const COMMON_FLAGS: &[&str] =
    &["-std=gnu11", "-O2", "-fPIC", "-shared", "-Wall", "-Wextra"];

/// What ring 0 demands on top. Each flag answers to a rule of kernel code or of our loader.
pub(crate) const RING0_FLAGS: &[&str] = &[
    // There is no C library, no start-up code and no stack protector's canary to find.
    "-ffreestanding",
    "-nostdlib",
    "-fno-stack-protector",
    // Kernel code leaves vector registers alone, and an interrupt overwrites the red zone.
    "-mgeneral-regs-only",
    "-mno-red-zone",
    // Indirect branches land on ENDBR64 only, and no switch becomes an indirect jump.
    "-fcf-protection=branch",
    "-fno-jump-tables",
    // Imports are called through the GOT: no PLT stubs, no lazy binding. Own symbols bind here.
    "-fno-plt",
    "-Wl,-z,now",
    "-Wl,-Bsymbolic",
    // No page is shared by code and data, or larger than the loader's, or executable stack.
    "-Wl,-z,separate-code",
    "-Wl,-z,max-page-size=4096",
    "-Wl,-z,noexecstack",
    // Nobody unwinds through a module, and equal sources make equal images.
    "-fno-asynchronous-unwind-tables",
    "-Wl,--hash-style=sysv",
    "-Wl,--build-id=none",
];
