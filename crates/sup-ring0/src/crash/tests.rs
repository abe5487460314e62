//! Tests of [`super`], with memory of the test's own as stack and code.

use std::boxed::Box;
use std::format;
use std::string::{String, ToString};
use std::vec;
use std::vec::Vec;

use sup_modules::HELLO;

use super::*;

type List = Images<parking_lot::RawMutex, Functions>;

/// A list of the test's own, which stays where leaks are looked for.
fn list() -> &'static List {
    static LISTS: parking_lot::Mutex<Vec<&List>> = parking_lot::Mutex::new(Vec::new());
    let list = &*Box::leak(Box::new(List::new()));
    LISTS.lock().push(list);
    list
}

/// Where no image is.
const BASE: u64 = 1 << 60;

fn listed(
    list: &'static List,
    name: &str,
    addresses: Range<u64>,
    file: &[u8],
) -> Listing<parking_lot::RawMutex, Functions> {
    let functions = Functions::of(file, addresses.start).unwrap();
    list.list(name, addresses, functions).unwrap()
}

fn told(list: &List, address: u64) -> Option<String> {
    let reading = Reading::new(list);
    reading.find(address).map(|entry| Place(entry, address).to_string())
}

#[test]
fn an_address_is_named_as_long_as_its_image_is_listed() {
    let list = list();
    let plain = listed(list, "plain", BASE..BASE + 0x1000, b"");
    let hello = listed(list, "hello", BASE + 0x1000..BASE + 0x9000, HELLO.image);
    let elf = crate::elf::Elf::parse(HELLO.image).unwrap();
    let offset = elf.find_symbol("helloServiceReqHandler").unwrap().offset as u64;
    assert_eq!(
        told(list, BASE + 0x1000 + offset + 1),
        Some(format!("hello+{:#x} (helloServiceReqHandler+0x1)", offset + 1))
    );
    assert_eq!(told(list, BASE + 0xfff).as_deref(), Some("plain+0xfff"));
    drop(plain);
    assert_eq!(told(list, BASE + 0xfff), None);
    assert!(told(list, BASE + 0x1000).is_some());
    drop(hello);
    assert_eq!(told(list, BASE + 0x1000), None);
}

#[test]
fn an_entry_stays_as_long_as_somebody_reads() {
    let list = list();
    let functions = Functions::of(b"", BASE).unwrap();
    let listing = list.list("kept", BASE..BASE + 1, functions).unwrap();
    let reading = Reading::new(list);
    let entry = reading.find(BASE).unwrap();
    // Its owner leaves it, and the test is the owner then.
    // SAFETY: the listing leaves its entry when somebody reads, as this test does, so that this is its only
    // owner then.
    let kept = unsafe { ptr::read(&raw const *listing.entry) };
    drop(listing);
    assert_eq!((&*entry.name, reading.find(BASE).is_none()), (&b"kept"[..], true));
    drop(reading);
    drop(kept);
}

#[test]
fn an_image_is_lost_with_a_call_of_its_own_alone() {
    let list = list();
    let first = listed(list, "first", BASE..BASE + 10, b"");
    let second = listed(list, "second", BASE + 10..BASE + 20, b"");
    list.lose(BASE + 20);
    assert!(!first.is_lost() && !second.is_lost());
    list.lose(BASE + 10);
    assert!(!first.is_lost() && second.is_lost());
}

#[test]
fn names_that_are_no_text_stay_on_their_line() {
    let list = list();
    let _listing = listed(list, "a\nb\u{7f}", BASE..BASE + 1, b"");
    assert_eq!(told(list, BASE).as_deref(), Some("a\\nb\\x7f+0x0"));
}

/// What a thread's memory holds, for [`Images::trace`].
struct Memory(Vec<(u64, Vec<u8>)>);

impl Memory {
    fn peek(&self, address: u64, into: &mut [u8]) -> bool {
        self.0.iter().any(|(start, bytes)| {
            let Some(offset) = address.checked_sub(*start) else { return false };
            let Some(found) = bytes.get(offset as usize..).and_then(|rest| rest.get(..into.len()))
            else {
                return false;
            };
            into.copy_from_slice(found);
            true
        })
    }
}

const STACK: u64 = 0x7000_0000;

/// An image of calls of five bytes each, and a stack of these words.
fn memory(words: &[u64]) -> Memory {
    let code = [0xe8, 0, 0, 0, 0].repeat(100);
    let mut stack: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    stack.resize(stack.len().next_multiple_of(PIECE_BYTES), 0);
    Memory(vec![(BASE, code), (STACK, stack)])
}

fn trace(list: &List, memory: &Memory, fault: Fault) -> Vec<(Step, String)> {
    let mut steps = Vec::new();
    list.trace(
        fault,
        |address, into| memory.peek(address, into),
        |step, place| {
            steps.push((step, place.to_string()));
            ControlFlow::Continue(())
        },
    );
    steps
}

#[test]
fn a_fault_is_told_of_with_its_callers() {
    let list = list();
    let _listing = listed(list, "calls", BASE..BASE + 500, b"");
    // Below the stack pointer; behind a call; in the middle of one; nowhere; behind another.
    let memory = memory(&[BASE + 50, BASE + 15, BASE + 17, 7, BASE + 25]);
    let fault = Fault { instruction: BASE + 3, stack: STACK + 8 };
    let expected =
        [(Step::Fault, "calls+0x3"), (Step::Caller, "calls+0xf"), (Step::Caller, "calls+0x19")];
    let expected = expected.map(|(step, place)| (step, place.to_string()));
    assert_eq!(trace(list, &memory, fault), expected);
    // One that is elsewhere has callers all the same.
    let fault = Fault { instruction: 8, ..fault };
    assert_eq!(trace(list, &memory, fault), expected[1..]);
}

#[test]
fn a_fault_elsewhere_is_none_of_ours() {
    let list = list();
    let _listing = listed(list, "calls", BASE..BASE + 500, b"");
    assert_eq!(trace(list, &memory(&[1, 2, 3]), Fault { instruction: 8, stack: STACK }), []);
}

#[test]
fn only_so_many_callers_are_told_of_and_none_behind_the_end_of_the_stack() {
    let list = list();
    let _listing = listed(list, "calls", BASE..BASE + 500, b"");
    let memory = memory(&[BASE + 15; 3 * MAX_CALLERS]);
    let callers = |stack| trace(list, &memory, Fault { instruction: 0, stack }).len();
    assert_eq!(callers(STACK), MAX_CALLERS);
    assert_eq!(callers(STACK + 8 * (3 * MAX_CALLERS as u64 - 2)), 2);
    assert_eq!(callers(STACK + 0x1000), 0);
    assert_eq!(callers(u64::MAX), 0);
}

#[test]
fn only_what_stands_behind_a_call_is_a_caller() {
    // call rel32; call [rip+0]; call rax; mov rax, rbx; padding.
    const CODE: [u8; 24] = [
        0x90, 0x90, 0xe8, 0, 0, 0, 0, 0xff, 0x15, 0, 0, 0, 0, 0xff, 0xd0, 0x48, 0x89, 0xd8, 0x90,
        0x90, 0x90, 0x90, 0x90, 0x90,
    ];
    let memory = Memory(vec![(BASE, CODE.to_vec())]);
    let follows = |offset| follows_call(BASE + offset, |at, into| memory.peek(at, into));
    assert!(follows(7) && follows(13) && follows(15));
    assert!(!follows(24) && !follows(22));
    assert!(!follows_call(3, |at, into| memory.peek(at, into)));
}
