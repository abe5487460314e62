//! What the loader makes of images that are as they should be.

use std::string::{String, ToString};
use std::vec;
use std::vec::Vec;

use sup_abi::Status;

use super::builder::{
    GNU_HASH, HASH, Image, P_MEMSZ, P_VADDR, R_ADDEND, R_OFFSET, RELRO, header, relocation,
};
use crate::elf::hash::{gnu_hash, system_v_hash};
use crate::elf::{Elf, ElfError, Import, Protection, Segment, Symbol, format};

const BASE: u64 = 0xffff_c900_0010_0000;
const PRINTF: u64 = 0xffff_ffff_c012_3450;

fn resolve(name: &str) -> Option<u64> {
    (name == "SUPR0Printf").then_some(PRINTF)
}

fn word(image: &[u8], offset: usize) -> u64 {
    u64::from_le_bytes(image[offset..offset + 8].try_into().unwrap())
}

#[test]
fn shows_segments_and_symbols() {
    let image = Image::good();
    let elf = Elf::parse(&image.bytes).unwrap();

    assert_eq!(elf.image_size(), 0x4000);
    assert_eq!(
        elf.segments().collect::<Vec<_>>(),
        [
            Segment { pages: 0..0x1000, protection: Protection::Read },
            Segment { pages: 0x1000..0x2000, protection: Protection::ReadExecute },
            Segment { pages: 0x2000..0x4000, protection: Protection::ReadWrite },
        ]
    );
    assert_eq!(elf.relro(), Some(0x2000..0x3000));
    assert_eq!(
        elf.symbols().collect::<Vec<_>>(),
        [
            Symbol { name: "ModuleInit", offset: 0x1000, is_function: true },
            Symbol { name: "g_szVersion", offset: 0x2080, is_function: false },
        ]
    );
    assert_eq!(
        elf.imports().collect::<Vec<_>>(),
        [
            Import { name: "SUPR0Printf", is_weak: false },
            Import { name: "SUPR0New", is_weak: true },
        ]
    );
    assert!(elf.is_executable(0x1000) && elf.is_executable(0x100f));
    assert!(!elf.is_executable(0xfff) && !elf.is_executable(0x1010));
    assert!(!elf.is_executable(usize::MAX));
}

#[test]
fn relocates_every_word() {
    let image = Image::good();
    let elf = Elf::parse(&image.bytes).unwrap();
    let mut memory = vec![0; elf.image_size()];
    elf.load(&mut memory, BASE, &mut resolve).unwrap();

    assert_eq!(word(&memory, 0x2000), BASE + 0x1004, "relative");
    assert_eq!(word(&memory, 0x2008), BASE + 0x2080 - 8, "own variable with an addend");
    assert_eq!(word(&memory, 0x2010), PRINTF + 0x10, "import with an addend");
    assert_eq!(word(&memory, 0x2018), 0, "weak import that nobody provides");
    assert_eq!(word(&memory, 0x2020), 0x1234, "absolute symbol");
    assert_eq!(word(&memory, 0x2028), PRINTF, "jump slot");
    assert_eq!(word(&memory, 0x3001), BASE + 0x1000, "own function");
    assert_eq!(memory[0x1000..0x1005], [0xf3, 0x0f, 0x1e, 0xfa, 0xc3], "code is copied");
    assert!(memory[0x3009..].iter().all(|&byte| byte == 0), "the rest stays zero");
}

/// `g_pSUPGlobalInfoPage`, as the header has it for ring 0.
#[test]
fn fills_the_headers_instruction_for_the_page() {
    let mut image = Image::good();
    image.rename_import();
    image.bytes[0x1000..0x100a].copy_from_slice(&[0x48, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0]);
    image.put64(relocation(2, R_OFFSET), 0x1002);
    image.put64(relocation(2, R_ADDEND), 0);
    let elf = Elf::parse(&image.bytes).unwrap();
    let mut memory = vec![0; elf.image_size()];
    elf.load(&mut memory, BASE, &mut |name| (name == "g_SUPGlobalInfoPage").then_some(PRINTF))
        .unwrap();
    assert_eq!(memory[0x1000..0x1002], [0x48, 0xb8], "the instruction stays");
    assert_eq!(word(&memory, 0x1002), PRINTF);
    assert!(memory[0x100a..0x1100].iter().all(|&byte| byte == 0), "nothing behind it");
}

#[test]
fn image_may_begin_at_any_page() {
    let mut image = Image::good();
    image.move_to(0x40_0000);
    let elf = Elf::parse(&image.bytes).unwrap();
    assert_eq!(elf.image_size(), 0x4000);
    assert_eq!(elf.relro(), Some(0x2000..0x3000));
    assert_eq!(elf.find_symbol("g_szVersion").unwrap().offset, 0x2080);

    let mut memory = vec![0; elf.image_size()];
    elf.load(&mut memory, BASE, &mut resolve).unwrap();
    assert_eq!(word(&memory, 0x2000), BASE + 0x1004);
    assert_eq!(word(&memory, 0x2008), BASE + 0x2080 - 8);
}

#[test]
fn relro_leaves_the_rest_of_a_page_writable() {
    // Begins after the first byte of the segment, so the first page holds variables too.
    let mut image = Image::good();
    image.put64(header(RELRO, P_VADDR), 0x2008);
    image.put64(header(RELRO, P_MEMSZ), 0x1ff8);
    assert_eq!(Elf::parse(&image.bytes).unwrap().relro(), Some(0x3000..0x4000));

    // Ends in the middle of the only page.
    let mut image = Image::good();
    image.put64(header(RELRO, P_MEMSZ), 0xff8);
    assert_eq!(Elf::parse(&image.bytes).unwrap().relro(), None);

    // Is empty.
    let mut image = Image::good();
    image.put64(header(RELRO, P_MEMSZ), 0);
    assert_eq!(Elf::parse(&image.bytes).unwrap().relro(), None);
}

#[test]
fn finds_symbols_through_both_hash_tables() {
    let system_v = Image::good();
    let mut gnu = Image::good();
    gnu.remove_dynamic(format::DT_HASH);
    gnu.set_dynamic(format::DT_GNU_HASH, GNU_HASH as u64);

    for image in [system_v, gnu] {
        let elf = Elf::parse(&image.bytes).unwrap();
        assert_eq!(elf.symbols().count(), 2);
        for symbol in elf.symbols() {
            assert_eq!(elf.find_symbol(symbol.name), Some(symbol));
        }
        for hidden in ["SUPR0Printf", "absolute", "ModuleTerm", ""] {
            assert_eq!(elf.find_symbol(hidden), None, "{hidden}");
        }
    }
}

#[test]
fn circular_hash_chain_ends() {
    let mut image = Image::good();
    for word in 2..10 {
        image.put32(HASH + 4 * word, 1);
    }
    let elf = Elf::parse(&image.bytes).unwrap();
    assert_eq!(elf.find_symbol("ModuleInit"), None);
}

#[test]
fn hash_functions_are_those_of_the_linker() {
    for (name, system_v, gnu) in [
        ("", 0, 0x1505),
        ("exit", 0x0006_cf04, 0x7c96_7e3f),
        ("printf", 0x0779_05a6, 0x156b_2bb8),
        ("syscall", 0x0b09_985c, 0xbac2_12a0),
    ] {
        assert_eq!(system_v_hash(name), system_v, "{name}");
        assert_eq!(gnu_hash(name), gnu, "{name}");
    }
}

#[test]
fn cannot_load_without_an_import() {
    let image = Image::good();
    let elf = Elf::parse(&image.bytes).unwrap();
    let mut memory = vec![0; elf.image_size()];
    let error = elf.load(&mut memory, BASE, &mut |_| None).unwrap_err();
    assert_eq!(error.status(), Status::VERR_SYMBOL_NOT_FOUND);
    assert_eq!(error.to_string(), "the driver has no SUPR0Printf, which the image imports");
}

#[test]
fn cannot_load_into_a_buffer_of_another_size() {
    let image = Image::good();
    let elf = Elf::parse(&image.bytes).unwrap();
    for size in [0, elf.image_size() - 1, elf.image_size() + 1] {
        let error = elf.load(&mut vec![0; size], BASE, &mut resolve).unwrap_err();
        assert_eq!(error, ElfError::BufferSize { size, expected: 0x4000 });
        assert_eq!(error.status(), Status::VERR_INVALID_PARAMETER);
    }
}

#[test]
fn cannot_load_at_an_impossible_address() {
    let image = Image::good();
    let elf = Elf::parse(&image.bytes).unwrap();
    let mut memory = vec![0; elf.image_size()];
    for base in [BASE + 8, 0u64.wrapping_sub(0x3000)] {
        let error = elf.load(&mut memory, base, &mut resolve).unwrap_err();
        assert_eq!(error, ElfError::BaseAddress { base, size: 0x4000 });
    }
}

#[test]
fn loads_the_hello_module() {
    let elf = Elf::parse(sup_modules::HELLO.image).unwrap();
    let mut memory = vec![0; elf.image_size()];
    let mut asked: Vec<String> = Vec::new();
    elf.load(&mut memory, BASE, &mut |name| {
        asked.push(name.to_string());
        Some(PRINTF)
    })
    .unwrap();
    for import in elf.imports() {
        assert!(asked.iter().any(|name| name == import.name), "{} is bound", import.name);
    }
    let version = elf.find_symbol("g_szHelloVersion").unwrap();
    assert!(memory[version.offset..].starts_with(b"hello "));
    assert!(elf.relro().is_some(), "the table of operations is read-only");
}
