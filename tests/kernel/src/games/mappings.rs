//! What a process sees of the driver's memory, what it can do to it, and for how long.

use std::fs;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd};

use rustix::io::Errno;
use rustix::mm::{MapFlags, MlockAllFlags, MprotectFlags, ProtFlags, mlockall, mmap};
use sup::PAGE_SIZE;

use crate::check::{Stop, Verdict, check, same, tests};
use crate::device::{Device, Service};
use crate::observer::Observer;
use crate::process::Child;
use crate::region::Region;

tests! { "mappings":
    freed_memory_faults,
    memory_of_a_closed_session_faults,
    what_is_mapped_there_later_stays,
    memory_may_be_unmapped_in_part,
    cannot_grow_move_or_double_memory,
    cannot_make_memory_executable,
    cannot_write_to_the_clock,
    a_fork_has_the_words_and_nothing_else,
    cannot_map_the_device,
    the_kernel_reads_and_writes_it_like_any_memory,
    a_page_in_a_pipe_outlives_its_block,
    locked_processes_get_memory_too,
}

/// Runs `work`, which must die of touching memory that is not there.
#[track_caller]
pub(super) fn must_fault(what: &str, work: impl FnOnce()) -> Verdict {
    let end = Child::start(|| {
        work();
        Ok(())
    })?
    .wait()?;
    check!(end.is_fault(), "{what}: {end:?} instead of SIGSEGV or SIGBUS");
    Ok(())
}

/// Runs `work` in a process of its own, because it may die. What it asks the driver for must be there in
/// that process, which opens its own session.
#[track_caller]
pub(super) fn must_fault_at(
    what: &str,
    find: impl FnOnce(Device) -> Verdict<Region>,
    touch: impl FnOnce(&Region),
) -> Verdict {
    // The first byte of the pipe says that everything before the fault went well.
    let (mut reader, mut writer) = io::pipe()?;
    let mut child = Child::start(|| {
        let region = find(Device::open()?)?;
        writer.write_all(&[1])?;
        touch(&region);
        Ok(())
    })?;
    let end = child.wait()?;
    drop(writer);
    let mut byte = [0];
    let came_so_far = reader.read(&mut byte)? == 1;
    if !came_so_far {
        return child.finish();
    }
    check!(end.is_fault(), "{what}: {end:?} instead of SIGSEGV or SIGBUS");
    Ok(())
}

/// Loads a byte that nobody wants to know.
pub(super) fn load(region: &Region) {
    let _ = region.load();
}

fn freed_memory_faults(_observer: &Observer) -> Verdict {
    for service in Service::ALL {
        let freed = |device: Device| {
            let memory = device.allocate(service, 5)?;
            memory.store(7);
            same!(memory.load(), 7);
            device.free(service, &memory)?;
            // The session stays open: it is the free that counts.
            std::mem::forget(device);
            Ok(memory.part(4, 1))
        };
        must_fault_at("load", freed, load)?;
        must_fault_at("store", freed, |memory| memory.store(1))?;
    }
    Ok(())
}

fn memory_of_a_closed_session_faults(_observer: &Observer) -> Verdict {
    for service in Service::ALL {
        let closed = |device: Device| device.allocate(service, 2);
        must_fault_at("load", closed, load)?;
    }
    let clock = |device: Device| {
        let page = device.clock_page()?;
        check!(page.is_clock_page()?);
        Ok(page)
    };
    must_fault_at("clock", clock, load)?;
    let words = |device: Device| device.event().and_then(|_| device.word_page());
    must_fault_at("state words", words, load)
}

fn what_is_mapped_there_later_stays(_observer: &Observer) -> Verdict {
    let device = Device::open()?;
    for service in Service::ALL {
        let memory = device.allocate(service, 6)?;
        memory.unmap()?;
        memory.map_anew()?;
        memory.fill(0x5a)?;
        device.free(service, &memory)?;
        check!(memory.is_all(0x5a)?, "{service:?}: the free changed what is mapped there now");
        memory.unmap()?;
    }
    Ok(())
}

fn memory_may_be_unmapped_in_part(_observer: &Observer) -> Verdict {
    let device = Device::open()?;
    for service in Service::ALL {
        let memory = device.allocate(service, 8)?;
        memory.fill(0x33)?;
        let hole = memory.part(2, 3);
        hole.unmap()?;
        check!(memory.part(5, 3).is_all(0x33)?, "{service:?}: the rest is not as it was");
        hole.map_anew()?;
        hole.fill(0x5a)?;
        device.free(service, &memory)?;
        check!(hole.is_all(0x5a)?, "{service:?}: the free changed what is mapped in the hole");
        for page in memory.part(0, 2).each_page().chain(memory.part(5, 3).each_page()) {
            check!(!page.can_read()?, "{service:?}: freed memory at {page:?} can be read");
        }
        memory.unmap()?;
    }
    Ok(())
}

fn cannot_grow_move_or_double_memory(_observer: &Observer) -> Verdict {
    let device = Device::open()?;
    for service in Service::ALL {
        let memory = device.allocate(service, 4)?;
        memory.fill(0x44)?;
        same!(memory.resize(memory.bytes() + PAGE_SIZE), Err(Errno::FAULT), "{service:?}: grow");
        same!(memory.map_twice(), Err(Errno::FAULT), "{service:?}: map twice");
        let elsewhere = Region::new(4)?;
        same!(memory.move_to(&elsewhere), Err(Errno::INVAL), "{service:?}: move");
        check!(memory.is_all(0x44)?, "{service:?}: a refused change changed the memory");
        device.free(service, &memory)?;
        check!(!memory.can_read()?);
        check!(!elsewhere.can_read()?, "{service:?}: freed memory can be read elsewhere");
    }
    Ok(())
}

/// The protection of the mapping that starts at a region, as in `rw-s`.
fn protection(region: &Region) -> Verdict<String> {
    let maps = fs::read_to_string("/proc/self/maps")?;
    let start = format!("{:x}-", region.address());
    let line = maps.lines().find(|line| line.trim_start_matches('0').starts_with(&start));
    let word = line.and_then(|line| line.split(' ').nth(1)).map(str::to_owned);
    word.ok_or_else(|| Stop::failed(format_args!("no mapping starts at {region:?}")))
}

fn cannot_make_memory_executable(_observer: &Observer) -> Verdict {
    let look = || {
        let device = Device::open()?;
        device.event()?;
        let clock = device.clock_page()?;
        let [low, contiguous, anywhere] = Service::ALL.map(|service| device.allocate(service, 1));
        let all = [
            (low?, "rw-s"),
            (contiguous?, "rw-s"),
            (anywhere?, "rw-s"),
            (device.word_page()?, "rw-s"),
            (clock, "r--s"),
        ];
        for (region, expected) in all {
            same!(protection(&region)?, expected);
            // Once more, because a process can ask for readable to mean executable.
            region.protect(MprotectFlags::READ)?;
            same!(protection(&region)?, "r--s");
            let executable = region.protect(MprotectFlags::READ | MprotectFlags::EXEC);
            same!(executable, Err(Errno::ACCESS), "mprotect(PROT_EXEC) of {expected}");
        }
        Ok(())
    };
    look()?;
    // SAFETY: the call takes a number and changes how this process maps memory from now on.
    let before = unsafe { libc::personality(libc::READ_IMPLIES_EXEC as libc::c_ulong) };
    check!(before != -1, "personality: {}", io::Error::last_os_error());
    look()
}

fn cannot_write_to_the_clock(_observer: &Observer) -> Verdict {
    let device = Device::open()?;
    let page = device.clock_page()?;
    check!(page.is_clock_page()?);
    let writable = MprotectFlags::READ | MprotectFlags::WRITE;
    same!(page.protect(writable), Err(Errno::ACCESS));
    check!(!page.can_write()?, "the kernel writes to it on behalf of this process");
    check!(page.is_clock_page()?);
    let mapped = |device: Device| {
        let page = device.clock_page()?;
        std::mem::forget(device);
        Ok(page)
    };
    must_fault_at("store", mapped, |page| page.store(0))?;
    check!(page.is_clock_page()?);
    Ok(())
}

fn a_fork_has_the_words_and_nothing_else(_observer: &Observer) -> Verdict {
    let device = Device::open()?;
    let event = device.event()?;
    let words = device.word_page()?;
    let clock = device.clock_page()?;
    let blocks = Service::ALL.map(|service| device.allocate(service, 1));
    for (service, block) in Service::ALL.into_iter().zip(blocks) {
        let block = block?;
        check!(block.is_all(0)?);
        must_fault(&format!("{service:?} in a child"), || load(&block))?;
        Child::start(|| {
            check!(!block.can_read()?, "{service:?}: the kernel reads it on behalf of a child");
            Ok(())
        })?
        .finish()?;
    }
    must_fault("the clock in a child", || load(&clock))?;
    Child::start(|| {
        let before = words.get::<8>()?;
        device.signal(event)?;
        check!(words.get::<8>()? != before, "the words of a child do not change");
        // It may ask for what it has not.
        check!(device.clock_page()?.is_clock_page()?, "no clock for a child that asks");
        check!(device.allocate(Service::Low, 1)?.is_all(0)?);
        Ok(())
    })?
    .finish()?;
    check!(clock.is_clock_page()?, "the child took its parent's clock away");
    Ok(())
}

fn cannot_map_the_device(_observer: &Observer) -> Verdict {
    let device = Device::open()?;
    device.allocate(Service::Low, 1)?;
    for (flags, access) in [
        (MapFlags::SHARED, ProtFlags::READ | ProtFlags::WRITE),
        (MapFlags::SHARED, ProtFlags::READ),
        (MapFlags::PRIVATE, ProtFlags::READ),
    ] {
        for offset in [0, PAGE_SIZE as u64, 1 << 40] {
            let nowhere = std::ptr::null_mut();
            // SAFETY: without an address the kernel chooses unused address space.
            let mapped = unsafe { mmap(nowhere, PAGE_SIZE, access, flags, device.as_fd(), offset) };
            same!(mapped, Err(Errno::NODEV), "{flags:?}, {access:?}, offset {offset:#x}");
        }
    }
    Ok(())
}

fn the_kernel_reads_and_writes_it_like_any_memory(_observer: &Observer) -> Verdict {
    let device = Device::open()?;
    let pattern: Vec<u8> = (0..3 * PAGE_SIZE).map(|index| (index % 251) as u8).collect();
    for service in Service::ALL {
        let memory = device.allocate(service, 3)?;
        check!(memory.is_all(0)?, "{service:?}: new memory is not zeroed");
        memory.put(0, &pattern)?;
        for (page, expected) in memory.each_page().zip(pattern.chunks(PAGE_SIZE)) {
            check!(page.get::<PAGE_SIZE>()? == *expected, "{service:?}: other bytes in {page:?}");
        }
        device.free(service, &memory)?;
    }
    Ok(())
}

fn a_page_in_a_pipe_outlives_its_block(_observer: &Observer) -> Verdict {
    let device = Device::open()?;
    for service in Service::ALL {
        let memory = device.allocate(service, 1)?;
        memory.fill(0x66)?;
        let (mut reader, writer) = io::pipe()?;
        let start = memory.address() as usize as *mut _;
        let slice = [libc::iovec { iov_base: start, iov_len: PAGE_SIZE }];
        // SAFETY: the kernel checks the address and only reads; the pipe has a reference of the page then.
        let given = unsafe { libc::vmsplice(writer.as_raw_fd(), slice.as_ptr(), 1, 0) };
        check!(given == PAGE_SIZE as isize, "vmsplice: {}", io::Error::last_os_error());
        device.free(service, &memory)?;
        // Would be given the same page if it were free.
        let next = device.allocate(service, 16)?;
        next.fill(0x77)?;
        let mut bytes = [0; PAGE_SIZE];
        reader.read_exact(&mut bytes)?;
        check!(bytes == [0x66; PAGE_SIZE], "{service:?}: a page in use was given away");
        device.free(service, &next)?;
    }
    Ok(())
}

fn locked_processes_get_memory_too(_observer: &Observer) -> Verdict {
    mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE)?;
    let device = Device::open()?;
    let event = device.event()?;
    let (words, clock) = (device.word_page()?, device.clock_page()?);
    check!(words.can_read()? && clock.is_clock_page()?);
    device.signal(event)?;
    for service in Service::ALL {
        let memory = device.allocate(service, 9)?;
        check!(memory.is_all(0)?);
        memory.fill(1)?;
        device.free(service, &memory)?;
        check!(!memory.can_read()?);
    }
    Ok(())
}
