//! What `PageProtect` forbids a process is forbidden: whatever the process does with its mapping, whoever
//! touches the memory on its behalf, and however many threads are about it.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use rustix::io::Errno;
use rustix::mm::{MlockAllFlags, MprotectFlags, mlockall};
use sup::{PAGE_SIZE, Status};
use sup_abi::{RTMEM_PROT_NONE, RTMEM_PROT_READ, RTMEM_PROT_WRITE};

use super::mappings::{load, must_fault, must_fault_at};
use crate::check::{Stop, Verdict, check, same, tests};
use crate::device::{Device, Service};
use crate::observer::Observer;
use crate::process::Child;
use crate::random::Random;
use crate::region::Region;

tests! { "protection":
    forbidden_accesses_fault,
    what_was_forbidden_comes_back_as_it_was,
    cannot_widen_what_the_driver_forbids,
    cannot_write_to_it_by_way_of_the_kernel,
    a_process_may_forbid_itself_more,
    a_child_has_no_say,
    what_is_mapped_there_instead_stays,
    freed_pieces_leave_nothing,
    random_pieces_are_as_they_were_told,
    nothing_is_written_once_it_is_forbidden,
}

const NOTHING: u32 = RTMEM_PROT_NONE;
const READ: u32 = RTMEM_PROT_READ;
const READ_WRITE: u32 = RTMEM_PROT_READ | RTMEM_PROT_WRITE;

const OK: Status = Status::VINF_SUCCESS;
const WRONG: Status = Status::VERR_INVALID_PARAMETER;

/// A block whose pages are full of 0x5a.
fn block(device: &Device, pages: u32) -> Verdict<Region> {
    let memory = device.allocate(Service::Anywhere, pages)?;
    memory.fill(0x5a)?;
    Ok(memory)
}

/// Whether the page can be read and written on behalf of this process, as a protection.
fn found(page: &Region) -> Verdict<u32> {
    let byte = if page.can_read()? { Some(page.get::<1>()?) } else { None };
    let can_write = page.can_write()?;
    if let (true, Some(byte)) = (can_write, byte) {
        page.put(0, &byte)?;
    }
    Ok(match (byte.is_some(), can_write) {
        (false, false) => NOTHING,
        (true, false) => READ,
        (true, true) => READ_WRITE,
        (false, true) => return Err(Stop::failed(format_args!("{page:?} can only be written"))),
    })
}

#[track_caller]
fn expect(memory: &Region, expected: &[u32]) -> Verdict {
    for (page, expected) in memory.each_page().zip(expected) {
        same!(found(&page)?, *expected, "{page:?}");
    }
    Ok(())
}

fn forbidden_accesses_fault(_observer: &Observer) -> Verdict {
    let protected = |bits: u32| {
        move |device: Device| {
            let memory = block(&device, 4)?;
            same!(device.protect(&memory, 1..3, bits)?, OK);
            // Those beside it are as before.
            memory.store(1);
            memory.part(3, 1).store(1);
            if bits == READ {
                same!(memory.part(2, 1).load(), 0x5a);
            }
            std::mem::forget(device);
            Ok(memory.part(2, 1))
        }
    };
    must_fault_at("store to what may be read", protected(READ), |page| page.store(1))?;
    must_fault_at("load of nothing", protected(NOTHING), load)?;
    must_fault_at("store to nothing", protected(NOTHING), |page| page.store(1))
}

fn what_was_forbidden_comes_back_as_it_was(_observer: &Observer) -> Verdict {
    let device = Device::open()?;
    let memory = block(&device, 3)?;
    for bits in [READ, NOTHING, READ, NOTHING] {
        same!(device.protect(&memory, 0..2, bits)?, OK);
        expect(&memory, &[bits, bits, READ_WRITE])?;
    }
    same!(device.protect(&memory, 0..3, READ_WRITE)?, OK);
    check!(memory.is_all(0x5a)?, "the pages are not those that were there");
    memory.store(7);
    same!(memory.load(), 7);
    Ok(())
}

fn cannot_widen_what_the_driver_forbids(_observer: &Observer) -> Verdict {
    let device = Device::open()?;
    let memory = block(&device, 3)?;
    let page = memory.part(1, 1);
    let refused = Err(Errno::ACCESS);
    let (read, write, execute) = (MprotectFlags::READ, MprotectFlags::WRITE, MprotectFlags::EXEC);
    same!(device.protect(&memory, 1..2, READ)?, OK);
    for access in [read | write, write, execute, read | execute] {
        same!(page.protect(access), refused, "{access:?} where only reading is allowed");
    }
    expect(&memory, &[READ_WRITE, READ, READ_WRITE])?;
    same!(device.protect(&memory, 1..2, NOTHING)?, OK);
    for access in [read, read | write, write, execute] {
        same!(page.protect(access), refused, "{access:?} where nothing is allowed");
    }
    // Nor by giving it away and taking it back, nor in one go with its neighbours.
    page.protect(MprotectFlags::empty())?;
    same!(memory.protect(read | write), refused);
    same!(found(&page)?, NOTHING);
    same!(page.map_twice(), Err(Errno::FAULT));
    same!(page.resize(2 * PAGE_SIZE), Err(Errno::FAULT));
    same!(device.protect(&memory, 0..3, READ | 4)?, Status::VERR_NOT_SUPPORTED);
    same!(found(&page)?, NOTHING);
    Ok(())
}

fn cannot_write_to_it_by_way_of_the_kernel(_observer: &Observer) -> Verdict {
    let device = Device::open()?;
    let memory = block(&device, 2)?;
    let own = File::options().read(true).write(true).open("/proc/self/mem")?;
    let lock = |pages| Ok::<_, Stop>(device.lock(&memory.part(0, pages))?.map(drop));
    same!(device.protect(&memory, 0..1, READ)?, OK);
    check!(own.write_at(&[1], memory.address()).is_err(), "/proc/self/mem writes");
    same!(lock(2)?, Err(Status::VERR_LOCK_FAILED));
    same!(device.protect(&memory, 0..1, NOTHING)?, OK);
    check!(own.read_at(&mut [0], memory.address()).is_err(), "/proc/self/mem reads");
    same!(lock(1)?, Err(Status::VERR_LOCK_FAILED));
    same!(device.protect(&memory, 0..1, READ_WRITE)?, OK);
    check!(memory.is_all(0x5a)?, "it was written to");
    same!(lock(2)?, Ok(()));
    Ok(())
}

fn a_process_may_forbid_itself_more(_observer: &Observer) -> Verdict {
    // Whose memory has to be there at once gets it so again.
    mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE)?;
    let device = Device::open()?;
    let memory = block(&device, 2)?;
    memory.protect(MprotectFlags::READ)?;
    expect(&memory, &[READ, READ])?;
    memory.protect(MprotectFlags::READ | MprotectFlags::WRITE)?;
    expect(&memory, &[READ_WRITE, READ_WRITE])?;
    memory.protect(MprotectFlags::empty())?;
    same!(device.protect(&memory, 1..2, READ)?, OK);
    expect(&memory, &[NOTHING, READ])?;
    same!(device.protect(&memory, 0..2, READ_WRITE)?, OK);
    check!(memory.is_all(0x5a)?);
    expect(&memory, &[READ_WRITE, READ_WRITE])
}

fn a_child_has_no_say(_observer: &Observer) -> Verdict {
    let device = Device::open()?;
    let memory = block(&device, 2)?;
    same!(device.protect(&memory, 0..1, READ)?, OK);
    must_fault("read-only pages in a child", || {
        load(&memory);
    })?;
    Child::start(|| {
        same!(device.protect(&memory, 0..2, NOTHING)?, WRONG);
        // Not even if it has memory there.
        memory.map_anew()?;
        memory.fill(0x77)?;
        same!(device.protect(&memory, 0..2, NOTHING)?, WRONG);
        check!(memory.is_all(0x77)?);
        Ok(())
    })?
    .finish()?;
    expect(&memory, &[READ, READ_WRITE])
}

fn what_is_mapped_there_instead_stays(_observer: &Observer) -> Verdict {
    let device = Device::open()?;
    let memory = block(&device, 5)?;
    let hole = memory.part(2, 1);
    same!(device.protect(&memory, 1..2, READ)?, OK);
    hole.unmap()?;
    for range in [0..5, 2..3, 0..3, 2..5] {
        same!(device.protect(&memory, range.clone(), NOTHING)?, WRONG, "{range:?} with a hole");
    }
    hole.map_anew()?;
    hole.fill(0x77)?;
    for range in [0..5, 2..3, 0..3, 2..5] {
        same!(device.protect(&memory, range.clone(), NOTHING)?, WRONG, "{range:?} not ours");
    }
    expect(&memory, &[READ_WRITE, READ, READ_WRITE, READ_WRITE, READ_WRITE])?;
    same!(device.protect(&memory, 3..5, NOTHING)?, OK);
    device.free(Service::Anywhere, &memory)?;
    check!(hole.is_all(0x77)?, "the free changed what is mapped in the hole");
    for page in memory.part(0, 2).each_page().chain(memory.part(3, 2).each_page()) {
        check!(!page.can_read()?, "freed memory at {page:?} can be read");
    }
    Ok(())
}

fn freed_pieces_leave_nothing(_observer: &Observer) -> Verdict {
    let device = Device::open()?;
    let memory = block(&device, 9)?;
    for (first, bits) in [(1, READ), (3, NOTHING), (5, READ), (6, NOTHING), (8, READ)] {
        same!(device.protect(&memory, first..first + 1, bits)?, OK);
    }
    device.free(Service::Anywhere, &memory)?;
    // Refused where anything is.
    memory.map_anew()?;
    same!(device.protect(&memory, 0..1, READ)?, WRONG);
    check!(memory.is_all(0)?);
    Ok(())
}

fn random_pieces_are_as_they_were_told(_observer: &Observer) -> Verdict {
    const PAGES: u32 = 80;
    const TURNS: u32 = 200;
    let device = Device::open()?;
    let memory = block(&device, PAGES)?;
    let mut expected = vec![READ_WRITE; PAGES as usize];
    let mut random = Random::new(0x9a6e);
    for _ in 0..TURNS {
        let first = random.below(PAGES as usize) as u32;
        let end = first + 1 + random.below((PAGES - first) as usize) as u32;
        let bits = random.choose(&[NOTHING, READ, READ_WRITE]);
        same!(device.protect(&memory, first..end, bits)?, OK);
        expected[first as usize..end as usize].fill(bits);
        // All of them take a while; those at the edges are where something would go wrong.
        for page in [0, first.saturating_sub(1), first, end - 1, end.min(PAGES - 1), PAGES - 1] {
            same!(found(&memory.part(page as usize, 1))?, expected[page as usize], "page {page}");
        }
    }
    expect(&memory, &expected)?;
    same!(device.protect(&memory, 0..PAGES, READ_WRITE)?, OK);
    check!(memory.is_all(0x5a)?, "pages changed their places");
    device.free(Service::Anywhere, &memory)
}

fn nothing_is_written_once_it_is_forbidden(_observer: &Observer) -> Verdict {
    const ROUNDS: u32 = 300;
    let device = Device::open()?;
    let memory = device.allocate(Service::Anywhere, 1)?;
    let is_over = AtomicBool::new(false);
    // Bytes of a pipe that counts, moved by the kernel: where it may not write, it says so.
    let write_on = || -> Verdict {
        let (reader, mut writer) = io::pipe()?;
        let mut byte = 0_u8;
        // Relaxed: it only has to end some time.
        while !is_over.load(Ordering::Relaxed) {
            byte = byte.wrapping_add(1);
            writer.write_all(&[byte])?;
            let start = memory.address() as usize as *mut _;
            // SAFETY: the kernel checks the address; what it writes is in a region, which is no Rust object.
            let read = unsafe { libc::read(reader.as_raw_fd(), start, 1) };
            if read != 1 {
                same!(Errno::from_io_error(&io::Error::last_os_error()), Some(Errno::FAULT));
                let mut lost = [0];
                io::Read::read_exact(&mut &reader, &mut lost)?;
            }
        }
        Ok(())
    };
    thread::scope(|scope| {
        let writers = [scope.spawn(write_on), scope.spawn(write_on)];
        let looked = (0..ROUNDS).try_for_each(|round| -> Verdict {
            same!(device.protect(&memory, 0..1, READ)?, OK);
            let before = memory.load();
            thread::yield_now();
            same!(memory.load(), before, "round {round}: written after it was forbidden");
            same!(device.protect(&memory, 0..1, READ_WRITE)?, OK);
            thread::yield_now();
            Ok(())
        });
        is_over.store(true, Ordering::Relaxed);
        for writer in writers {
            writer.join().unwrap_or_else(|_| Err(Stop::failed("a writer panicked")))?;
        }
        looked
    })
}
