//! What both rings do with each other's memory: locks, further mappings, protections, and the memory
//! functions of ring 0.

use sup::{PAGE_SIZE, PageMemory, Protection, RingZeroView, Status};
use sup_abi::request::{
    AddressIn, LockPages, LockPagesIn, PageAllocEx, PageAllocExIn, PageFree, PageMapKernel,
    PageMapKernelIn, PageProtect, PageProtectIn, Request, UnlockPages,
};
use sup_abi::{R0Ptr, R3Ptr};

use crate::backend::{Backend, Feature};
use crate::case::{Stop, Verdict, cases, check, same};
use crate::client::Client;
use crate::probe::{OWN, Probe, op};
use crate::process::{protection, without_capability};

cases! { Memory {
    locked_memory_is_seen_by_ring_zero:
        "Locked pages can be mapped into ring 0, as often as they are locked (spec 4.5, 4.10).",
    what_cannot_be_locked_is_told_apart:
        "Locks check address, count and access, and leave nothing behind (spec 4.10).",
    parts_of_a_block_are_mapped_again:
        "PageMapKernel maps any whole pages of a block, 64 times at most (spec 4.5).",
    ring_zero_is_protected: "PageProtect changes ring 0's mapping, never to W+X (spec 4.6).",
    ring_three_is_protected: "PageProtect changes ring 3's mapping, never to X (spec 4.6).",
    library_protects_both_rings:
        "The library changes either ring's mapping of a part of a block, in every backend (spec 4.6).",
    execution_takes_the_right_to_load_code:
        "Who may not load modules makes nothing executable in ring 0 (spec 4.12).",
    memory_functions_of_ring_zero_agree_with_ring_three:
        "Ring 0 allocates, finds and frees under the same rules (spec 4.4 to 4.10).",
}}

const PAGE: u32 = PAGE_SIZE as u32;

#[track_caller]
fn lock(client: &Client, start: u64, pages: u32) -> Verdict<Status> {
    let input = LockPagesIn { r3: R3Ptr::new(start), pages, reserved: 0 };
    let room = LockPages::BYTES_OUT + pages.min(64) as usize * size_of::<u64>();
    Ok(client.exchange(&client.packet::<LockPages>(&input).with_bytes_out(room))?.status())
}

#[track_caller]
fn unlock(client: &Client, start: u64) -> Verdict<Status> {
    let input = AddressIn { r3: R3Ptr::new(start) };
    client.call::<UnlockPages>(&input).map(|(status, _)| status)
}

#[track_caller]
fn map(client: &Client, start: u64, offset: u32, bytes: u32) -> Verdict<Result<u64, Status>> {
    let r3 = R3Ptr::new(start);
    let input = PageMapKernelIn { r3, offset, bytes, flags: 0, reserved: 0 };
    Ok(match client.call::<PageMapKernel>(&input)? {
        (Status::VINF_SUCCESS, Some(output)) => Ok(output.r0.get()),
        (status, _) => Err(status),
    })
}

#[track_caller]
fn protect(client: &Client, [r3, r0]: [u64; 2], bytes: u32, bits: u32) -> Verdict<Status> {
    let (r3, r0) = (R3Ptr::new(r3), R0Ptr::new(r0));
    let input = PageProtectIn { r3, r0, offset: 0, bytes, protection: bits, reserved: 0 };
    client.call::<PageProtect>(&input).map(|(status, _)| status)
}

/// A block of four pages, in both rings.
#[track_caller]
fn allocate(client: &Client) -> Verdict<[u64; 2]> {
    let input = PageAllocExIn { pages: 4, kernel_mapping: 1, user_mapping: 1, reserved: [0; 2] };
    let room = PageAllocEx::BYTES_OUT + 4 * size_of::<u64>();
    let answer = client.exchange(&client.packet::<PageAllocEx>(&input).with_bytes_out(room))?;
    let output = answer.output::<PageAllocEx>().ok_or_else(|| Stop::failed(answer.status()))?;
    Ok([output.r3.get(), output.r0.get()])
}

#[track_caller]
fn read(probe: &Probe<'_>, address: u64) -> Verdict<u64> {
    let (status, numbers) = probe.ask(op::READ, &[OWN, address])?;
    same!(status, Status::VINF_SUCCESS);
    Ok(numbers[7])
}

fn locked_memory_is_seen_by_ring_zero(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let probe = Probe::load(&client)?;
    let mut memory = PageMemory::new(5)?;
    let start = memory.as_ptr().addr() as u64;
    memory[2 * PAGE_SIZE..][..8].copy_from_slice(&0x1234_5678_u64.to_ne_bytes());
    for pages in [5, 5, 3] {
        same!(lock(&client, start, pages)?, Status::VINF_SUCCESS);
    }
    same!(client.statistics()?.session.memory_blocks, 3);
    let r0 = map(&client, start, 2 * PAGE, PAGE)?.map_err(Stop::failed)?;
    same!(read(&probe, r0)?, 0x1234_5678);
    same!(probe.status(op::WRITE, &[OWN, r0, 0x8765_4321])?, Status::VINF_SUCCESS);
    same!(memory[2 * PAGE_SIZE..][..8], 0x8765_4321_u64.to_ne_bytes());
    for _ in 0..3 {
        same!(unlock(&client, start)?, Status::VINF_SUCCESS);
    }
    same!(unlock(&client, start)?, Status::VERR_INVALID_PARAMETER);
    same!(client.statistics()?.session.memory_blocks, 0);
    Ok(())
}

fn what_cannot_be_locked_is_told_apart(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let memory = PageMemory::new(2)?;
    let start = memory.as_ptr().addr() as u64;
    let code = what_cannot_be_locked_is_told_apart as *const ();
    let code = code.addr() as u64 & !(PAGE_SIZE as u64 - 1);
    for (address, pages, expected) in [
        (0, 1, Status::VERR_INVALID_PARAMETER),
        (start + 8, 1, Status::VERR_INVALID_PARAMETER),
        (start, 0, Status::VERR_INVALID_PARAMETER),
        (u64::MAX << 12, 2, Status::VERR_OUT_OF_RANGE),
        (code, 1, Status::VERR_LOCK_FAILED),
        (0x1000, 1, Status::VERR_LOCK_FAILED),
        (1 << 62, 1, Status::VERR_LOCK_FAILED),
    ] {
        same!(lock(&client, address, pages)?, expected, "{address:#x}, {pages}");
    }
    same!(client.statistics()?.session.memory_blocks, 0);
    Ok(())
}

fn parts_of_a_block_are_mapped_again(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let probe = Probe::load(&client)?;
    let [r3, r0] = allocate(&client)?;
    let marked = r0 + 2 * u64::from(PAGE);
    same!(probe.status(op::WRITE, &[OWN, marked, 77])?, Status::VINF_SUCCESS);
    for (offset, bytes) in [(0, 4), (2, 2), (1, 2), (2, 1)] {
        let again = map(&client, r3, offset * PAGE, bytes * PAGE)?.map_err(Stop::failed)?;
        check!(again != r0 && again != r3, "{again:#x} is not a mapping of its own");
        same!(read(&probe, again + u64::from((2 - offset) * PAGE))?, 77);
    }
    for (offset, bytes) in
        [(0, 0), (1, PAGE), (0, 5 * PAGE), (4 * PAGE, PAGE), (PAGE, 0_u32.wrapping_sub(PAGE))]
    {
        same!(map(&client, r3, offset, bytes)?, Err(Status::VERR_INVALID_PARAMETER));
    }
    for _ in 4..64 {
        map(&client, r3, 0, PAGE)?.map_err(Stop::failed)?;
    }
    same!(map(&client, r3, 0, PAGE)?, Err(Status::VERR_MAP_FAILED));
    let input = AddressIn { r3: R3Ptr::new(r3) };
    same!(client.call::<PageFree>(&input)?.0, Status::VINF_SUCCESS);
    same!(map(&client, r3, 0, PAGE)?, Err(Status::VERR_INVALID_PARAMETER));
    Ok(())
}

fn ring_zero_is_protected(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let probe = Probe::load(&client)?;
    let [_, r0] = allocate(&client)?;
    let expect = |bits, expected: &str| -> Verdict {
        same!(protect(&client, [0, r0], PAGE, bits)?, Status::VINF_SUCCESS);
        // The mappings of a kernel cannot be looked at from here.
        if backend.can(Feature::InProcess) {
            let found = protection(r0)?.unwrap_or_default();
            check!(found.starts_with(expected), "{bits}: {found}");
            let found = protection(r0 + u64::from(PAGE))?.unwrap_or_default();
            check!(found.starts_with("rw-"), "the next page: {found}");
        }
        Ok(())
    };
    expect(1, "r--")?;
    same!(read(&probe, r0)?, 0);
    expect(5, "r-x")?;
    same!(read(&probe, r0)?, 0);
    expect(0, "---")?;
    expect(3, "rw-")?;
    same!(probe.status(op::WRITE, &[OWN, r0, 5])?, Status::VINF_SUCCESS);
    same!(read(&probe, r0)?, 5);
    for bits in [6, 7] {
        same!(protect(&client, [0, r0], PAGE, bits)?, Status::VERR_NOT_SUPPORTED);
    }
    same!(protect(&client, [0, r0], PAGE, 8)?, Status::VERR_INVALID_PARAMETER);
    same!(protect(&client, [0, 0], PAGE, 1)?, Status::VERR_INVALID_PARAMETER);
    Ok(())
}

fn ring_three_is_protected(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let [r3, r0] = allocate(&client)?;
    let probe = Probe::load(&client)?;
    same!(probe.status(op::WRITE, &[OWN, r0, 77])?, Status::VINF_SUCCESS);
    same!(protect(&client, [r3, 0], PAGE, 5)?, Status::VERR_NOT_SUPPORTED);
    for (bits, expected) in [(1, "r--"), (0, "---"), (3, "rw-")] {
        same!(protect(&client, [r3, 0], PAGE, bits)?, Status::VINF_SUCCESS);
        for (page, expected) in [(0, expected), (1, "rw-"), (3, "rw-")] {
            let found = protection_of_page(r3, page)?;
            check!(found.starts_with(expected), "page {page}, {bits}: {found}");
        }
        same!(read(&probe, r0)?, 77, "ring 0 sees it as ever");
    }
    for (bits, expected) in [(1, "r--"), (3, "rw-")] {
        same!(protect(&client, [r3, r0], 4 * PAGE, bits)?, Status::VINF_SUCCESS, "both rings");
        let found = protection_of_page(r3, 3)?;
        check!(found.starts_with(expected), "{bits}: {found}");
        same!(read(&probe, r0)?, 77);
    }
    let input = AddressIn { r3: R3Ptr::new(r3) };
    same!(protect(&client, [r3, 0], 2 * PAGE, 0)?, Status::VINF_SUCCESS);
    same!(client.call::<PageFree>(&input)?.0, Status::VINF_SUCCESS);
    same!(protect(&client, [r3, 0], PAGE, 3)?, Status::VERR_INVALID_PARAMETER);
    Ok(())
}

fn library_protects_both_rings(backend: &dyn Backend) -> Verdict {
    let session = backend.open()?;
    let client = Client::connect(backend)?;
    let probe = Probe::load(&client)?;
    let memory = session.shared_pages(3, RingZeroView::Mapped)?;
    let [r3, r0] = [memory.as_ptr().addr() as u64, memory.r0_address().get()];
    memory.view().write(PAGE_SIZE, &0x1234_5678_u64)?;
    for (protection, expected) in
        [(Protection::Read, "r--"), (Protection::Nothing, "---"), (Protection::ReadWrite, "rw-")]
    {
        // SAFETY: no view of the pages is used until they are readable and writable again.
        unsafe { memory.protect_user(1..2, protection) }?;
        for (page, expected) in [(0, "rw-"), (1, expected), (2, "rw-")] {
            let found = protection_of_page(r3, page)?;
            check!(found.starts_with(expected), "page {page}, {protection:?}: {found}");
        }
        same!(read(&probe, r0 + u64::from(PAGE))?, 0x1234_5678, "ring 0 sees it as ever");
    }
    for protection in [Protection::Read, Protection::ReadExecute] {
        memory.protect_kernel(1..2, protection)?;
        same!(read(&probe, r0 + u64::from(PAGE))?, 0x1234_5678);
        same!(memory.view().read::<u64>(PAGE_SIZE)?, 0x1234_5678);
    }
    memory.protect_kernel(0..3, Protection::ReadWrite)?;
    let marked = r0 + u64::from(PAGE);
    same!(probe.status(op::WRITE, &[OWN, marked, 0x8765_4321])?, Status::VINF_SUCCESS);
    same!(memory.view().read::<u64>(PAGE_SIZE)?, 0x8765_4321);
    // SAFETY: it is refused.
    let executable = unsafe { memory.protect_user(0..1, Protection::ReadExecute) };
    // SAFETY: it is refused.
    let outside = unsafe { memory.protect_user(2..4, Protection::Read) };
    let statuses = [executable, outside].map(|result| result.map_err(|error| error.status()));
    same!(statuses, [Err(Status::VERR_NOT_SUPPORTED), Err(Status::VERR_INVALID_PARAMETER)]);
    Ok(())
}

fn protection_of_page(start: u64, page: u64) -> Verdict<String> {
    Ok(protection(start + page * u64::from(PAGE))?.unwrap_or_default())
}

fn execution_takes_the_right_to_load_code(backend: &dyn Backend) -> Verdict {
    if backend.can(Feature::InProcess) {
        return Err(Stop::Skipped(
            "in a process a module has the rights of who loads it".to_owned(),
        ));
    }
    let client = Client::connect(backend)?;
    let [_, r0] = allocate(&client)?;
    let status = without_capability(rustix::thread::CapabilitySet::SYS_MODULE, || {
        protect(&client, [0, r0], PAGE, 5)
    })?;
    same!(status, Status::VERR_PERMISSION_DENIED);
    Ok(())
}

fn memory_functions_of_ring_zero_agree_with_ring_three(backend: &dyn Backend) -> Verdict {
    const OK: Status = Status::VINF_SUCCESS;
    const WRONG: Status = Status::VERR_INVALID_PARAMETER;
    let client = Client::connect(backend)?;
    let probe = Probe::load(&client)?;
    let ask = |function: u64, arguments: [u64; 3]| {
        let [first, second, third] = arguments;
        probe.ask(op::MEMORY, &[OWN, function, first, second, third])
    };
    // ContAlloc, LowAlloc, MemAlloc (its size in bytes), and what frees them.
    for (alloc, free, size, beyond) in [(2, 3, 3, 256), (4, 5, 3, 256), (6, 8, 8193, 4 << 20)] {
        let refused = if alloc == 6 { WRONG } else { Status::VERR_PAGE_COUNT_OUT_OF_RANGE };
        same!(ask(alloc, [0, 0, 0])?.0, refused);
        same!(ask(alloc, [beyond, 0, 0])?.0, refused);
        for by_ring_zero in [0, 1] {
            let (status, numbers) = ask(alloc, [size, 0, 0])?;
            same!(status, OK, "function {alloc}");
            let (r3, r0) = (numbers[4], numbers[5]);
            check!(r3 != 0 && r0 != 0 && r3 != r0);
            same!(probe.status(op::WRITE, &[OWN, r0 + 8192, 7])?, OK);
            same!(client.statistics()?.session.memory_pages, 3);
            let (status, found) = ask(7, [r3, 0, 0])?;
            same!(status, if alloc == 6 { OK } else { WRONG }, "SUPR0MemGetPhys, {alloc}");
            check!(alloc != 6 || (found[6] != 0 && found[6].is_multiple_of(u64::from(PAGE))));
            for other in [3, 5, 8, 12, 1].into_iter().filter(|other| *other != free) {
                same!(ask(other, [r3, 0, 0])?.0, WRONG, "{other} frees what {alloc} gave");
            }
            same!(ask(free, [[r3, r0][by_ring_zero], 0, 0])?.0, OK);
            same!(ask(free, [r3, 0, 0])?.0, WRONG);
        }
    }
    // PageAllocEx for nobody, for ring 3, for ring 0, for both.
    same!(ask(9, [2, 0, 0])?.0, WRONG);
    for wanted in 1..4_u64 {
        let (status, numbers) = ask(9, [2, wanted, 0])?;
        same!(status, OK);
        same!((numbers[4] != 0, numbers[5] != 0), (wanted & 1 != 0, wanted & 2 != 0));
        check!(numbers[6] != 0, "no physical address");
        if wanted & 1 != 0 {
            let (status, again) = ask(10, [numbers[4], u64::from(PAGE), u64::from(PAGE)])?;
            same!(status, OK);
            same!(read(&probe, again[5])?, 0);
        }
        if wanted & 2 != 0 {
            same!(ask(11, [numbers[5], u64::from(PAGE), 1])?.0, OK);
            same!(ask(11, [numbers[5], u64::from(PAGE), 7])?.0, Status::VERR_NOT_SUPPORTED);
        }
        same!(ask(12, [numbers[4].max(u64::from(wanted == 2) * numbers[5]), 0, 0])?.0, OK);
    }
    let memory = PageMemory::new(2)?;
    let start = memory.as_ptr().addr() as u64;
    let (status, numbers) = ask(0, [start, 2, 0])?;
    same!(status, OK);
    check!(numbers[6] != 0);
    same!(ask(1, [start, 0, 0])?.0, OK);
    same!(ask(1, [start, 0, 0])?.0, WRONG);
    same!(client.statistics()?.session.memory_blocks, 0);
    Ok(())
}
