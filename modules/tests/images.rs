//! The compiled modules are what the ring-0 loader takes, and ask for no more than it gives.

use std::collections::BTreeSet;

use sup_modules::{HELLO, HELLO_SHARED_OBJECT, hello};
use sup_ring0::elf::{Elf, ElfError, Protection};

#[test]
fn hello_has_one_segment_of_code_and_nothing_writable_and_executable() {
    let elf = Elf::parse(HELLO.image).unwrap();
    let protections: Vec<_> = elf.segments().map(|segment| segment.protection).collect();
    let code = protections.iter().filter(|&&what| what == Protection::ReadExecute).count();
    assert_eq!(code, 1, "{protections:?}");
    for segment in elf.segments().filter(|segment| segment.protection != Protection::ReadExecute) {
        assert!(!segment.pages.into_iter().any(|offset| elf.is_executable(offset)));
    }
    assert!(elf.relro().is_some(), "the table of operations is read-only after relocation");
}

#[test]
fn hello_exports_its_face_only() {
    let elf = Elf::parse(HELLO.image).unwrap();
    let exports: BTreeSet<_> =
        elf.symbols().map(|symbol| (symbol.name, symbol.is_function)).collect();
    let functions = ["ModuleInit", "ModuleTerm", hello::SERVICE_HANDLER];
    let mut expected: BTreeSet<_> = functions.map(|name| (name, true)).into();
    expected.insert((hello::VERSION_SYMBOL, false));
    assert_eq!(exports, expected);
    for name in functions {
        assert!(elf.is_executable(elf.find_symbol(name).unwrap().offset), "{name}");
    }
}

#[test]
fn hello_imports_from_the_driver_only() {
    let elf = Elf::parse(HELLO.image).unwrap();
    assert!(elf.imports().any(|import| import.name == "SUPR0Printf"));
    for import in elf.imports() {
        let known = ["SUPR0", "SUPSem", "mem"].iter().any(|start| import.name.starts_with(start));
        assert!(known && !import.is_weak, "{import:?}");
    }
}

#[test]
fn cannot_load_plain_shared_object() {
    // It is what an ordinary build makes: it wants the C library, and dlopen runs its constructors.
    let error = Elf::parse(HELLO_SHARED_OBJECT).unwrap_err();
    let refused = matches!(
        error,
        ElfError::NeedsLibrary { .. }
            | ElfError::Constructors { .. }
            | ElfError::SegmentSharesPage { .. }
    );
    assert!(refused, "{error}");
}

#[test]
fn greeting_fits_its_packet() {
    assert!(hello::Greet::new(&"x".repeat(63)).is_some());
    assert!(hello::Greet::new(&"x".repeat(64)).is_none());
    let packet = hello::Greet::new("Ada").unwrap();
    assert_eq!(packet.header.cbReq, 200);
    assert!(packet.name.starts_with(b"Ada\0"));
    assert_eq!(packet.greeting(), "");
}

#[test]
fn sum_counts_its_values() {
    assert_eq!(hello::Sum::new(3).unwrap().header.cbReq, 24 + 3 * 8);
    assert!(hello::Sum::new(u32::MAX).is_none());
}
