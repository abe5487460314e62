//! [`provider!`](crate::provider!): the object, written by the assembler.
//!
//! The driver takes an object of a process only if the location records follow its enabled counts, and the
//! linker has to bring the records of all crates there. So object and records share one output section,
//! `VTGPrLc_` and the module's name: a name in C's sense, for whose end linkers make a symbol. Within it,
//! parts with the flag `o` are ordered by where the section that each names is in memory: the object names
//! one among read-only data, the records one among writable data, which every linker puts behind it. That
//! flag only the assembler can give; what types know reaches it as numbers.
//!
//! Neighbours: `fire` has the records, `argument` and `name` the numbers. Invariant: the object passes the
//! validator of `sup-core` in both rings (`tests/probes.rs`).

/// Makes a provider: a module with its probes, and the VTG object that describes them.
///
/// ```
/// sup_probe::provider! {
///     /// What becomes of files.
///     pub mod files;
///     attributes = sup_probe::Attributes::all(sup_probe::Attribute::EVOLVING);
///     /// A file was opened.
///     probe open(fd: i32, size: u64);
///     probe read__done();
/// }
/// # fn main() { assert_eq!(files::provider().name(), "files"); }
/// ```
///
/// The module's name is the provider's; no other of the image may have it, since it is part of the linker's
/// symbols. `attributes` may be left out: evolving names and data that depend on the instruction set. In a
/// probe's name, `__` stands for `-`. What a probe may pass, [`ProbeArgument`] says:
///
/// ```compile_fail,E0277
/// sup_probe::provider! { mod bad; probe open(ratio: f64); }
/// ```
/// ```compile_fail,E0080
/// sup_probe::provider! { mod ends_in_1; probe open(fd: i32); }
/// ```
///
/// [`ProbeArgument`]: crate::ProbeArgument
#[macro_export]
macro_rules! provider {
    (
        $(#[$meta:meta])*
        $visibility:vis mod $module:ident;
        $(attributes = $attributes:expr;)?
        $($(#[$probe_meta:meta])* probe $probe:ident($($arg:ident: $type:ty),* $(,)?);)+
    ) => {
        $(#[$meta])*
        #[allow(
            clippy::too_many_arguments,
            dead_code,
            missing_docs,
            non_snake_case,
            unused_imports,
            reason = "probes may be described first, and `__` in their names means something"
        )]
        $visibility mod $module {
            use super::*;

            #[doc(hidden)]
            pub const NAME: &str = stringify!($module);
            const ATTRIBUTES: $crate::Attributes = $crate::__first!(
                $($attributes,)? $crate::Attributes::all($crate::Attribute::EVOLVING),
            );
            const WORDS: [u64; $crate::NAME_WORDS] = $crate::provider_name(NAME);
            const TEXTS: &[&str] = &[
                NAME,
                $(stringify!($probe), $(stringify!($type),)*)+
                module_path!(),
                env!("CARGO_PKG_VERSION"),
                $crate::SEED,
            ];

            $(
                $(#[$probe_meta])*
                #[inline]
                pub fn $probe($($arg: $type),*) -> [u64; $probe::COUNT] {
                    [$($crate::ProbeArgument::word($arg)),*]
                }

                #[doc(hidden)]
                pub mod $probe {
                    use super::super::*;

                    pub const COUNT: usize = <[&str]>::len(&[$(stringify!($arg)),*]);
                    const _: () = assert!(COUNT <= 10, "a probe has at most ten arguments");
                    pub const WORDS: [u64; $crate::NAME_WORDS] =
                        $crate::probe_name(stringify!($probe));
                    pub const NOTE_BYTES: [i32; COUNT] =
                        [$(<$type as $crate::ProbeArgument>::NOTE_BYTES),*];
                    pub const IS_LARGE: u8 =
                        (false $(|| $crate::is_large(<$type as $crate::ProbeArgument>::FLAGS))*) as u8;
                }
            )+

            /// The provider, to be registered.
            #[must_use]
            pub fn provider() -> $crate::Provider {
                let header: *mut $crate::VTGOBJHDR;
                // SAFETY: takes an address, and touches nothing.
                unsafe {
                    ::core::arch::asm!(
                        concat!("lea {}, [rip + vtg_", stringify!($module), "]"),
                        out(reg) header,
                        options(pure, nomem, nostack, preserves_flags),
                    );
                }
                let header = ::core::ptr::NonNull::new(header);
                match header {
                    // SAFETY: that is the object below, a static of the image.
                    Some(header) => unsafe { $crate::Provider::from_header(header, NAME) },
                    // The linker puts nothing at address 0.
                    None => loop {},
                }
            }

            ::core::arch::global_asm!(
                concat!(".pushsection .rodata.vtg_", stringify!($module), ",\"a\",@progbits"),
                concat!(".Lvtg_", stringify!($module), "_key: .byte 0"),
                ".popsection",
                concat!(
                    ".pushsection VTGPrLc_", stringify!($module), ",\"awo\",@progbits,.Lvtg_",
                    stringify!($module), "_key"
                ),
                ".balign 4096",
                // Unused sections are left out, and this one is used.
                concat!(".reloc ., R_X86_64_NONE, .Lvtg_", stringify!($module), "_key"),
                concat!(".hidden __stop_VTGPrLc_", stringify!($module)),
                concat!(".globl vtg_", stringify!($module)),
                concat!(".hidden vtg_", stringify!($module)),
                concat!(".type vtg_", stringify!($module), ",@object"),
                concat!("vtg_", stringify!($module), ":"),
                // The header.
                ".ascii \"VTG Object Header v1.5\\0\\0\"",
                $crate::__area!(long 64, $module, end, header),
                $crate::__area!(area $module, strings),
                $crate::__area!(area $module, lists),
                $crate::__area!(area $module, probes),
                $crate::__area!(area $module, providers),
                $crate::__area!(area $module, counts),
                ".long 0, 0",
                concat!(".quad .Lvtg_", stringify!($module), "_locations"),
                concat!(".quad __stop_VTGPrLc_", stringify!($module)),
                ".quad {}, {}",
                ".quad 0, 0",
                // The strings: names of types, of the provider and of the probes.
                concat!(".Lvtg_", stringify!($module), "_strings:"),
                $crate::__type_names!(),
                concat!(".Lvtg_", stringify!($module), "_name: .quad {}, {}, {}, {}, {}, {}, {}, {}"),
                $(concat!(
                    ".Lvtg_", stringify!($module), "_", stringify!($probe),
                    "_name: .quad {}, {}, {}, {}, {}, {}, {}, {}"
                ),)+
                concat!(".Lvtg_", stringify!($module), "_strings_end:"),
                ".balign 16",
                concat!(".Lvtg_", stringify!($module), "_lists:"),
                $(
                    concat!(".Lvtg_", stringify!($module), "_", stringify!($probe), "_list:"),
                    ".byte {}, {}, 0, 0",
                    $($crate::__list_entry!($arg),)*
                )+
                concat!(".Lvtg_", stringify!($module), "_lists_end:"),
                ".balign 16",
                concat!(".Lvtg_", stringify!($module), "_probes:"),
                $(
                    concat!(".globl vtg_", stringify!($module), "_", stringify!($probe), "_probe"),
                    concat!(".hidden vtg_", stringify!($module), "_", stringify!($probe), "_probe"),
                    concat!("vtg_", stringify!($module), "_", stringify!($probe), "_probe:"),
                    concat!(".Lvtg_", stringify!($module), "_", stringify!($probe), "_at:"),
                    concat!(
                        ".long .Lvtg_", stringify!($module), "_", stringify!($probe), "_name - .Lvtg_",
                        stringify!($module), "_strings"
                    ),
                    concat!(
                        ".long .Lvtg_", stringify!($module), "_", stringify!($probe), "_list - .Lvtg_",
                        stringify!($module), "_lists"
                    ),
                    concat!(
                        ".short (.Lvtg_", stringify!($module), "_", stringify!($probe), "_at - .Lvtg_",
                        stringify!($module), "_probes) / 16, 0"
                    ),
                    concat!(
                        ".long vtg_", stringify!($module), " - .Lvtg_", stringify!($module), "_",
                        stringify!($probe), "_at"
                    ),
                )+
                concat!(".Lvtg_", stringify!($module), "_probes_end:"),
                ".balign 16",
                concat!(".Lvtg_", stringify!($module), "_providers:"),
                concat!(
                    ".long .Lvtg_", stringify!($module), "_name - .Lvtg_", stringify!($module),
                    "_strings"
                ),
                ".short 0",
                concat!(
                    ".short (.Lvtg_", stringify!($module), "_probes_end - .Lvtg_", stringify!($module),
                    "_probes) / 16"
                ),
                ".byte {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, 0",
                concat!(".Lvtg_", stringify!($module), "_providers_end:"),
                ".balign 16",
                concat!(".Lvtg_", stringify!($module), "_counts:"),
                $(
                    concat!(".globl vtg_", stringify!($module), "_", stringify!($probe), "_count"),
                    concat!(".hidden vtg_", stringify!($module), "_", stringify!($probe), "_count"),
                    concat!("vtg_", stringify!($module), "_", stringify!($probe), "_count: .long 0"),
                )+
                concat!(".Lvtg_", stringify!($module), "_counts_end:"),
                // The marker, and what the linker puts behind it.
                ".balign 32",
                ".zero 32",
                concat!(".Lvtg_", stringify!($module), "_locations:"),
                ".popsection",
                $($crate::__semaphore!($module, $probe),)+
                concat!(".pushsection .text.vtg_", stringify!($module), "_stub,\"ax\",@progbits"),
                concat!(".globl vtg_", stringify!($module), "_stub"),
                concat!(".hidden vtg_", stringify!($module), "_stub"),
                concat!(".type vtg_", stringify!($module), "_stub,@function"),
                concat!("vtg_", stringify!($module), "_stub:"),
                "test byte ptr [rdi + 3], 0x80",
                "jnz 2f",
                "ret",
                "2:",
                $crate::__jump!(),
                concat!(
                    ".size vtg_", stringify!($module), "_stub, . - vtg_", stringify!($module), "_stub"
                ),
                ".popsection",
                const $crate::uuid_half(0, TEXTS),
                const $crate::uuid_half(1 << 63, TEXTS),
                const WORDS[0], const WORDS[1], const WORDS[2], const WORDS[3],
                const WORDS[4], const WORDS[5], const WORDS[6], const WORDS[7],
                $(
                    const $probe::WORDS[0], const $probe::WORDS[1],
                    const $probe::WORDS[2], const $probe::WORDS[3],
                    const $probe::WORDS[4], const $probe::WORDS[5],
                    const $probe::WORDS[6], const $probe::WORDS[7],
                )+
                $(
                    const $probe::COUNT,
                    const $probe::IS_LARGE,
                    $(
                        const <$type as $crate::ProbeArgument>::TYPE_NAME,
                        const <$type as $crate::ProbeArgument>::FLAGS,
                    )*
                )+
                const ATTRIBUTES.provider.code as u8,
                const ATTRIBUTES.provider.data as u8,
                const ATTRIBUTES.provider.class as u8,
                const ATTRIBUTES.modules.code as u8,
                const ATTRIBUTES.modules.data as u8,
                const ATTRIBUTES.modules.class as u8,
                const ATTRIBUTES.functions.code as u8,
                const ATTRIBUTES.functions.data as u8,
                const ATTRIBUTES.functions.class as u8,
                const ATTRIBUTES.names.code as u8,
                const ATTRIBUTES.names.data as u8,
                const ATTRIBUTES.names.class as u8,
                const ATTRIBUTES.arguments.code as u8,
                const ATTRIBUTES.arguments.data as u8,
                const ATTRIBUTES.arguments.class as u8,
                sym $crate::FIRE,
            );
        }
    };
}

/// The first of its arguments.
#[doc(hidden)]
#[macro_export]
macro_rules! __first {
    ($first:expr, $($more:expr,)*) => {
        $first
    };
}

/// Words of the header: a number and the object's size, or an area's place and size.
#[doc(hidden)]
#[macro_export]
macro_rules! __area {
    (long $bits:literal, $module:ident, end, header) => {
        concat!(
            ".long ",
            $bits,
            ", .Lvtg_",
            stringify!($module),
            "_counts_end - vtg_",
            stringify!($module)
        )
    };
    (area $module:ident, $area:ident) => {
        concat!(
            ".long .Lvtg_",
            stringify!($module),
            "_",
            stringify!($area),
            " - vtg_",
            stringify!($module),
            ", .Lvtg_",
            stringify!($module),
            "_",
            stringify!($area),
            "_end - .Lvtg_",
            stringify!($module),
            "_",
            stringify!($area)
        )
    };
}

/// One argument of a list: its type's name and flags.
#[doc(hidden)]
#[macro_export]
macro_rules! __list_entry {
    ($arg:ident) => {
        ".long {}, {}"
    };
}

/// The names of types: [`TYPE_NAMES`](crate::TYPE_NAMES), as the assembler wants them.
#[doc(hidden)]
#[macro_export]
macro_rules! __type_names {
    () => {
        ".ascii \"int8_t\\0uint8_t\\0int16_t\\0uint16_t\\0int32_t\\0uint32_t\\0int64_t\\0uint64_t\\0\
         intptr_t\\0uintptr_t\\0void *\\0\""
    };
}

/// Where the system's tracers count themselves: ring 3 only.
#[cfg(not(target_os = "none"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __semaphore {
    ($module:ident, $probe:ident) => {
        concat!(
            ".pushsection .probes,\"aw\",@progbits\n.balign 4\n.globl vtg_",
            stringify!($module),
            "_",
            stringify!($probe),
            "_semaphore\n.hidden vtg_",
            stringify!($module),
            "_",
            stringify!($probe),
            "_semaphore\nvtg_",
            stringify!($module),
            "_",
            stringify!($probe),
            "_semaphore: .short 0, 0\n.popsection"
        )
    };
}

/// Where the system's tracers count themselves: there are none in ring 0.
#[cfg(target_os = "none")]
#[doc(hidden)]
#[macro_export]
macro_rules! __semaphore {
    ($module:ident, $probe:ident) => {
        ""
    };
}

/// The stub's end: on to whoever tells the driver.
#[cfg(not(target_os = "none"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __jump {
    () => {
        "jmp qword ptr [rip + {}]"
    };
}

/// The stub's end: on to the driver.
#[cfg(target_os = "none")]
#[doc(hidden)]
#[macro_export]
macro_rules! __jump {
    () => {
        "jmp qword ptr [rip + {}@GOTPCREL]"
    };
}
