//! The checks, on small objects that break one promise each.

use object::write::{
    Object, Relocation, SectionId, StandardSection, Symbol, SymbolId, SymbolSection,
};
use object::{
    Architecture, BinaryFormat, Endianness, RelocationEncoding, RelocationFlags, RelocationKind,
    SectionKind, SymbolFlags, SymbolKind, SymbolScope,
};

use super::frames::{self, uleb128};
use super::image::Image;
use super::{code, symbols};

const PANIC: &str = "_ZN4core9panicking9panic_fmt17h0123456789abcdefE";
const HANDLER: &str = "_RNvCs1_7___rustc17rust_begin_unwind";
/// Every function begins at a multiple of this.
const ALIGN: u64 = 16;

/// An object in the making.
struct Builder {
    object: Object<'static>,
    text: SectionId,
    stack_sizes: SectionId,
}

impl Builder {
    fn new() -> Self {
        let mut object = Object::new(BinaryFormat::Elf, Architecture::X86_64, Endianness::Little);
        let text = object.section_id(StandardSection::Text);
        let name = b".stack_sizes".to_vec();
        let stack_sizes = object.add_section(Vec::new(), name, SectionKind::Other);
        Self { object, text, stack_sizes }
    }

    fn symbol(&mut self, name: &str, section: SymbolSection, offset: u64, size: usize) -> SymbolId {
        self.object.add_symbol(Symbol {
            name: name.as_bytes().to_vec(),
            value: offset,
            size: u64::try_from(size).unwrap(),
            kind: SymbolKind::Text,
            scope: SymbolScope::Linkage,
            weak: false,
            section,
            flags: SymbolFlags::None,
        })
    }

    fn function(&mut self, name: &str, code: &[u8]) -> SymbolId {
        let offset = self.object.append_section_data(self.text, code, ALIGN);
        self.symbol(name, SymbolSection::Section(self.text), offset, code.len())
    }

    fn import(&mut self, name: &str) -> SymbolId {
        self.symbol(name, SymbolSection::Undefined, 0, 0)
    }

    /// A function that calls `target` through a relocation.
    fn caller(&mut self, name: &str, target: SymbolId) {
        let caller = self.function(name, &[0xe8, 0, 0, 0, 0, 0xc3]);
        let offset = self.object.symbol(caller).value + 1;
        let flags = RelocationFlags::Generic {
            kind: RelocationKind::PltRelative,
            encoding: RelocationEncoding::X86Branch,
            size: 32,
        };
        let relocation = Relocation { offset, symbol: target, addend: -4, flags };
        self.object.add_relocation(self.text, relocation).unwrap();
    }

    /// An entry in the table of frames.
    fn frame(&mut self, function: SymbolId, size: &[u8]) {
        let entry = [&[0; 8], size].concat();
        let offset = self.object.append_section_data(self.stack_sizes, &entry, 1);
        let flags = RelocationFlags::Generic {
            kind: RelocationKind::Absolute,
            encoding: RelocationEncoding::Generic,
            size: 64,
        };
        let relocation = Relocation { offset, symbol: function, addend: 0, flags };
        self.object.add_relocation(self.stack_sizes, relocation).unwrap();
    }

    fn look<T>(&self, look: impl FnOnce(&Image<'_>) -> T) -> T {
        look(&Image::parse(&self.object.write().unwrap()).unwrap())
    }
}

#[test]
fn cannot_hide_a_panic_behind_a_jump_within_the_section() {
    let mut builder = Builder::new();
    // call +11: the next function.
    builder.function("guilty", &[0xe8, 11, 0, 0, 0, 0xc3]);
    builder.function(PANIC, &[0x0f, 0x0b]);
    builder.function("innocent", &[0xc3]);
    let found = builder.look(symbols::panics);
    assert_eq!(found, ["`core::panicking::panic_fmt` is in the object, referred to by guilty"]);
}

#[test]
fn cannot_hide_a_panic_behind_a_relocation() {
    let mut builder = Builder::new();
    let panic = builder.import(PANIC);
    builder.caller("guilty", panic);
    let found = builder.look(symbols::panics);
    assert_eq!(found, ["`core::panicking::panic_fmt` is in the object, referred to by guilty"]);
}

#[test]
fn the_panic_handler_may_be_there_but_not_be_called() {
    let mut builder = Builder::new();
    let handler = builder.function(HANDLER, &[0x0f, 0x0b]);
    // A table of all functions is no call.
    builder.frame(handler, &[0]);
    assert!(builder.look(symbols::panics).is_empty());
    builder.caller("guilty", handler);
    assert_eq!(builder.look(symbols::panics).len(), 1);
}

#[test]
fn cannot_import_what_neither_the_shim_nor_the_kernel_has() {
    let mut builder = Builder::new();
    for name in ["supdrv_log", "memcpy", "__x86_indirect_thunk_r11", "supdrv_gone", "__udivti3"] {
        builder.import(name);
    }
    let header =
        "/* After supdrv_gone returned. */\nvoid supdrv_log(u32 level, const char *text);\n";
    let found = builder.look(|image| symbols::foreign_imports(image, header));
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].contains("`supdrv_gone`") && found[1].contains("`__udivti3`"), "{found:?}");
}

#[test]
fn cannot_use_floating_point() {
    // movaps xmm1, xmm0; fld1; fld [rax]; movq mm0, rax
    let codes: [&[u8]; 4] =
        [&[0x0f, 0x28, 0xc8], &[0xd9, 0xe8], &[0xdd, 0x00], &[0x48, 0x0f, 0x6e, 0xc0]];
    for bytes in codes {
        let mut builder = Builder::new();
        builder.function("guilty", bytes);
        let found = builder.look(code::floating_point);
        assert!(found.len() == 1 && found[0].starts_with("`guilty` uses"), "{bytes:x?}: {found:?}");
    }
}

#[test]
fn fences_and_pauses_are_no_floating_point() {
    let mut builder = Builder::new();
    // lfence; mfence; pause; prefetcht0 [rax]
    let bytes = [0x0f, 0xae, 0xe8, 0x0f, 0xae, 0xf0, 0xf3, 0x90, 0x0f, 0x18, 0x08];
    builder.function("innocent", &bytes);
    assert!(builder.look(code::floating_point).is_empty());
}

#[test]
fn large_frames_are_told_largest_first() {
    let mut builder = Builder::new();
    for (name, size) in
        [("small", &[0x80, 0x08][..]), ("large", &[0x81, 0x08]), ("huge", &[0x80, 0x40])]
    {
        let function = builder.function(name, &[0xc3]);
        builder.frame(function, size);
    }
    let found = builder.look(frames::too_large).unwrap();
    let wanted =
        ["`huge` has a stack frame of 8192 bytes", "`large` has a stack frame of 1025 bytes"];
    assert!(
        found.len() == 2 && found.iter().zip(wanted).all(|(got, want)| got.starts_with(want)),
        "{found:?}"
    );
}

#[test]
fn cannot_pass_without_the_compilers_notes() {
    let mut builder = Builder::new();
    builder.function("any", &[0xc3]);
    assert!(builder.look(frames::too_large).is_err());
}

#[test]
fn reads_numbers_of_several_bytes() {
    assert_eq!(uleb128(&[0xe5, 0x8e, 0x26, 0xff]), Some(624_485));
    assert_eq!(uleb128(&[0x80]), None);
}
