//! Views, and the rule that nothing stays when something fails.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use sup_alloc::faults;
use sup_core::host::AddressSource;
use zerocopy::IntoBytes;

use super::*;
use crate::backend::Kind;
use crate::{PAGE_SIZE, Result, Session, Status};

fn embedded() -> Session {
    Session::open_in(Kind::Embedded).unwrap()
}

/// What the session holds, in a form that can be compared.
fn held(session: &Session) -> Vec<u8> {
    session.statistics().unwrap().session.as_bytes().to_vec()
}

/// Lets each of the driver's allocations in `allocate` fail once; the last round has none left to fail.
fn every_failure<T>(session: &Session, allocate: impl Fn(&Session) -> Result<T>) {
    let before = held(session);
    let mut failures = 0;
    for successes in 0.. {
        let (result, has_failed) = faults::failing_after(successes, || allocate(session));
        if !has_failed {
            assert!(result.is_ok() && held(session) != before);
            drop(result);
            assert_eq!(held(session), before);
            break;
        }
        let error = result.err().unwrap();
        assert_eq!(error.status(), Status::VERR_NO_MEMORY, "{error}");
        assert_eq!(held(session), before, "after failure {successes}");
        failures += 1;
    }
    assert!(failures > 0, "no allocation was made to fail");
}

#[test]
fn cannot_leave_anything_when_the_driver_runs_out_of_memory() {
    // A session of its own each time: the first block of a session makes its table.
    every_failure(&embedded(), |session| session.low_memory(3));
    every_failure(&embedded(), |session| session.contiguous_memory(3));
    every_failure(&embedded(), |session| session.shared_pages(3, RingZeroView::Mapped));
    every_failure(&embedded(), |session| session.shared_pages(3, RingZeroView::None));
    let mut buffer = PageMemory::new(3).unwrap();
    let bytes = std::ptr::from_mut(&mut buffer[..]);
    every_failure(&embedded(), |session| {
        // SAFETY: the buffer outlives the calls, and each lock of it is gone before the next.
        session.lock_memory(unsafe { &mut *bytes })
    });
}

#[test]
fn cannot_leave_anything_when_a_call_is_refused() {
    let session = embedded();
    let before = held(&session);
    let view = RingZeroView::Mapped;
    for error in [
        session.low_memory(0).unwrap_err(),
        session.low_memory(256).unwrap_err(),
        session.contiguous_memory(0).unwrap_err(),
        session.contiguous_memory(256).unwrap_err(),
        session.contiguous_memory(u32::MAX).unwrap_err(),
        session.shared_pages(0, view).unwrap_err(),
        session.shared_pages(65_537, view).unwrap_err(),
    ] {
        assert_eq!(error.status(), Status::VERR_PAGE_COUNT_OUT_OF_RANGE, "{error}");
    }
    assert_eq!(held(&session), before);
}

#[test]
fn owners_tell_as_many_pages_as_they_have() {
    let session = embedded();
    let contiguous = session.contiguous_memory(5).unwrap();
    let low = session.low_memory(7).unwrap();
    assert_eq!((contiguous.pages().len(), contiguous.len()), (5, 5 * PAGE_SIZE));
    assert_eq!((low.pages().len(), low.view().len()), (7, 7 * PAGE_SIZE));
    assert_eq!(low.pages().next_back(), low.pages().last());
    assert!(matches!(low.address_source(), AddressSource::Machine | AddressSource::Synthetic));
}

/// The kernel's flags of the mapping that an address lies in; see proc_pid_smaps(5).
fn mapping_flags(address: usize) -> String {
    let number = |digits: &str| usize::from_str_radix(digits, 16).ok();
    let holds = |line: &str| {
        let (start, rest) = line.split_once('-')?;
        let (end, _) = rest.split_once(' ')?;
        Some((number(start)?..number(end)?).contains(&address))
    };
    let smaps = std::fs::read_to_string("/proc/self/smaps").unwrap();
    let mut lines = smaps.lines().skip_while(|line| holds(line) != Some(true));
    lines.find_map(|line| line.strip_prefix("VmFlags:")).unwrap().to_owned()
}

#[test]
fn cannot_be_inherited_by_a_child() {
    let session = embedded();
    let (low, shared) =
        (session.low_memory(1).unwrap(), session.shared_pages(1, RingZeroView::Mapped).unwrap());
    let own = PageMemory::new(1).unwrap();
    let ring0 = shared.r0_address().get() as usize;
    for address in [low.as_ptr().addr(), shared.as_ptr().addr(), ring0, own.as_ptr().addr()] {
        let flags = mapping_flags(address);
        assert!(flags.split_whitespace().any(|flag| flag == "dc"), "copied at fork: {flags}");
    }
    let ordinary = Box::new([0_u8; 64]);
    assert!(!mapping_flags(ordinary.as_ptr().addr()).contains("dc"));
}

#[test]
fn a_view_has_values_at_any_offset_and_leaves_their_neighbours() {
    for offset in 0..17 {
        let words = [const { AtomicU64::new(u64::MAX) }; 4];
        let view = SharedView::new(&words);
        let value: [u8; 13] = std::array::from_fn(|index| index as u8);
        view.write(offset, &value).unwrap();
        assert_eq!(view.read::<[u8; 13]>(offset).unwrap(), value);
        let mut all = [0; 32];
        view.read_into(0, &mut all).unwrap();
        let mut expected = [0xff; 32];
        expected[offset..offset + 13].copy_from_slice(&value);
        assert_eq!(all, expected);
    }
}

#[test]
fn cannot_look_past_the_end_of_a_view() {
    let words = [const { AtomicU64::new(7) }; 2];
    let view = SharedView::new(&words);
    for (offset, bytes) in [(16, 1), (9, 8), (0, 17), (usize::MAX, 2), (17, 0)] {
        let error = view.read_into(offset, &mut vec![0; bytes]).unwrap_err();
        assert_eq!(error.status(), Status::VERR_OUT_OF_RANGE, "{bytes} at {offset}");
        let error = view.write(offset, vec![0_u8; bytes].as_slice()).unwrap_err();
        assert_eq!(error.status(), Status::VERR_OUT_OF_RANGE, "{bytes} at {offset}");
    }
    view.write::<[u8]>(16, &[]).unwrap();
    view.write::<[u8]>(3, &[]).unwrap();
    assert_eq!(words.map(AtomicU64::into_inner), [7, 7]);
}

#[test]
fn cannot_lose_what_another_writes_beside_a_value() {
    const ROUNDS: u32 = 20_000;
    let words = [AtomicU64::new(0)];
    let view = SharedView::new(&words);
    thread::scope(|scope| {
        scope.spawn(|| {
            for round in 0..=ROUNDS {
                view.write(0, &round).unwrap();
                assert_eq!(view.read::<u32>(0).unwrap(), round);
            }
        });
        for round in 0..=ROUNDS {
            view.write(4, &round).unwrap();
            assert_eq!(view.read::<u32>(4).unwrap(), round);
        }
    });
    // Relaxed: the thread has ended.
    let both = u64::from(ROUNDS) << 32 | u64::from(ROUNDS);
    assert_eq!(words[0].load(Ordering::Relaxed), both);
}

#[test]
fn locked_memory_is_counted_and_given_back() {
    let session = embedded();
    let before = held(&session);
    let mut buffer = PageMemory::new(3).unwrap();
    buffer[PAGE_SIZE] = 7;
    let locked = session.lock_memory(&mut buffer).unwrap();
    assert_ne!(held(&session), before);
    assert_eq!((locked.len(), locked.pages().len()), (3 * PAGE_SIZE, 3));
    assert_eq!(locked.view().read::<u8>(PAGE_SIZE).unwrap(), 7);
    assert!(!locked.map_kernel(1..3).unwrap().is_nil());
    assert_eq!(locked.map_kernel(1..4).unwrap_err().status(), Status::VERR_INVALID_PARAMETER);
    locked.view().write(PAGE_SIZE, &8_u8).unwrap();
    drop(locked);
    assert_eq!(held(&session), before);
    assert_eq!(buffer[PAGE_SIZE], 8);
}

#[test]
fn cannot_lock_a_buffer_that_shares_its_pages() {
    let session = embedded();
    let before = held(&session);
    let mut buffer = PageMemory::new(2).unwrap();
    for range in [0..0, 0..PAGE_SIZE - 1, 8..PAGE_SIZE + 8] {
        let error = session.lock_memory(&mut buffer[range]).unwrap_err();
        assert_eq!(error.status(), Status::VERR_INVALID_PARAMETER, "{error}");
    }
    assert_eq!(held(&session), before);
}

#[test]
fn pages_are_mapped_into_ring_0_once_more() {
    let session = embedded();
    let memory = session.shared_pages(3, RingZeroView::Mapped).unwrap();
    let again = memory.map_kernel(0..3).unwrap();
    assert!(!again.is_nil() && again != memory.r0_address());
    for (start, end) in [(1, 1), (2, 1), (0, 4), (u32::MAX - 1, u32::MAX)] {
        let error = memory.map_kernel(start..end).unwrap_err();
        assert_eq!(error.status(), Status::VERR_INVALID_PARAMETER, "{start}..{end}: {error}");
    }
}

/// What the kernel lets the process do at an address, as in `rw-`; see proc_pid_maps(5).
fn access(address: usize) -> String {
    let number = |digits: &str| usize::from_str_radix(digits, 16).ok();
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let found = maps.lines().find_map(|line| {
        let (range, rest) = line.split_once(' ')?;
        let (start, end) = range.split_once('-')?;
        (number(start)?..number(end)?).contains(&address).then(|| rest[..3].to_owned())
    });
    found.unwrap()
}

#[test]
fn each_ring_is_protected_by_itself() {
    let session = embedded();
    let memory = session.shared_pages(3, RingZeroView::Mapped).unwrap();
    let [r3, r0] = [memory.as_ptr().addr(), memory.r0_address().get() as usize];
    let both = |page: usize| [r3, r0].map(|start| access(start + page * PAGE_SIZE));
    for (protection, expected) in [
        (Protection::Read, "r--"),
        (Protection::Nothing, "---"),
        (Protection::ReadWrite, "rw-"),
        (Protection::ReadExecute, "r-x"),
    ] {
        memory.protect_kernel(1..2, protection).unwrap();
        assert_eq!(both(1), ["rw-", expected]);
        assert_eq!([both(0), both(2)], [["rw-"; 2]; 2]);
    }
    memory.protect_kernel(0..3, Protection::ReadWrite).unwrap();
    for (protection, expected) in
        [(Protection::Read, "r--"), (Protection::Nothing, "---"), (Protection::ReadWrite, "rw-")]
    {
        // SAFETY: nobody has a view of the block.
        unsafe { memory.protect_user(1..2, protection) }.unwrap();
        assert_eq!(both(1), [expected, "rw-"]);
    }
    // SAFETY: it is refused.
    let error = unsafe { memory.protect_user(1..2, Protection::ReadExecute) }.unwrap_err();
    assert_eq!(error.status(), Status::VERR_NOT_SUPPORTED, "{error}");
    assert_eq!(both(1), ["rw-"; 2]);
}

#[test]
fn cannot_protect_what_a_block_does_not_have() {
    let session = embedded();
    let memory = session.shared_pages(3, RingZeroView::Mapped).unwrap();
    let alone = session.shared_pages(1, RingZeroView::None).unwrap();
    let wrong = |error: crate::Error| error.status() == Status::VERR_INVALID_PARAMETER;
    for (start, end) in [(1, 1), (2, 1), (0, 4), (u32::MAX - 1, u32::MAX)] {
        assert!(wrong(memory.protect_kernel(start..end, Protection::Read).unwrap_err()));
        // SAFETY: it is refused.
        let result = unsafe { memory.protect_user(start..end, Protection::Read) };
        assert!(wrong(result.unwrap_err()));
    }
    assert!(wrong(alone.protect_kernel(0..1, Protection::Read).unwrap_err()));
}
