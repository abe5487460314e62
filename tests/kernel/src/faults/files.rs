//! What a process does to its descriptors and its memory, while the kernel refuses it memory.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::thread::sleep;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, WaitOptions, waitpid};
use rustix::thread::{CpuSet, sched_setaffinity};
use sup::backend::DEVICE;

use super::injector::Injector;
use super::{End, Trials, exhaust};
use crate::check::{Verdict, check, same};
use crate::device::{Device, Service};
use crate::observer::Observer;
use crate::region::Region;

/// An operation, by name.
type Row = (&'static str, fn(&Injector) -> Verdict<Trials>);

pub(super) const ALL: &[Row] = &[
    ("open", open),
    ("close with all that a session can have", close),
    ("fork", fork),
    ("unmap in part", unmap_in_part),
];

/// Whether a call was refused for want of memory; any other error is a failure.
fn ended<T>(result: io::Result<T>) -> Verdict<(End, Option<T>)> {
    match result {
        Ok(value) => Ok((End::Succeeded, Some(value))),
        Err(error) if Errno::from_io_error(&error) == Some(Errno::NOMEM) => {
            Ok((End::Refused, None))
        }
        Err(error) => Err(error.into()),
    }
}

fn open(injector: &Injector) -> Verdict<Trials> {
    let observer = Observer::open()?;
    let before = observer.look()?;
    let mut options = OpenOptions::new();
    options.read(true).write(true).custom_flags(libc::O_CLOEXEC);
    let trials = exhaust(|nth| {
        let (opened, fault) = injector.refusing(nth, || options.open(DEVICE))?;
        let (end, file) = ended(opened)?;
        same!(observer.sessions()?, before.counts.sessions + u64::from(end == End::Succeeded));
        drop::<Option<File>>(file);
        observer.wait_for(&before)?;
        Device::open()?.event()?;
        Ok((end, fault))
    })?;
    check!(trials.refusals > 0, "{trials}");
    Ok(trials)
}

/// A session with something of everything.
fn rich_device() -> Verdict<(Device, Vec<Region>)> {
    let device = Device::open()?;
    device.event()?;
    let mut regions = vec![device.word_page()?, device.clock_page()?];
    for service in Service::ALL {
        regions.push(device.allocate(service, 3)?);
    }
    super::requests::load(&device)?;
    Ok((device, regions))
}

/// A close takes everything back, whatever is refused: it has nobody to tell.
fn close(injector: &Injector) -> Verdict<Trials> {
    let observer = Observer::open()?;
    let before = observer.look()?;
    exhaust(|nth| {
        let (device, regions) = rich_device()?;
        let ((), fault) = injector.refusing(nth, || drop(device))?;
        same!(observer.look()?.counts, before.counts);
        for region in regions {
            check!(!region.can_read()?, "{region:?} can be read after the close");
        }
        Ok((End::Succeeded, fault))
    })
}

/// A process that does nothing but end.
fn start_child() -> io::Result<Pid> {
    // SAFETY: the process has one thread, see `process.rs`; the child does nothing but end.
    let process = unsafe { libc::fork() };
    if process == 0 {
        // SAFETY: the call takes a number and ends the child.
        unsafe { libc::_exit(0) };
    }
    Pid::from_raw(process)
        .filter(|process| process.as_raw_nonzero().get() > 0)
        .ok_or_else(io::Error::last_os_error)
}

fn end_child(process: Pid) -> Verdict {
    let status = waitpid(Some(process), WaitOptions::empty())?;
    same!(status.and_then(|(_, status)| status.exit_status()), Some(0), "the child");
    // Its stack is the next one's when the kernel has put it aside, which it does some time later.
    sleep(Duration::from_millis(200));
    Ok(())
}

/// Lets the kernel have stacks for new threads put aside. When it has none and is refused the memory for
/// one, it complains of that in its log, and that is nothing of ours. Each processor has its own.
fn put_stacks_aside() -> Verdict {
    let mut first = CpuSet::new();
    first.set(0);
    sched_setaffinity(None, &first)?;
    let children = [start_child()?, start_child()?];
    children.into_iter().try_for_each(end_child)
}

/// A fork that is refused leaves the parent and its session as they were.
fn fork(injector: &Injector) -> Verdict<Trials> {
    put_stacks_aside()?;
    let (device, regions) = rich_device()?;
    for region in &regions[2..] {
        region.fill(0x77)?;
    }
    let before = device.statistics()?;
    let trials = exhaust(|nth| {
        let (process, fault) = injector.refusing(nth, start_child)?;
        let (end, process) = ended(process)?;
        process.map_or(Ok(()), end_child)?;
        same!(device.statistics()?.session, before.session);
        for region in &regions[2..] {
            check!(region.is_all(0x77)?, "{region:?} changed");
        }
        check!(regions[1].is_clock_page()?);
        Ok((end, fault))
    })?;
    check!(trials.refusals > 0, "{trials}");
    Ok(trials)
}

/// Unmapping in the middle splits a mapping, for which the kernel needs memory.
fn unmap_in_part(injector: &Injector) -> Verdict<Trials> {
    let trials = exhaust(|nth| {
        let device = Device::open()?;
        let memory = device.allocate(Service::Low, 5)?;
        let hole = memory.part(2, 1);
        let (unmapped, fault) = injector.refusing(nth, || hole.unmap())?;
        let (end, _) = ended(unmapped.map_err(io::Error::from))?;
        same!(hole.can_read()?, end == End::Refused);
        device.free(Service::Low, &memory)?;
        for page in memory.each_page() {
            check!(!page.can_read()?, "{page:?} can be read after it was freed");
        }
        check!(device.clock_page()?.is_clock_page()?);
        Ok((end, fault))
    })?;
    check!(trials.refusals > 0, "{trials}");
    Ok(trials)
}
