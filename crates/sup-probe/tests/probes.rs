//! Objects that the macros make: the driver's validator takes them, and they read as they were written.
//!
//! Hits go to a recorder here, which stands where `SUPTracerFireProbe` does. Invariant: the tests that switch
//! probes on have a provider of their own, since tests run at once.

use std::cell::{Cell, RefCell};
use std::ffi::CStr;
use std::sync::atomic::{AtomicU32, Ordering};

use iced_x86::Mnemonic;
use object::{Object as _, ObjectSection as _};
use sup_abi::{
    R0Ptr, VTG_TYPE_CTX_POINTER, VTG_TYPE_CTX_R3, VTG_TYPE_FIXED_SIZED, VTG_TYPE_HC_ARCH,
    VTG_TYPE_SIGNED, VTG_TYPE_UNSIGNED, VTGOBJHDR, VTGPROBELOC, VTGPROBELOC_ENABLED, VtgAttributes,
};
use sup_core::vtg::{Kind, Object, check_header};
use sup_probe::{Attribute, Attributes, Class, Provider, Stability, probe, probe_enabled};

/// A type that only a pointer to can be passed.
struct Opaque;

sup_probe::provider! {
    mod all;
    attributes = Attributes {
        provider: Attribute { code: Stability::Stable, data: Stability::Internal, class: Class::Common },
        modules: Attribute { code: Stability::Private, ..Attribute::EVOLVING },
        functions: Attribute { data: Stability::Standard, ..Attribute::EVOLVING },
        names: Attribute { class: Class::Cpu, ..Attribute::EVOLVING },
        arguments: Attribute::EVOLVING,
    };
    probe integers(a: i8, b: u8, c: i16, d: u16, e: i32, f: u32, g: i64, h: u64, i: isize, j: usize);
    probe pointers(p: *const Opaque, q: *mut u8);
    probe nothing();
    probe tick__tock(count: u32);
}

sup_probe::provider! {
    /// For the test that switches it on.
    mod fired;
    probe small(a: i8, b: u64);
    probe many(a: i32, b: u32, c: i64, d: u64, e: u16, f: i16, g: u8, h: *const u8, i: usize, j: isize);
    probe silent();
}

sup_probe::provider! {
    mod unused;
    probe never(value: u64);
}

#[inline(never)]
fn integers() {
    probe!(all, integers, -1, 2, -3, 4, -5, 6, -7, 8, -9, 10);
    probe!(all, nothing);
}

mod elsewhere {
    use super::*;

    #[inline(never)]
    pub(super) fn pointers() {
        probe!(all, pointers, std::ptr::null::<Opaque>(), std::ptr::null_mut());
        probe!(all, tick__tock, 1);
    }
}

/// An object of this program, judged as the driver would.
struct Judged {
    header: VTGOBJHDR,
    address: u64,
    object: &'static [u8],
    locations: &'static [u8],
}

impl Judged {
    fn new(provider: Provider, kind: &Kind) -> Self {
        let place = provider.header().as_ptr();
        let address = place.expose_provenance() as u64;
        // SAFETY: the header is there for as long as the program, and nobody writes it here.
        let mut header = unsafe { place.read() };
        check_header(kind, &mut header, address).unwrap();
        let bytes = |start: u64, count: u32| {
            let start = std::ptr::with_exposed_provenance(start as usize);
            // SAFETY: the validator has found these bytes to belong to the object of this program.
            unsafe { std::slice::from_raw_parts(start, count as usize) }
        };
        let locations = bytes(header.uProbeLocs, header.cbProbeLocs);
        Self { object: bytes(address, header.cbObj), header, address, locations }
    }

    fn check(&self, kind: &Kind) -> Object<'_> {
        Object::check(kind, self.address, self.object, self.locations).unwrap()
    }
}

fn image() -> Kind {
    Kind::Image { base: R0Ptr::new(0), bytes: u64::MAX }
}

#[test]
fn the_driver_takes_the_objects_whatever_their_kind() {
    for kind in [Kind::User, image(), Kind::Driver { address_bits: 48 }] {
        let judged = Judged::new(all::provider(), &kind);
        judged.check(&kind);
        // What the driver asks of modules of ring 3.
        let gap = judged.header.offProbeLocs - judged.header.cbObj as i32;
        assert!((32..64).contains(&gap), "{gap} bytes");
        assert_eq!(judged.address % 4096, 0);
    }
    let (all, unused) = (Judged::new(all::provider(), &image()), unused::provider());
    // SAFETY: as for the others.
    let unused = unsafe { unused.header().read() };
    assert_ne!(all.header.Uuid, unused.Uuid);
    assert_eq!(unused.uProbeLocs, unused.uProbeLocsEnd, "nothing fires there");
}

#[test]
fn an_object_reads_as_it_was_written() {
    let judged = Judged::new(all::provider(), &Kind::User);
    let object = judged.check(&Kind::User);
    let [provider] = object.providers() else { panic!("{:?}", object.providers()) };
    assert_eq!(object.name(provider.offName), "all");
    let attribute =
        |code, data, class| VtgAttributes { u8Code: code, u8Data: data, u8DataDep: class };
    assert_eq!(provider.AttrSelf, attribute(7, 1, 6));
    assert_eq!(provider.AttrModules, attribute(2, 6, 5));
    assert_eq!(provider.AttrFunctions, attribute(6, 8, 5));
    assert_eq!(provider.AttrNames, attribute(6, 6, 2));
    assert_eq!(provider.AttrArguments, attribute(6, 6, 5));

    let fixed = |bytes| VTG_TYPE_FIXED_SIZED | bytes;
    let pointer = ("void *", VTG_TYPE_CTX_POINTER | VTG_TYPE_CTX_R3 | fixed(8));
    let expected = [
        (
            "integers",
            vec![
                ("int8_t", fixed(1) | VTG_TYPE_SIGNED),
                ("uint8_t", fixed(1) | VTG_TYPE_UNSIGNED),
                ("int16_t", fixed(2) | VTG_TYPE_SIGNED),
                ("uint16_t", fixed(2) | VTG_TYPE_UNSIGNED),
                ("int32_t", fixed(4) | VTG_TYPE_SIGNED),
                ("uint32_t", fixed(4) | VTG_TYPE_UNSIGNED),
                ("int64_t", fixed(8) | VTG_TYPE_SIGNED),
                ("uint64_t", fixed(8) | VTG_TYPE_UNSIGNED),
                ("intptr_t", VTG_TYPE_HC_ARCH | VTG_TYPE_SIGNED),
                ("uintptr_t", VTG_TYPE_HC_ARCH | VTG_TYPE_UNSIGNED),
            ],
        ),
        ("pointers", vec![pointer, pointer]),
        ("nothing", vec![]),
        ("tick-tock", vec![("uint32_t", fixed(4) | VTG_TYPE_UNSIGNED)]),
    ];
    let found = object.probes_of(provider).iter().map(|probe| {
        let args = object.args(probe).1.iter();
        let args: Vec<_> = args.map(|arg| (object.name(arg.offType), arg.fType)).collect();
        (object.name(probe.offName), args)
    });
    assert_eq!(found.collect::<Vec<_>>(), expected);
}

#[test]
fn locations_say_where_they_are() {
    integers();
    elsewhere::pointers();
    let judged = Judged::new(all::provider(), &Kind::User);
    let object = judged.check(&Kind::User);
    let text = |address: u64| {
        let start = std::ptr::with_exposed_provenance(address as usize);
        // SAFETY: a record's function is a terminated text of this program.
        unsafe { CStr::from_ptr(start) }.to_str().unwrap()
    };
    let mut found: Vec<_> =
        object.locations().map(|place| (place.line, place.probe, text(place.function))).collect();
    found.sort_unstable();
    let source = include_str!("probes.rs").lines().zip(1..);
    let lines: Vec<u32> = source
        .filter(|(text, _)| text.trim_start().starts_with("probe!(all"))
        .map(|(_, line)| line)
        .collect();
    let [integers, nothing, pointers, tick] = lines[..] else { panic!("{lines:?}") };
    let expected = [
        (integers, 0, "probes"),
        (nothing, 2, "probes"),
        (pointers, 1, "probes::elsewhere"),
        (tick, 3, "probes::elsewhere"),
    ];
    assert_eq!(found, expected);
}

thread_local! {
    /// The hits of this thread: the line, and the arguments.
    static HITS: RefCell<Vec<(u32, [u64; 10])>> = const { RefCell::new(Vec::new()) };
    /// How often an argument was evaluated.
    static EVALUATED: Cell<u32> = const { Cell::new(0) };
}

type Ten = unsafe extern "C" fn(&VTGPROBELOC, u64, u64, u64, u64, u64, u64, u64, u64, u64, u64);

/// Stands where `SUPTracerFireProbe` does.
unsafe extern "C" fn record(
    location: &VTGPROBELOC,
    a: u64,
    b: u64,
    c: u64,
    d: u64,
    e: u64,
    f: u64,
    g: u64,
    h: u64,
    i: u64,
    j: u64,
) {
    let line = location.uLineAndEnabled.load(Ordering::Relaxed) & !VTGPROBELOC_ENABLED;
    HITS.with_borrow_mut(|hits| hits.push((line, [a, b, c, d, e, f, g, h, i, j])));
}

/// Says what comes next, and counts.
fn evaluate<T>(value: T) -> T {
    EVALUATED.set(EVALUATED.get() + 1);
    value
}

/// Hits all that there is; answers how many arguments were evaluated.
#[inline(never)]
fn hit() -> u32 {
    EVALUATED.set(0);
    probe!(fired, small, evaluate(-2), evaluate(u64::MAX));
    probe!(
        fired,
        many,
        evaluate(-1),
        evaluate(2),
        -3,
        4,
        5,
        -6,
        7,
        std::ptr::without_provenance(8),
        evaluate(9),
        -10,
    );
    if probe_enabled!(fired, silent) {
        evaluate(());
    }
    EVALUATED.get()
}

#[test]
fn arguments_arrive_if_somebody_asks_and_are_not_evaluated_otherwise() {
    let record: Ten = record;
    // SAFETY: both are addresses of functions; only the stubs call it, with what it takes.
    let record = unsafe { std::mem::transmute::<Ten, unsafe extern "C" fn()>(record) };
    // SAFETY: it takes a location and ten arguments, and is there for as long as the program.
    unsafe { sup_probe::set_fire(record) };
    assert_eq!(hit(), 0);
    let judged = Judged::new(fired::provider(), &Kind::User);
    let word = |address: u64| {
        let word = std::ptr::with_exposed_provenance::<AtomicU32>(address as usize);
        // SAFETY: a word of this program's object, which its code reads as one that others write.
        unsafe { &*word }
    };
    let counts = judged.address + u64::from(judged.header.ProbeEnabled.off);
    let locations: Vec<_> = (0..3).map(|index| judged.header.uProbeLocs + index * 32).collect();

    // With a count alone the arguments are evaluated, but their places are switched off.
    word(counts).store(1, Ordering::Relaxed);
    assert_eq!(hit(), 2);
    assert!(HITS.with_borrow(Vec::is_empty));
    word(counts + 4).store(1, Ordering::Relaxed);
    word(counts + 8).store(1, Ordering::Relaxed);
    // Among them are those of `hit`; which comes first is the compiler's business.
    for location in &locations {
        word(*location).fetch_or(VTGPROBELOC_ENABLED, Ordering::Relaxed);
    }
    assert_eq!(hit(), 6);
    let hits = HITS.take();
    assert_eq!(hits.len(), 2);
    assert_eq!(hits[0].1[..2], [-2_i64 as u64, u64::MAX]);
    let expected = [-1, 2, -3, 4, 5, -6, 7, 8, 9, -10_i64].map(|value| value as u64);
    assert_eq!(hits[1].1, expected);
    for at in [counts, counts + 4, counts + 8] {
        word(at).store(0, Ordering::Relaxed);
    }
    assert_eq!(hit(), 0);
    assert!(HITS.with_borrow(Vec::is_empty));
}

/// A function with nothing but a probe that nobody wants.
#[inline(never)]
extern "C" fn alone() {
    probe!(fired, silent);
}

#[test]
#[cfg_attr(tsan, ignore = "ThreadSanitizer puts calls of its own into functions")]
fn the_disabled_place_is_short() {
    alone();
    let start = alone as extern "C" fn() as usize;
    let code = std::ptr::with_exposed_provenance::<u8>(start);
    // SAFETY: the function's first bytes, which are more than these with what follows in its section.
    let code = unsafe { std::slice::from_raw_parts(code, 40) };
    let decoder =
        iced_x86::Decoder::with_ip(64, code, start as u64, iced_x86::DecoderOptions::NONE);
    let all: Vec<_> = decoder.into_iter().map(|instruction| instruction.mnemonic()).collect();
    let test = all.iter().position(|mnemonic| *mnemonic == Mnemonic::Mov).unwrap();
    assert_eq!(all[test..test + 3], [Mnemonic::Mov, Mnemonic::Or, Mnemonic::Jne], "{all:?}");
    // Before it at most a word of stack for the call, behind it the end.
    assert!(test <= 1 && all[test + 3..test + 5].contains(&Mnemonic::Ret), "{all:?}");
}

/// A note for the system's tracers.
#[derive(Debug, PartialEq, Eq)]
struct Note {
    place: u64,
    semaphore: u64,
    texts: [String; 3],
}

/// The notes of this program's file.
fn notes() -> Vec<Note> {
    let bytes = std::fs::read(std::env::current_exe().unwrap()).unwrap();
    let file = object::File::parse(&*bytes).unwrap();
    let section = file.section_by_name(".note.stapsdt").unwrap();
    let mut rest = section.data().unwrap();
    let mut notes = Vec::new();
    while !rest.is_empty() {
        let long = |at: usize| u32::from_le_bytes(rest[at..at + 4].try_into().unwrap()) as usize;
        let (name, description, kind) = (long(0), long(4), long(8));
        assert_eq!((&rest[12..12 + name], kind), (&b"stapsdt\0"[..], 3));
        let body = &rest[20..20 + description];
        let quad = |at: usize| u64::from_le_bytes(body[at..at + 8].try_into().unwrap());
        let texts: Vec<_> = body[24..].split(|byte| *byte == 0).collect();
        assert_eq!(texts.len(), 4, "three texts, each terminated");
        let text = |index: usize| str::from_utf8(texts[index]).unwrap().trim_end().to_owned();
        notes.push(Note {
            place: quad(0),
            semaphore: quad(16),
            texts: [text(0), text(1), text(2)],
        });
        rest = &rest[20 + description.next_multiple_of(4)..];
    }
    notes
}

#[test]
fn the_systems_tracers_find_every_place() {
    let notes = notes();
    let find = |provider: &str, probe: &str| {
        let mut found = notes.iter().filter(|note| note.texts[..2] == [provider, probe]);
        let note = found.next().unwrap();
        assert_eq!(found.next(), None);
        assert!(note.place != 0 && note.semaphore != 0);
        note.texts[2].clone()
    };
    assert_eq!(find("all", "nothing"), "");
    assert_eq!(find("all", "tick__tock"), "4@%rsi");
    assert_eq!(find("all", "pointers"), "8@%rsi 8@%rdx");
    assert_eq!(find("fired", "small"), "-1@%rsi 8@%rdx");
    let many = "-4@%rsi 4@%rdx -8@%rcx 8@%r8 2@%r9 -2@0(%rsp) 1@8(%rsp) 8@16(%rsp) 8@24(%rsp) \
                -8@32(%rsp)";
    assert_eq!(find("fired", "many"), many);
    assert_eq!(find("fired", "silent"), "");
    assert_eq!(notes.len(), 7, "{notes:?}");
}
