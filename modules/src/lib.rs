//! The ring-0 modules of the tree, compiled from source at build time.
//!
//! Each module is a folder of C files beside this crate's `src`; `build.rs` compiles it into an
//! ELF image, which is kept here as bytes, ready for a loader or to be written to a file. The
//! modules [`hello`] and [`vmmr0`] mirror the request packets of the modules of those names.

pub mod hello;
pub mod vmmr0;

/// A ring-0 module: its name and its image file.
#[derive(Clone, Copy, Debug)]
pub struct Module {
    /// The module's name; but for that of VMMR0 without the `.r0` of its file.
    pub name: &'static str,
    /// The bytes of the `.r0` file.
    pub image: &'static [u8],
}

/// The tutorial module, `modules/hello`: a service with a few operations, see [`hello`].
pub const HELLO: Module =
    Module { name: "hello", image: include_bytes!(concat!(env!("OUT_DIR"), "/hello.r0")) };

/// The hypervisor's module for tests, `modules/vmmr0`: the three entries, see [`vmmr0`].
pub const VMMR0: Module = Module {
    name: sup_abi::VMM_MODULE_NAME,
    image: include_bytes!(concat!(env!("OUT_DIR"), "/vmmr0.r0")),
};

/// The hello module built as a plain shared object, its imports answered by stand-ins, so that
/// `dlopen` can load it. For benchmarks that compare the two loaders.
pub static HELLO_SHARED_OBJECT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/hello.so"));
