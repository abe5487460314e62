//! [`probe!`](crate::probe!): the place where a probe fires, and its record.
//!
//! A place is a test of the probe's count, in ring 3 together with that of the system's tracers, and one
//! branch that is not taken. Behind it are the arguments, an instruction for the system's tracers to stop at,
//! and the call of the stub, which looks at the place's own bit. The record is in the image whether or not
//! the code before it is ever run.
//!
//! Neighbours: `object` has the counts and the stub. Invariant: nothing of a probe's arguments is evaluated
//! while its count is 0.

/// Fires a probe of a [`provider!`](crate::provider!), if somebody wants to know.
///
/// ```
/// sup_probe::provider! { mod files; probe open(fd: i32, size: u64); probe close(fd: i32); }
///
/// fn open(fd: i32) {
///     let expensive = || -> u64 { unreachable!("nobody wants to know") };
///     sup_probe::probe!(files, open, fd, expensive());
/// }
/// # fn main() { open(3) }
/// ```
///
/// The arguments are evaluated only then, in their order; each has exactly the type that the provider says.
/// The first name is the module's, as it is called where it was made.
///
/// ```compile_fail,E0308
/// sup_probe::provider! { mod files; probe open(fd: i32); }
/// fn open(fd: u64) { sup_probe::probe!(files, open, fd); }
/// # fn main() {}
/// ```
/// ```compile_fail,E0061
/// sup_probe::provider! { mod files; probe open(fd: i32); }
/// fn open() { sup_probe::probe!(files, open); }
/// # fn main() {}
/// ```
/// ```compile_fail,E0080
/// sup_probe::provider! { mod files; probe open(fd: i32); }
/// use files as renamed;
/// fn open() { sup_probe::probe!(renamed, open, 1); }
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! probe {
    ($module:ident, $probe:ident $(, $argument:expr)* $(,)?) => {
        $crate::__if_enabled!($module, $probe, {
            let words = $module::$probe($($argument),*);
            $crate::__fire!($module, $probe, words, [$($argument),*], [
                (0 "rsi") (1 "rdx") (2 "rcx") (3 "r8") (4 "r9")
            ], []);
        })
    };
}

/// Whether anybody wants to know of a probe: for what has to be prepared for it.
///
/// ```
/// sup_probe::provider! { mod files; probe open(fd: i32); }
/// # fn main() {
/// assert!(!sup_probe::probe_enabled!(files, open));
/// # }
/// ```
#[macro_export]
macro_rules! probe_enabled {
    ($module:ident, $probe:ident) => {{
        let mut is_enabled = false;
        $crate::__if_enabled!($module, $probe, {
            is_enabled = true;
        });
        is_enabled
    }};
}

/// Symbols are found by the name that a probe's place has for the module, so it has to be the module's own.
#[doc(hidden)]
#[macro_export]
macro_rules! __called_by_its_name {
    ($module:ident) => {
        const _: () = assert!(
            $crate::is_same(stringify!($module), $module::NAME),
            "a provider is called by the name of its module"
        );
    };
}

/// Runs the code if the count is not 0, or that of the system's tracers.
#[cfg(not(target_os = "none"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __if_enabled {
    ($module:ident, $probe:ident, $hit:block) => {{
        $crate::__called_by_its_name!($module);
        // SAFETY: reads two words of this image, which are there as long as its code; whoever changes them
        // meanwhile makes this choose one way or the other.
        unsafe {
            ::core::arch::asm!(
                concat!(
                    "mov {0:e}, dword ptr [rip + vtg_", stringify!($module), "_", stringify!($probe),
                    "_count]"
                ),
                concat!(
                    "or {0:e}, dword ptr [rip + vtg_", stringify!($module), "_", stringify!($probe),
                    "_semaphore]"
                ),
                "jnz {1}",
                out(reg) _,
                label {
                    $hit
                },
                options(nostack, readonly),
            );
        }
    }};
}

/// Runs the code if the count is not 0.
#[cfg(target_os = "none")]
#[doc(hidden)]
#[macro_export]
macro_rules! __if_enabled {
    ($module:ident, $probe:ident, $hit:block) => {{
        $crate::__called_by_its_name!($module);
        // SAFETY: reads a word of this image, which is there as long as its code; whoever changes it
        // meanwhile makes this choose one way or the other.
        unsafe {
            ::core::arch::asm!(
                concat!(
                    "cmp dword ptr [rip + vtg_", stringify!($module), "_", stringify!($probe),
                    "_count], 0"
                ),
                "jne {}",
                label {
                    $hit
                },
                options(nostack, readonly),
            );
        }
    }};
}

/// Gives each argument its register, and calls the stub. Arguments behind the fifth go to the stack.
#[doc(hidden)]
#[macro_export]
macro_rules! __fire {
    ($module:ident, $probe:ident, $words:ident, [$first:expr $(, $more:expr)*], [$slot:tt $($slots:tt)*], [$($used:tt)*]) => {
        $crate::__fire!($module, $probe, $words, [$($more),*], [$($slots)*], [$($used)* $slot])
    };
    ($module:ident, $probe:ident, $words:ident, [], [$($slots:tt)*], [$(($index:tt $register:tt))*]) => {
        // SAFETY: the record and the note are data beside the code. The stub keeps to the C convention, as
        // does what it goes on to.
        unsafe {
            ::core::arch::asm!(
                $crate::__record!($module, $probe),
                "lea rdi, [rip + 990b]",
                $crate::__note!(begin $module, $probe),
                $crate::__note_arguments!($("{}@%", $register, " ",)*),
                $crate::__note!(end),
                concat!("call vtg_", stringify!($module), "_stub"),
                $(const $module::$probe::NOTE_BYTES[$index],)*
                line = const line!(),
                $(in($register) $words[$index],)*
                clobber_abi("C"),
            );
        }
    };
    ($module:ident, $probe:ident, $words:ident, [$($more:expr),+], [], [$($used:tt)*]) => {
        $crate::__fire!(@stack $module, $probe, $words, [$($more),+], [
            (5 0) (6 8) (7 16) (8 24) (9 32)
        ], [])
    };
    (@stack $module:ident, $probe:ident, $words:ident, [$first:expr $(, $more:expr)*], [$slot:tt $($slots:tt)*], [$($used:tt)*]) => {
        $crate::__fire!(@stack $module, $probe, $words, [$($more),*], [$($slots)*], [$($used)* $slot])
    };
    (@stack $module:ident, $probe:ident, $words:ident, [], [$($slots:tt)*], [$(($index:tt $offset:tt))*]) => {
        // SAFETY: the record and the note are data beside the code. The stack is as it was, afterwards; the
        // stub keeps to the C convention, as does what it goes on to.
        unsafe {
            ::core::arch::asm!(
                $crate::__record!($module, $probe),
                // Room for five words, and as much as keeps the stack aligned.
                "sub rsp, 48",
                $(concat!("mov [rsp + ", $offset, "], {}"),)*
                "lea rdi, [rip + 990b]",
                $crate::__note!(begin $module, $probe),
                $crate::__note_arguments!("{}@%rsi {}@%rdx {}@%rcx {}@%r8 {}@%r9 ",),
                $crate::__note_arguments!($("{}@", $offset, "(%rsp) ",)*),
                $crate::__note!(end),
                concat!("call vtg_", stringify!($module), "_stub"),
                "add rsp, 48",
                $(in(reg) $words[$index],)*
                const $module::$probe::NOTE_BYTES[0],
                const $module::$probe::NOTE_BYTES[1],
                const $module::$probe::NOTE_BYTES[2],
                const $module::$probe::NOTE_BYTES[3],
                const $module::$probe::NOTE_BYTES[4],
                $(const $module::$probe::NOTE_BYTES[$index],)*
                line = const line!(),
                in("rsi") $words[0],
                in("rdx") $words[1],
                in("rcx") $words[2],
                in("r8") $words[3],
                in("r9") $words[4],
                clobber_abi("C"),
            );
        }
    };
}

/// The record of a place, behind the object of its provider; `990` is its label.
#[doc(hidden)]
#[macro_export]
macro_rules! __record {
    ($module:ident, $probe:ident) => {
        concat!(
            // What the records are ordered by, once in each file of code.
            ".ifndef .Lvtg_records\n.pushsection .data.vtg,\"aw\",@progbits\n.Lvtg_records: .byte 0\n",
            ".popsection\n.endif\n",
            ".pushsection .rodata.str1.1,\"aMS\",@progbits,1\n989: .asciz \"", module_path!(),
            "\"\n.popsection\n",
            ".pushsection VTGPrLc_", stringify!($module), ",\"awo\",@progbits,.Lvtg_records\n",
            ".balign 32\n.reloc ., R_X86_64_NONE, .Lvtg_records\n",
            "990: .long {line}, 0\n.quad 989b, vtg_", stringify!($module), "_", stringify!($probe),
            "_probe, 0\n.popsection"
        )
    };
}

/// A note for the system's tracers, about the instruction here: all of it but the arguments.
#[cfg(not(target_os = "none"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __note {
    (begin $module:ident, $probe:ident) => {
        concat!(
            // The base is not to be left out as unused: the note does not count as a use.
            "991: nop\n.reloc 991b, R_X86_64_NONE, _.stapsdt.base\n",
            ".pushsection .note.stapsdt,\"?\",@note\n.balign 4\n",
            ".long 993f - 992f, 995f - 994f, 3\n",
            "992: .asciz \"stapsdt\"\n993: .balign 4\n",
            "994: .quad 991b, _.stapsdt.base, vtg_",
            stringify!($module),
            "_",
            stringify!($probe),
            "_semaphore\n",
            ".asciz \"",
            stringify!($module),
            "\"\n.asciz \"",
            stringify!($probe),
            "\""
        )
    };
    (end) => {
        ".byte 0\n995: .balign 4\n.popsection\n\
         .ifndef _.stapsdt.base\n\
         .pushsection .stapsdt.base,\"aG\",@progbits,.stapsdt.base,comdat\n\
         .weak _.stapsdt.base\n.hidden _.stapsdt.base\n\
         _.stapsdt.base: .space 1\n.size _.stapsdt.base, 1\n\
         .popsection\n.endif"
    };
}

/// A note for the system's tracers: its arguments.
#[cfg(not(target_os = "none"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __note_arguments {
    ($($part:tt,)*) => {
        concat!(".ascii \"", $($part,)* "\"")
    };
}

/// Ring 0 has no notes.
#[cfg(target_os = "none")]
#[doc(hidden)]
#[macro_export]
macro_rules! __note {
    ($($what:tt)*) => {
        ""
    };
}

/// Ring 0 has no notes: a comment.
#[cfg(target_os = "none")]
#[doc(hidden)]
#[macro_export]
macro_rules! __note_arguments {
    ($($part:tt,)*) => {
        concat!("# ", $($part,)*)
    };
}
