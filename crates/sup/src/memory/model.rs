//! Random operations on real memory of the embedded backend, held against a list of live blocks.
//!
//! The operations are requests, so that they can be wrong: the owners of this library never free twice.
//! Every page of a live block carries a mark of its own, written by ring 3 and read through ring 0's
//! mapping: two blocks that share a page would overwrite each other's. By default some 8 000 operations
//! are done, in the step `proptest` over half a million.

use std::ops::Range;

use proptest::prelude::*;
use sup_abi::request::{
    AddressIn, ContAlloc, ContFree, LockPages, LockPagesIn, LowAlloc, LowFree,
    MEMORY_SYNTHETIC_PHYS, PageAllocEx, PageAllocExIn, PageCountIn, PageFree, PageMapKernel,
    PageMapKernelIn, PageProtect, PageProtectIn, UnlockPages,
};
use sup_abi::{PAGE_SIZE, R0Ptr, R3Ptr, Status};

use super::PageMemory;
use crate::backend::Kind;
use crate::{Result, Session};

const PAGE: u64 = PAGE_SIZE as u64;
/// Pages of the process that are locked.
const OWN_PAGES: usize = 8;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Service {
    Low,
    Cont,
    /// For ring 3 alone.
    Page,
    PageBoth,
    Lock,
}

use Service::{Cont, Lock, Low, Page, PageBoth};

#[derive(Debug, Clone)]
enum Step {
    Allocate(Service, u32),
    /// From this page to the last, so that locks of one address are alike.
    Lock(usize),
    /// A block, the service that it shall go back to, and whether it is named as ring 0 does.
    Free(usize, Service, bool),
    Map(usize, Range<u32>),
    /// Ring 0's mapping if the first is true, and back again.
    Protect(bool, usize, Range<u32>, u32),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let given = || prop::sample::select(&[Low, Cont, Page, PageBoth]);
    let anywhere = prop::sample::select(&[Low, Cont, Page, PageBoth, Lock]);
    let pages = prop_oneof![12 => 1..12_u32, 1 => Just(0), 1 => 250..260_u32];
    let part = || (0..6_u32, 0..6_u32).prop_map(|(start, count)| start..start + count);
    let block = || 0..24_usize;
    let step = prop_oneof![
        6 => (given(), pages).prop_map(|(service, pages)| Step::Allocate(service, pages)),
        1 => (0..OWN_PAGES).prop_map(Step::Lock),
        4 => (block(), anywhere, any::<bool>()).prop_map(|(index, service, r0)| Step::Free(index, service, r0)),
        2 => (block(), part()).prop_map(|(index, part)| Step::Map(index, part)),
        2 => (any::<bool>(), block(), part(), 0..9_u32)
            .prop_map(|(r0, index, part, bits)| Step::Protect(r0, index, part, bits)),
    ];
    prop::collection::vec(step, 0..64)
}

/// A live block.
#[derive(Debug, Clone)]
struct Known {
    service: Service,
    r3: u64,
    r0: u64,
    physical: Vec<u64>,
    /// Whether they are the driver's numbers: the kernel may move pages and use theirs again.
    is_synthetic: bool,
    mark: u64,
}

impl Known {
    fn word(&self, start: u64, page: usize) -> *mut u64 {
        (start + page as u64 * PAGE) as usize as *mut u64
    }

    /// Writes the marks, where there are zeros.
    fn mark(&self) -> bool {
        (0..self.physical.len()).all(|page| {
            let word = self.word(self.r3, page);
            // SAFETY: the driver mapped the page there for this process; ring 0 of a test does nothing.
            let was_zero = unsafe { word.read_volatile() } == 0;
            // SAFETY: as for the read, and it is writable.
            unsafe { word.write_volatile(self.mark + page as u64) };
            was_zero
        })
    }

    /// Whether each ring finds the marks.
    fn is_marked(&self) -> bool {
        let starts = [self.r3, self.r0].into_iter().filter(|start| *start != 0);
        starts.flat_map(|start| (0..self.physical.len()).map(move |page| (start, page))).all(
            |(start, page)| {
                // SAFETY: the driver mapped the page there, for either ring of this process.
                let found = unsafe { self.word(start, page).read_volatile() };
                found == self.mark + page as u64
            },
        )
    }

    /// Whether it shares addresses or pages with another.
    fn overlaps(&self, other: &Self) -> bool {
        let ranges = |block: &Self| {
            let bytes = block.physical.len() as u64 * PAGE;
            [block.r3, block.r0].map(|start| start..start + bytes)
        };
        let is_shared = |one: &Range<u64>, two: &Range<u64>| {
            one.start != 0 && two.start != 0 && one.start < two.end && two.start < one.end
        };
        ranges(self).iter().any(|one| ranges(other).iter().any(|two| is_shared(one, two)))
            || self.is_synthetic
                && other.is_synthetic
                && self.physical.iter().any(|page| other.physical.contains(page))
    }
}

fn status<T>(result: Result<T>) -> std::result::Result<T, Status> {
    result.map_err(|error| error.status())
}

fn allocate(
    session: &Session,
    service: Service,
    pages: u32,
    mark: u64,
) -> std::result::Result<Known, Status> {
    let count = PageCountIn { pages, reserved: 0 };
    let kernel_mapping = u8::from(service == PageBoth);
    let input = PageAllocExIn { pages, kernel_mapping, user_mapping: 1, reserved: [0; 2] };
    let (r3, r0, physical, flags) = match service {
        Cont => {
            let output = status(session.connection().call::<ContAlloc>(&count))?;
            let first = output.phys.get();
            let pages = (0..pages.into()).map(|page| first + page * PAGE).collect();
            (output.r3, output.r0, pages, output.flags)
        }
        _ => {
            let (output, pages) = status(match service {
                Low => session.allocate::<LowAlloc>(&count, pages),
                _ => session.allocate::<PageAllocEx>(&input, pages),
            })?;
            let pages = pages.iter().map(|page| page.get()).collect();
            (output.r3, output.r0, pages, output.flags)
        }
    };
    let is_synthetic = flags & MEMORY_SYNTHETIC_PHYS != 0;
    Ok(Known { service, r3: r3.get(), r0: r0.get(), physical, is_synthetic, mark })
}

fn free(session: &Session, service: Service, address: u64) -> std::result::Result<(), Status> {
    let input = AddressIn { r3: R3Ptr::new(address) };
    let connection = session.connection();
    let result = match service {
        Low => connection.call::<LowFree>(&input),
        Cont => connection.call::<ContFree>(&input),
        Page | PageBoth => connection.call::<PageFree>(&input),
        Lock => connection.call::<UnlockPages>(&input),
    };
    status(result.map(|_| ()))
}

/// What the service answers for so many pages.
fn count_status(service: Service, pages: u32) -> std::result::Result<(), Status> {
    let most = if matches!(service, Low | Cont) { 255 } else { 65_536 };
    if (1..=most).contains(&pages) { Ok(()) } else { Err(Status::VERR_PAGE_COUNT_OUT_OF_RANGE) }
}

const WRONG: std::result::Result<(), Status> = Err(Status::VERR_INVALID_PARAMETER);

/// What a change of protection answers.
fn protect_status(is_possible: bool, is_ring0: bool, bits: u32) -> std::result::Result<(), Status> {
    match bits {
        _ if !is_possible => WRONG,
        0..4 => Ok(()),
        4 | 5 if is_ring0 => Ok(()),
        4..8 => Err(Status::VERR_NOT_SUPPORTED),
        _ => WRONG,
    }
}

fn is_within(part: &Range<u32>, block: &Known) -> bool {
    !part.is_empty() && part.end as usize <= block.physical.len()
}

proptest! {
    #[test]
    fn random_operations_on_real_memory_are_answered_as_a_list_says(steps in steps()) {
        let session = Session::open_in(Kind::Embedded).unwrap();
        let own = PageMemory::new(OWN_PAGES).unwrap();
        let start = own.as_ptr().addr() as u64;
        let mut known: Vec<Known> = Vec::new();
        let bytes = |part: &Range<u32>| {
            let page = PAGE_SIZE as u32;
            (part.start * page, (part.end - part.start) * page)
        };
        for (mark, step) in (1_u64..).map(|mark| mark << 32).zip(steps) {
            match step {
                Step::Allocate(service, pages) => {
                    let result = allocate(&session, service, pages, mark);
                    let answer = result.as_ref().map(|_| ()).map_err(|status| *status);
                    prop_assert_eq!(answer, count_status(service, pages));
                    let Ok(block) = result else { continue };
                    prop_assert!(block.mark(), "the pages were not zero");
                    let others = known.iter().filter(|other| other.service != Lock);
                    prop_assert!(!others.into_iter().any(|other| other.overlaps(&block)));
                    known.push(block);
                }
                Step::Lock(page) => {
                    let r3 = start + page as u64 * PAGE;
                    let count = (OWN_PAGES - page) as u32;
                    let input = LockPagesIn { r3: R3Ptr::new(r3), pages: count, reserved: 0 };
                    let (_, pages) = status(session.allocate::<LockPages>(&input, count)).unwrap();
                    let physical = pages.iter().map(|page| page.get()).collect();
                    let is_synthetic = false;
                    known.push(Known { service: Lock, r3, r0: 0, physical, is_synthetic, mark });
                }
                Step::Free(index, service, by_ring0) => {
                    let Some(block) = known.get(index).cloned() else { continue };
                    let address = if by_ring0 { block.r0 } else { block.r3 };
                    let is_page = |service| matches!(service, Page | PageBoth);
                    let fits = block.service == service || is_page(block.service) && is_page(service);
                    let expected = if fits && address != 0 { Ok(()) } else { WRONG };
                    prop_assert!(block.service == Lock || block.is_marked(), "{:?} was overwritten", block);
                    prop_assert_eq!(free(&session, service, address), expected);
                    if expected.is_ok() {
                        known.swap_remove(index);
                        let is_left = known.iter().any(|other| other.r3 == block.r3);
                        prop_assert_eq!(free(&session, service, address).is_ok(), is_left);
                        if let Some(alike) = known.iter().position(|other| other.r3 == block.r3) {
                            known.swap_remove(alike);
                        }
                    }
                }
                Step::Map(index, part) => {
                    let Some(block) = known.get(index) else { continue };
                    let (offset, bytes) = bytes(&part);
                    let r3 = R3Ptr::new(block.r3);
                    let input = PageMapKernelIn { r3, offset, bytes, flags: 0, reserved: 0 };
                    let result = status(session.connection().call::<PageMapKernel>(&input));
                    let can_be = matches!(block.service, Page | PageBoth | Lock);
                    let expected = if can_be && is_within(&part, block) { Ok(()) } else { WRONG };
                    prop_assert_eq!(result.as_ref().map(|_| ()).map_err(|status| *status), expected);
                    if let Ok(output) = result && block.service != Lock {
                        // SAFETY: the driver mapped the page there until the block is freed.
                        let found = unsafe { block.word(output.r0.get(), 0).read_volatile() };
                        prop_assert_eq!(found, block.mark + u64::from(part.start));
                    }
                }
                Step::Protect(is_ring0, index, part, bits) => {
                    let Some(block) = known.get(index) else { continue };
                    let (offset, bytes) = bytes(&part);
                    let address = if is_ring0 { block.r0 } else { block.r3 };
                    let (r3, r0) = if is_ring0 {
                        (R3Ptr::NIL, R0Ptr::new(address))
                    } else {
                        (R3Ptr::new(address), R0Ptr::NIL)
                    };
                    let protect = |protection| {
                        let input = PageProtectIn { r3, r0, offset, bytes, protection, reserved: 0 };
                        status(session.connection().call::<PageProtect>(&input).map(|_| ()))
                    };
                    let can_be = matches!(block.service, Page | PageBoth) && address != 0;
                    let is_possible = can_be && is_within(&part, block);
                    prop_assert_eq!(protect(bits), protect_status(is_possible, is_ring0, bits));
                    // So that the marks can be looked at.
                    prop_assert_eq!(protect(3), protect_status(is_possible, is_ring0, 3));
                }
            }
            let counts = session.statistics().unwrap().session;
            prop_assert_eq!(counts.memory_blocks, known.len() as u64);
            let pages: usize = known.iter().map(|block| block.physical.len()).sum();
            prop_assert_eq!(counts.memory_pages, pages as u64);
        }
        let mut blocks = known.iter().filter(|block| block.service != Lock);
        prop_assert!(blocks.all(Known::is_marked));
    }
}
