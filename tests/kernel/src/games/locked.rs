//! A process's own memory that the driver locks: what counts, what stays where it is, and what becomes of
//! it when the process unmaps it, forks or dies.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;

use rustix::process::{Resource, Rlimit, Signal, setrlimit};
use rustix::thread::CapabilitySet;
use sup::{PAGE_SIZE, Status};

use super::rights::{give_up, locked_kib};
use crate::check::{Stop, Verdict, check, same, tests};
use crate::device::Device;
use crate::observer::Observer;
use crate::process::{Child, End};
use crate::region::Region;
use crate::wait::{State, until};

tests! { "locked":
    locking_and_unlocking_leaves_nothing,
    memory_may_be_locked_more_than_once,
    cannot_lock_what_is_not_there_or_read_only,
    cannot_lock_beyond_the_limit,
    unmapped_memory_stays_locked,
    a_fork_leaves_locked_memory_where_it_is,
    a_killed_process_leaves_nothing_locked,
    the_lock_of_a_killed_process_is_its_sessions,
}

const PAGES: usize = 5;
/// What they count against the limit.
const KIB: u64 = (PAGES * PAGE_SIZE / 1024) as u64;

/// Memory of this process that was written to.
fn memory() -> Verdict<Region> {
    let region = Region::new(PAGES)?;
    region.fill(0x3c)?;
    Ok(region)
}

/// Locks what must be possible to lock.
#[track_caller]
fn lock(device: &Device, region: &Region) -> Verdict<Vec<u64>> {
    device.lock(region)?.map_err(|status| Stop::failed(format_args!("lock {region:?}: {status}")))
}

#[track_caller]
fn unlock(device: &Device, region: &Region) -> Verdict {
    same!(device.unlock(region)?, Status::VINF_SUCCESS, "unlock {region:?}");
    Ok(())
}

/// Where the kernel says that a page of this process is.
fn physical_address(page: &Region) -> Verdict<u64> {
    const FRAME: u64 = (1 << 55) - 1;
    let pagemap = match File::open("/proc/self/pagemap") {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let why =
                "this kernel has no /proc/self/pagemap; CONFIG_PROC_PAGE_MONITOR=y gives it one";
            return Err(Stop::Skipped(why.to_owned()));
        }
        opened => opened?,
    };
    let mut entry = [0; size_of::<u64>()];
    let offset = page.address() / PAGE_SIZE as u64 * entry.len() as u64;
    pagemap.read_exact_at(&mut entry, offset)?;
    Ok((u64::from_ne_bytes(entry) & FRAME) * PAGE_SIZE as u64)
}

fn locking_and_unlocking_leaves_nothing(_observer: &Observer) -> Verdict {
    let device = Device::open()?;
    let region = memory()?;
    let (before, counts) = (locked_kib()?, device.statistics()?.session);
    for _ in 0..200 {
        let addresses = lock(&device, &region)?;
        check!(addresses.iter().all(|address| address % PAGE_SIZE as u64 == 0), "{addresses:x?}");
        same!(locked_kib()?, before + KIB, "VmLck of {PAGES} pages");
        same!(device.statistics()?.session.memory_pages, PAGES as u64);
        unlock(&device, &region)?;
        same!(locked_kib()?, before, "VmLck after the unlock");
    }
    same!(device.statistics()?.session, counts);
    same!(device.unlock(&region)?, Status::VERR_INVALID_PARAMETER, "once more");
    check!(region.is_all(0x3c)?);
    Ok(())
}

fn memory_may_be_locked_more_than_once(_observer: &Observer) -> Verdict {
    let device = Device::open()?;
    let twin = Device::open()?;
    let region = memory()?;
    let before = locked_kib()?;
    let addresses = lock(&device, &region)?;
    same!(lock(&device, &region.part(1, 2))?, addresses[1..3]);
    same!(lock(&twin, &region)?, addresses);
    same!(device.unlock(&region.part(2, 1))?, Status::VERR_INVALID_PARAMETER, "not its start");
    unlock(&device, &region)?;
    unlock(&device, &region.part(1, 2))?;
    same!(device.unlock(&region)?, Status::VERR_INVALID_PARAMETER, "another session's");
    same!(locked_kib()?, before + KIB, "VmLck while one session has it locked");
    drop(twin);
    same!(locked_kib()?, before, "VmLck after the session");
    Ok(())
}

fn cannot_lock_what_is_not_there_or_read_only(_observer: &Observer) -> Verdict {
    let device = Device::open()?;
    let region = memory()?;
    let (before, counts) = (locked_kib()?, device.statistics()?.session);
    let refused = |what: &str| -> Verdict {
        same!(device.lock(&region)?, Err(Status::VERR_LOCK_FAILED), "{what}");
        same!(locked_kib()?, before, "VmLck: {what}");
        same!(device.statistics()?.session, counts, "{what}");
        Ok(())
    };
    let hole = region.part(3, 1);
    hole.protect(rustix::mm::MprotectFlags::READ)?;
    refused("a page that can only be read")?;
    hole.unmap()?;
    refused("a hole")?;
    hole.map_anew()?;
    lock(&device, &region)?;
    unlock(&device, &region)
}

fn cannot_lock_beyond_the_limit(_observer: &Observer) -> Verdict {
    let device = Device::open()?;
    let region = memory()?;
    let more = memory()?;
    let before = locked_kib()?;
    let limit = Some((before + KIB + 4) << 10);
    setrlimit(Resource::Memlock, Rlimit { current: limit, maximum: limit })?;
    give_up(CapabilitySet::IPC_LOCK)?;
    for _ in 0..20 {
        lock(&device, &region)?;
        check!(device.lock(&more)?.is_err(), "{PAGES} pages more than the limit has room for");
        same!(locked_kib()?, before + KIB, "VmLck after the refusal");
        // What is left of it is there still.
        let last = more.part(0, 1);
        lock(&device, &last)?;
        unlock(&device, &last)?;
        unlock(&device, &region)?;
        same!(locked_kib()?, before, "VmLck after the unlock");
    }
    lock(&device, &more)?;
    drop(device);
    same!(locked_kib()?, before, "VmLck after the session");
    Ok(())
}

fn unmapped_memory_stays_locked(_observer: &Observer) -> Verdict {
    let device = Device::open()?;
    let region = memory()?;
    let before = locked_kib()?;
    let addresses = lock(&device, &region)?;
    region.unmap()?;
    same!(locked_kib()?, before + KIB, "VmLck after munmap");
    region.map_anew()?;
    region.fill(0x5a)?;
    for (page, locked) in region.each_page().zip(addresses) {
        check!(physical_address(&page)? != locked, "a locked page was given away");
    }
    unlock(&device, &region)?;
    same!(locked_kib()?, before, "VmLck after the unlock");
    check!(region.is_all(0x5a)?, "the unlock changed what is mapped there now");
    Ok(())
}

fn a_fork_leaves_locked_memory_where_it_is(_observer: &Observer) -> Verdict {
    let device = Device::open()?;
    let region = memory()?;
    let addresses = lock(&device, &region)?;
    let mut child = Child::start(|| {
        check!(region.is_all(0x3c)?, "a child sees other bytes");
        same!(locked_kib()?, 0, "VmLck of a child");
        region.fill(0x77)?;
        // It lives until the parent has written too.
        rustix::process::kill_process(rustix::process::getpid(), Signal::STOP)?;
        check!(region.is_all(0x77)?, "the parent's bytes are the child's");
        Ok(())
    })?;
    until(child.id(), State::Stopped)?;
    check!(region.is_all(0x3c)?, "a child's bytes are the parent's");
    region.fill(0x11)?;
    for (page, locked) in region.each_page().zip(addresses) {
        same!(physical_address(&page)?, locked, "a locked page was moved by a write after a fork");
    }
    child.send(Signal::CONT)?;
    same!(child.wait()?, End::Exited(0));
    child.finish()?;
    unlock(&device, &region)
}

/// A child that has locked memory, and stopped.
fn locker(device: &Device, region: Region) -> Verdict<Child> {
    let child = Child::start(|| {
        lock(device, &region)?;
        rustix::process::kill_process(rustix::process::getpid(), Signal::STOP)?;
        Ok(())
    })?;
    until(child.id(), State::Stopped)?;
    Ok(child)
}

fn a_killed_process_leaves_nothing_locked(observer: &Observer) -> Verdict {
    let before = observer.look()?;
    for _ in 0..10 {
        // Its session is its own alone.
        let (_reader, mut writer) = io::pipe()?;
        let mut child = Child::start(|| {
            let device = Device::open()?;
            let region = memory()?;
            lock(&device, &region)?;
            lock(&device, &region.part(1, 3))?;
            writer.write_all(&[1])?;
            rustix::process::kill_process(rustix::process::getpid(), Signal::STOP)?;
            Ok(())
        })?;
        until(child.id(), State::Stopped)?;
        same!(observer.look()?.counts.memory_blocks, before.counts.memory_blocks + 2);
        child.send(Signal::KILL)?;
        same!(child.wait()?, End::Killed(libc::SIGKILL));
        observer.wait_for(&before)?;
    }
    Ok(())
}

fn the_lock_of_a_killed_process_is_its_sessions(_observer: &Observer) -> Verdict {
    let device = Device::open()?;
    let region = memory()?;
    let counts = device.statistics()?.session;
    let mut child = locker(&device, region)?;
    child.send(Signal::KILL)?;
    same!(child.wait()?, End::Killed(libc::SIGKILL));
    same!(device.statistics()?.session.memory_pages, PAGES as u64);
    // It is found by its address in that process; this one's memory there is another.
    unlock(&device, &region)?;
    same!(device.statistics()?.session, counts);
    check!(region.is_all(0x3c)?);
    same!(locked_kib()?, 0, "VmLck of a process that locked nothing");
    // And the session's end gives back what nobody unlocked.
    let mut child = locker(&device, region)?;
    child.send(Signal::KILL)?;
    same!(child.wait()?, End::Killed(libc::SIGKILL));
    drop(device);
    Ok(())
}
