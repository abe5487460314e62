//! Tests of the memory calls: checks and their order, records, references, refused allocations.

extern crate std;

use core::sync::atomic::Ordering;
use std::vec::Vec;

use proptest::prelude::*;
use sup_abi::{PAGE_SIZE, Pages, R0Ptr, R3Ptr, Status};
use sup_alloc::{Arc, faults};

use super::{Range, Service};
use crate::host::{KernelProtection, Memory, UserProtection, Views};
use crate::testing::{Event, TestHost};
use crate::{Driver, Session};

const PAGE: u32 = PAGE_SIZE as u32;
const OWN: u64 = 1 << 30;

struct Fixture {
    driver: Arc<Driver<TestHost>>,
    session: Arc<Session<TestHost>>,
    host: TestHost,
}

impl Fixture {
    fn new() -> Self {
        let host = TestHost::default();
        let driver = Driver::start(host.clone()).unwrap();
        let session = driver.open_session(()).unwrap();
        Self { driver, session, host }
    }

    /// Addresses in both rings.
    fn allocate(&self, service: Service, pages: u32, views: Views) -> Result<[u64; 2], Status> {
        let pages = Pages::new(pages);
        let block = self.driver.memory_allocate(&self.session, service, pages, views)?;
        Ok([block.memory().user_address().get(), block.memory().kernel_address().get()])
    }

    fn lock(&self, start: u64, pages: u32) -> Result<(), Status> {
        let pages = Pages::new(pages);
        self.driver.memory_lock(&self.session, R3Ptr::new(start), pages).map(|_| ())
    }

    fn free(&self, service: Service, address: u64) -> Result<(), Status> {
        self.driver.memory_free(&self.session, service, address)
    }

    fn map(&self, start: u64, offset: u32, bytes: u32) -> Result<R0Ptr, Status> {
        let range = Range { offset, bytes };
        self.driver.memory_map_kernel(&self.session, R3Ptr::new(start), range)
    }

    fn protect(&self, [r3, r0]: [u64; 2], pages: [u32; 2], bits: u32) -> Result<(), Status> {
        let range = Range { offset: pages[0] * PAGE, bytes: pages[1] * PAGE };
        let (r3, r0) = (R3Ptr::new(r3), R0Ptr::new(r0));
        self.driver.memory_protect(&self.session, r3, r0, range, bits)
    }

    fn live(&self) -> u32 {
        self.host.record.live.load(Ordering::Relaxed)
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        self.driver.close_session(self.session.clone());
        assert_eq!(self.live(), 0, "the session's end takes everything back");
    }
}

const WRONG: Status = Status::VERR_INVALID_PARAMETER;

#[test]
fn a_part_is_whole_pages_within_the_block() {
    let fixture = Fixture::new();
    let [r3, r0] = fixture.allocate(Service::Page, 3, Views::UserAndKernel).unwrap();
    for (offset, bytes) in [
        (0, 0),
        (0, 1),
        (1, PAGE),
        (PAGE, 3 * PAGE),
        (3 * PAGE, PAGE),
        (0, 4 * PAGE),
        // In 32 bits these would wrap to a range within.
        (u32::MAX - PAGE + 1, PAGE),
        (u32::MAX - PAGE + 1, 2 * PAGE),
        (PAGE, u32::MAX - PAGE + 1),
    ] {
        assert_eq!(fixture.map(r3, offset, bytes), Err(WRONG), "{offset:#x}, {bytes:#x}");
    }
    for address in [0, r3 + u64::from(PAGE), r0, OWN] {
        assert_eq!(fixture.map(address, 0, PAGE), Err(WRONG));
    }
    let first = fixture.map(r3, 0, 3 * PAGE).unwrap();
    let second = fixture.map(r3, PAGE, PAGE).unwrap();
    assert_ne!(first, second);
    assert_eq!(fixture.live(), 3);
    fixture.free(Service::Page, r3).unwrap();
    assert_eq!(fixture.live(), 0, "further mappings go with the block");
}

#[test]
fn only_pages_and_locked_memory_can_be_mapped_again() {
    let fixture = Fixture::new();
    for service in [Service::Low, Service::Cont, Service::Mem] {
        let [r3, _] = fixture.allocate(service, 2, Views::UserAndKernel).unwrap();
        assert_eq!(fixture.map(r3, 0, PAGE), Err(WRONG), "{service:?}");
    }
    fixture.lock(OWN, 2).unwrap();
    fixture.map(OWN, PAGE, PAGE).unwrap();
}

#[test]
fn a_block_has_64_further_mappings_at_most() {
    let fixture = Fixture::new();
    let [r3, _] = fixture.allocate(Service::Page, 1, Views::User).unwrap();
    assert!((0..64).all(|_| fixture.map(r3, 0, PAGE).is_ok()));
    assert_eq!(fixture.map(r3, 0, PAGE), Err(Status::VERR_MAP_FAILED));
}

#[test]
fn nothing_becomes_writable_and_executable() {
    let fixture = Fixture::new();
    let both = fixture.allocate(Service::Page, 4, Views::UserAndKernel).unwrap();
    let [user, kernel] = [[both[0], 0], [0, both[1]]];
    let never = Err(Status::VERR_NOT_SUPPORTED);
    for bits in 4..8 {
        assert_eq!(fixture.protect(user, [0, 1], bits), never, "ring 3 never runs a block");
        assert_eq!(fixture.protect(both, [0, 1], bits), never);
    }
    assert_eq!(fixture.protect(kernel, [0, 1], 6), never);
    assert_eq!(fixture.protect(kernel, [0, 1], 7), never);
    assert_eq!(fixture.host.events(), [], "a refusal changes nothing");

    fixture.protect(kernel, [1, 2], 5).unwrap();
    fixture.protect(both, [0, 4], 1).unwrap();
    fixture.protect(user, [3, 1], 0).unwrap();
    fixture.protect(user, [3, 1], 2).unwrap();
    assert_eq!(
        fixture.host.events(),
        [
            Event::ProtectedKernel(1..3, KernelProtection::ReadExecute),
            Event::ProtectedUser(0..4, UserProtection::Read),
            Event::ProtectedKernel(0..4, KernelProtection::Read),
            Event::ProtectedUser(3..4, UserProtection::Nothing),
            Event::ProtectedUser(3..4, UserProtection::ReadWrite),
        ]
    );
}

#[test]
fn protect_needs_a_block_of_page_alloc_that_has_all_that_is_named() {
    let fixture = Fixture::new();
    let both = fixture.allocate(Service::Page, 2, Views::UserAndKernel).unwrap();
    let other = fixture.allocate(Service::Page, 2, Views::User).unwrap();
    let low = fixture.allocate(Service::Low, 2, Views::UserAndKernel).unwrap();
    fixture.lock(OWN, 2).unwrap();
    for addresses in [
        [0, 0],
        low,
        [OWN, 0],
        [both[0], both[0]],
        [both[1], 0],
        [0, both[0]],
        [other[0], both[1]],
        [both[0] + u64::from(PAGE), 0],
    ] {
        assert_eq!(fixture.protect(addresses, [0, 1], 1), Err(WRONG), "{addresses:x?}");
    }
    for (pages, bits) in [([0, 3], 1), ([2, 1], 1), ([0, 0], 1), ([0, 1], 8)] {
        assert_eq!(fixture.protect(both, pages, bits), Err(WRONG), "{pages:?}, {bits}");
    }
    assert_eq!(fixture.host.events(), []);
}

#[test]
fn memory_can_be_locked_again_and_again() {
    let fixture = Fixture::new();
    for pages in [3, 3, 1] {
        fixture.lock(OWN, pages).unwrap();
    }
    fixture.lock(OWN + u64::from(PAGE), 5).unwrap();
    for _ in 0..3 {
        fixture.free(Service::Lock, OWN).unwrap();
    }
    assert_eq!(fixture.free(Service::Lock, OWN), Err(WRONG));
    assert_eq!(fixture.live(), 1);
    fixture.free(Service::Lock, OWN + u64::from(PAGE)).unwrap();
}

#[test]
fn what_cannot_be_locked_is_told_apart() {
    let fixture = Fixture::new();
    let cases = [
        (0, 1, WRONG),
        (4095, 1, WRONG),
        (OWN + 1, 1, WRONG),
        (OWN, 0, WRONG),
        (u64::MAX << 12, 2, Status::VERR_OUT_OF_RANGE),
        (0x1000, 1, Status::VERR_LOCK_FAILED),
    ];
    for (start, pages, expected) in cases {
        assert_eq!(fixture.lock(start, pages), Err(expected), "{start:#x}, {pages}");
    }
    assert_eq!(fixture.live(), 0);
}

/// A process may unmap a block, or lock one: then two blocks start at one address.
#[test]
fn a_block_and_a_lock_of_it_are_two() {
    let fixture = Fixture::new();
    let pad = (OWN - 0x10_0000) / u64::from(PAGE);
    for _ in 0..pad.div_ceil(65_536) {
        let [r3, _] = fixture.allocate(Service::Page, 65_536, Views::User).unwrap();
        fixture.free(Service::Page, r3).unwrap();
    }
    let [r3, _] = fixture.allocate(Service::Page, 2, Views::UserAndKernel).unwrap();
    fixture.lock(r3, 2).unwrap();
    fixture.free(Service::Page, r3).unwrap();
    assert_eq!(fixture.free(Service::Page, r3), Err(WRONG));
    assert_eq!(fixture.live(), 1);
    fixture.free(Service::Lock, r3).unwrap();
}

#[test]
fn pages_without_a_mapping_in_ring_3_are_found_by_that_in_ring_0() {
    let fixture = Fixture::new();
    let [r3, r0] = fixture.allocate(Service::Page, 2, Views::Kernel).unwrap();
    assert_eq!(r3, 0);
    assert_eq!(fixture.map(r0, 0, PAGE), Err(WRONG), "PageMapKernel takes the address in ring 3");
    fixture.protect([0, r0], [0, 1], 1).unwrap();
    assert_eq!(fixture.free(Service::Page, 0), Err(WRONG));
    fixture.free(Service::Page, r0).unwrap();
}

/// Whoever works on a block keeps it: the pages go with the last reference.
#[test]
fn freed_block_lives_as_long_as_somebody_uses_it() {
    let fixture = Fixture::new();
    let [r3, _] = fixture.allocate(Service::Mem, 2, Views::UserAndKernel).unwrap();
    let block = fixture.driver.memory_block(&fixture.session, Service::Mem, r3).unwrap();
    fixture.free(Service::Mem, r3).unwrap();
    assert_eq!(fixture.free(Service::Mem, r3), Err(WRONG));
    assert_eq!(fixture.live(), 1);
    drop(block);
    assert_eq!(fixture.live(), 0);
}

#[test]
fn refused_allocations_leave_the_session_as_it_was() {
    type Operation = fn(&Fixture, u64) -> Result<(), Status>;
    let operations: [Operation; 3] = [
        |fixture, _| fixture.allocate(Service::Low, 1, Views::UserAndKernel).map(|_| ()),
        |fixture, _| fixture.lock(OWN, 3),
        |fixture, r3| fixture.map(r3, 0, PAGE).map(|_| ()),
    ];
    for operation in operations {
        let mut is_done = false;
        for successes in 0..20 {
            let fixture = Fixture::new();
            let [r3, _] = fixture.allocate(Service::Page, 1, Views::User).unwrap();
            let before = (fixture.driver.counts(), fixture.live());
            let (result, was_refused) =
                faults::failing_after(successes, || operation(&fixture, r3));
            is_done = result.is_ok();
            assert_eq!(is_done, !was_refused);
            if is_done {
                break;
            }
            assert_eq!(result, Err(Status::VERR_NO_MEMORY));
            assert_eq!((fixture.driver.counts(), fixture.live()), before);
        }
        assert!(is_done, "an operation takes a few allocations");
    }
}

/// What a session does at random, on one of its blocks.
#[derive(Debug, Clone, Copy)]
enum Step {
    Allocate(Service, u32),
    Lock(u64, u32),
    Free(Service, usize),
    Map(usize, u32, u32),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let given = prop::sample::select(&[Service::Page, Service::Low, Service::Cont, Service::Mem]);
    let any = prop::sample::select(&[Service::Page, Service::Low, Service::Cont, Service::Lock]);
    let step = prop_oneof![
        (given, 0..260_u32).prop_map(|(service, pages)| Step::Allocate(service, pages)),
        (0..4_u64, 1..5_u32).prop_map(|(page, pages)| Step::Lock(page, pages)),
        (any, 0..40_usize).prop_map(|(service, index)| Step::Free(service, index)),
        (0..40_usize, 0..6_u32, 0..6_u32).prop_map(|(i, start, count)| Step::Map(i, start, count)),
    ];
    prop::collection::vec(step, 0..200)
}

/// A block as the model knows it.
#[derive(Debug)]
struct Known {
    service: Service,
    addresses: [u64; 2],
    pages: u32,
    further: u32,
}

proptest! {
    /// Statuses are the model's; blocks do not overlap; nothing is lost.
    #[test]
    fn random_operations_are_answered_as_a_list_of_live_blocks_says(steps in steps()) {
        let fixture = Fixture::new();
        let mut known: Vec<Known> = Vec::new();
        for step in steps {
            match step {
                Step::Allocate(service, pages) => {
                    let result = fixture.allocate(service, pages, Views::UserAndKernel);
                    let is_right = pages > 0 && pages <= service.max_pages().get();
                    prop_assert_eq!(result.is_ok(), is_right);
                    let Ok(addresses) = result else { continue };
                    let bytes = u64::from(pages) * u64::from(PAGE);
                    for other in known.iter().filter(|other| other.service != Service::Lock) {
                        let length = u64::from(other.pages) * u64::from(PAGE);
                        for (one, two) in addresses.iter().zip(other.addresses) {
                            prop_assert!(one + bytes <= two || two + length <= *one);
                        }
                    }
                    known.push(Known { service, addresses, pages, further: 0 });
                }
                Step::Lock(page, pages) => {
                    // Far above what the host of the tests gives out in one run.
                    let start = (1 << 40) + page * u64::from(PAGE);
                    prop_assert_eq!(fixture.lock(start, pages), Ok(()));
                    let addresses = [start, 0];
                    known.push(Known { service: Service::Lock, addresses, pages, further: 0 });
                }
                Step::Free(service, index) => {
                    let Some(address) = known.get(index).map(|block| block.addresses[index % 2]) else {
                        continue;
                    };
                    let meant = known.iter().position(|block| {
                        block.service == service && block.addresses.contains(&address) && address != 0
                    });
                    let expected = meant.map(|_| ()).ok_or(WRONG);
                    let before = fixture.live();
                    prop_assert_eq!(fixture.free(service, address), expected);
                    let Some(meant) = meant else { continue };
                    // Of several locks of one address the table may have taken any.
                    let gone = before - fixture.live() - 1;
                    let alike = known.iter().position(|block| {
                        block.service == service
                            && block.addresses == known[meant].addresses
                            && block.further == gone
                    });
                    prop_assert!(alike.is_some());
                    let pages = fixture.driver.counts().memory_pages;
                    let total = |known: &[Known], without: usize| -> u64 {
                        let all = known.iter().enumerate().filter(|(index, _)| *index != without);
                        all.map(|(_, block)| u64::from(block.pages)).sum()
                    };
                    let taken = (0..known.len()).find(|index| {
                        let block = &known[*index];
                        (block.service, block.addresses) == (service, known[meant].addresses)
                            && block.further == gone
                            && total(&known, *index) == pages
                    });
                    prop_assert!(taken.is_some(), "no such block was there");
                    known.swap_remove(taken.unwrap_or(meant));
                }
                Step::Map(index, start, count) => {
                    let Some(block) = known.get_mut(index) else { continue };
                    let can_be = matches!(block.service, Service::Page);
                    let fits = count > 0 && start + count <= block.pages && block.further < 64;
                    if block.service == Service::Lock {
                        continue;
                    }
                    let result = fixture.map(block.addresses[0], start * PAGE, count * PAGE);
                    prop_assert_eq!(result.is_ok(), can_be && fits, "{:?}", result);
                    block.further += u32::from(result.is_ok());
                }
            }
            let counts = fixture.driver.counts();
            prop_assert_eq!(counts.memory_blocks, known.len() as u64);
            let pages: u64 = known.iter().map(|block| u64::from(block.pages)).sum();
            prop_assert_eq!(counts.memory_pages, pages);
            let further: u32 = known.iter().map(|block| block.further).sum();
            prop_assert_eq!(fixture.live(), known.len() as u32 + further);
        }
    }
}
