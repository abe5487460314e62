//! [`Uprobe`]: a probe of this program, taken by the kernel's uprobes, as perf and bpftrace take it.
//!
//! The kernel puts a breakpoint where the probe's note says, and counts the probe's semaphore up. What it writes of a
//! hit is what the tracer in the box writes: time, process and thread, and the five arguments, into a ring that
//! overwrites and that nobody reads. Invariant: the breakpoint is gone when it is dropped.

use std::ffi::{CString, c_void};
use std::hint::black_box;
use std::os::fd::{FromRawFd, OwnedFd};
use std::time::{Duration, Instant};
use std::{fs, io};

use anyhow::{Context, Result, ensure};
use object::read::elf::{ElfFile64, ProgramHeader};
use object::{Endianness, Object, ObjectSection};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

const TYPE: &str = "/sys/bus/event_source/devices/uprobe/type";
const PROGRAM: &str = "/proc/self/exe";

sup_probe::provider! {
    /// Nobody registers it.
    mod uprobed;
    probe hit(first: u64, second: u64, third: u64, fourth: u64, fifth: u64);
}

/// Fires the probe so many times.
#[inline(never)]
pub(super) fn fire(count: u64) -> Duration {
    let start = Instant::now();
    for index in 0..count {
        sup_probe::probe!(uprobed, hit, 1, black_box(index), 2, 3, 4);
    }
    start.elapsed()
}

/// The probe, taken by the kernel.
#[derive(Debug)]
pub(super) struct Uprobe(Vec<Event>);

/// `perf_event_attr`, as of its third version.
#[repr(C)]
#[derive(Default)]
struct Attributes {
    kind: u32,
    bytes: u32,
    config: u64,
    sample_period: u64,
    sample_type: u64,
    read_format: u64,
    flags: u64,
    wakeup: u32,
    breakpoint_type: u32,
    /// The program's path.
    config1: u64,
    /// The place in its file.
    config2: u64,
    branch_sample_type: u64,
    /// Which registers of ring 3 are written.
    sample_registers: u64,
    sample_stack_bytes: u32,
    clock: i32,
}

const _: () = assert!(size_of::<Attributes>() == 96);

/// Time, process and thread, registers of ring 3: `PERF_SAMPLE_TIME`, `_TID`, `_REGS_USER`.
const WHAT: u64 = 1 << 2 | 1 << 1 | 1 << 12;
/// The registers of the five arguments: rsi, rdx, rcx, r8, r9.
const REGISTERS: u64 = 1 << 4 | 1 << 3 | 1 << 2 | 1 << 16 | 1 << 17;
/// As much as ours.
const RING_BYTES: usize = 512 * 4096;

/// An event of the kernel's and its ring.
#[derive(Debug)]
struct Event {
    _file: OwnedFd,
    ring: *mut c_void,
}

impl Drop for Event {
    fn drop(&mut self) {
        // SAFETY: it was mapped with this size, nobody has looked at it, and nobody will.
        let _ = unsafe { munmap(self.ring, RING_BYTES + 4096) };
    }
}

impl Uprobe {
    /// Has the kernel take the probe, for this thread.
    ///
    /// # Errors
    /// The kernel has no uprobes, or does not let this user have them; this program has no such probe.
    pub(super) fn take() -> Result<Self> {
        let places = find("uprobed", "hit")?;
        ensure!(!places.is_empty(), "this program has no note of the probe");
        let events = places.into_iter().map(|(place, semaphore)| take_at(place, semaphore));
        let events = Self(events.collect::<Result<_>>()?);
        ensure!(sup_probe::probe_enabled!(uprobed, hit), "the kernel did not switch the probe on");
        Ok(events)
    }

    /// How many bytes the kernel has written of hits.
    pub(super) fn written(&self) -> u64 {
        /// Where `perf_event_mmap_page` has its `data_head`.
        const HEAD: usize = 1024;
        let head = |event: &Event| {
            let place = event.ring.cast::<u8>().wrapping_add(HEAD).cast::<u64>();
            // SAFETY: the first page of the mapping has that word, aligned; the kernel writes it.
            unsafe { place.read_volatile() }
        };
        self.0.iter().map(head).sum()
    }
}

/// Has the kernel take one place.
fn take_at(place: u64, semaphore: u64) -> Result<Event> {
    let kind = fs::read_to_string(TYPE).context("the kernel has no uprobes")?.trim().parse()?;
    let path = CString::new(fs::canonicalize(PROGRAM)?.into_os_string().into_encoded_bytes())?;
    let attributes = Attributes {
        kind,
        bytes: size_of::<Attributes>() as u32,
        // The place of the semaphore in the file.
        config: semaphore << 32,
        sample_period: 1,
        sample_type: WHAT,
        sample_registers: REGISTERS,
        config1: path.as_ptr().expose_provenance() as u64,
        config2: place,
        ..Attributes::default()
    };
    // This thread, on any processor, in no group; closed in programs that this one starts.
    const PERF_FLAG_FD_CLOEXEC: libc::c_long = 8;
    let [process, cpu, group, flags]: [libc::c_long; 4] = [0, -1, -1, PERF_FLAG_FD_CLOEXEC];
    // SAFETY: the structure is of the size that it says, and its path stays until the call returns.
    let event = unsafe {
        libc::syscall(libc::SYS_perf_event_open, &raw const attributes, process, cpu, group, flags)
    };
    ensure!(event >= 0, "the kernel gives no uprobe: {}", io::Error::last_os_error());
    // SAFETY: the kernel has just made it for us alone.
    let file = unsafe { OwnedFd::from_raw_fd(event as i32) };
    // Without the right to write, the kernel overwrites what is oldest.
    let (bytes, access) = (RING_BYTES + 4096, ProtFlags::READ);
    // SAFETY: the kernel chooses the address, and nobody looks there.
    let ring = unsafe { mmap(std::ptr::null_mut(), bytes, access, MapFlags::SHARED, &file, 0) };
    Ok(Event { _file: file, ring: ring.context("no room for the kernel's ring")? })
}

/// Where the instructions of a probe and its semaphore are in this program's file, by its notes.
fn find(provider: &str, probe: &str) -> Result<Vec<(u64, u64)>> {
    let bytes = fs::read(PROGRAM)?;
    let file = ElfFile64::<Endianness>::parse(&*bytes)?;
    let notes = file.section_by_name(".note.stapsdt").context("no notes")?.data()?;
    let wanted = [provider.as_bytes(), probe.as_bytes()].join(&0);
    let in_file = |address: u64| {
        let segments = file.elf_program_headers().iter();
        let mut found = segments.filter_map(|segment| {
            let start = segment.p_vaddr(Endianness::Little);
            let offset = address.checked_sub(start)?;
            (offset < segment.p_filesz(Endianness::Little)
                && segment.p_type(Endianness::Little) == 1)
                .then(|| offset + segment.p_offset(Endianness::Little))
        });
        found.next().context("a place outside of the file")
    };
    let is_it =
        |names: &[u8]| names.strip_prefix(&*wanted).is_some_and(|rest| rest.first() == Some(&0));
    let of_probe = each_note(notes).filter(|(_, names)| is_it(names));
    of_probe
        .map(|([place, _base, semaphore], _)| Ok((in_file(place)?, in_file(semaphore)?)))
        .collect()
}

/// The three addresses and the names of each note.
fn each_note(mut notes: &[u8]) -> impl Iterator<Item = ([u64; 3], &[u8])> {
    std::iter::from_fn(move || {
        let word = |at: usize| Some(u32::from_le_bytes(*notes.get(at..)?.first_chunk()?) as usize);
        let (name_bytes, bytes) = (word(0)?, word(4)?);
        let start = 12 + name_bytes.next_multiple_of(4);
        let body = notes.get(start..start + bytes)?;
        notes = notes.get(start + bytes.next_multiple_of(4)..).unwrap_or_default();
        let address = |at: usize| Some(u64::from_le_bytes(*body.get(at..)?.first_chunk()?));
        Some(([address(0)?, address(8)?, address(16)?], body.get(24..)?))
    })
}
