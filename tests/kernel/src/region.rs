//! [`Region`]: memory to misbehave with.
//!
//! No reference to it ever exists. It is read and written by system calls, which answer instead of dying
//! where nothing is mapped; and by [`Region::load`] and [`Region::store`], single instructions that die.
//! A region owns nothing: mapping and unmapping are what the tests are about.

use std::arch::asm;
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::AsRawFd;

use rustix::io::Errno;
use rustix::mm::{self, MapFlags, MprotectFlags, MremapFlags, ProtFlags};
use sup::{PAGE_SIZE, R3Ptr};

use crate::check::{Verdict, check};

/// Pages of address space.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Region {
    address: u64,
    pages: usize,
}

impl Region {
    /// Memory that the driver said is there.
    pub(crate) fn of_driver(address: R3Ptr, pages: usize) -> Self {
        Self { address: address.get(), pages }
    }

    /// New memory of the process, with a page behind it that nobody can touch.
    pub(crate) fn new(pages: usize) -> Verdict<Self> {
        Self::with_flags(pages, MapFlags::PRIVATE)
    }

    /// The same, with an address of 32 bits.
    pub(crate) fn below_4_gib(pages: usize) -> Verdict<Self> {
        let low = MapFlags::from_bits_retain(libc::MAP_32BIT.cast_unsigned());
        Self::with_flags(pages, MapFlags::PRIVATE | low)
    }

    fn with_flags(pages: usize, flags: MapFlags) -> Verdict<Self> {
        let access = ProtFlags::READ | ProtFlags::WRITE;
        let bytes = (pages + 1) * PAGE_SIZE;
        // SAFETY: without an address and without MAP_FIXED the kernel chooses unused address space.
        let start = unsafe { mm::mmap_anonymous(std::ptr::null_mut(), bytes, access, flags) }?;
        let region = Self { address: start as u64, pages };
        // Not unmapped: the next mapping of a page would be put there.
        Self { address: region.end(), pages: 1 }.protect(MprotectFlags::empty())?;
        Ok(region)
    }

    /// Puts memory of the process where the region is; nothing may be there.
    pub(crate) fn map_anew(&self) -> Verdict {
        let access = ProtFlags::READ | ProtFlags::WRITE;
        let flags = MapFlags::PRIVATE | MapFlags::FIXED_NOREPLACE;
        // SAFETY: the kernel refuses to map where something is.
        let start = unsafe { mm::mmap_anonymous(self.pointer(), self.bytes(), access, flags) }?;
        check!(start == self.pointer(), "the kernel maps at {start:?} instead of {self:?}");
        Ok(())
    }

    pub(crate) fn address(&self) -> u64 {
        self.address
    }

    pub(crate) fn r3(&self) -> R3Ptr {
        R3Ptr::new(self.address)
    }

    pub(crate) fn bytes(&self) -> usize {
        self.pages * PAGE_SIZE
    }

    fn end(&self) -> u64 {
        self.address + self.bytes() as u64
    }

    fn pointer(&self) -> *mut std::ffi::c_void {
        self.address as usize as *mut _
    }

    /// Some of its pages.
    pub(crate) fn part(&self, first: usize, pages: usize) -> Self {
        Self { address: self.address + (first * PAGE_SIZE) as u64, pages }
    }

    /// Each of its pages.
    pub(crate) fn each_page(&self) -> impl Iterator<Item = Self> {
        let whole = *self;
        (0..self.pages).map(move |page| whole.part(page, 1))
    }

    /// # Errors
    /// The kernel's.
    pub(crate) fn unmap(&self) -> Result<(), Errno> {
        // SAFETY: no reference into a region exists.
        unsafe { mm::munmap(self.pointer(), self.bytes()) }
    }

    /// # Errors
    /// The kernel's.
    pub(crate) fn protect(&self, access: MprotectFlags) -> Result<(), Errno> {
        // SAFETY: no reference into a region exists.
        unsafe { mm::mprotect(self.pointer(), self.bytes(), access) }
    }

    /// Tries to make it `bytes` long, moved if need be; returns its address.
    ///
    /// # Errors
    /// The kernel's.
    pub(crate) fn resize(&self, bytes: usize) -> Result<u64, Errno> {
        let flags = MremapFlags::MAYMOVE;
        // SAFETY: no reference into a region exists.
        unsafe { mm::mremap(self.pointer(), self.bytes(), bytes, flags) }.map(|start| start as u64)
    }

    /// Tries to map it a second time.
    ///
    /// # Errors
    /// The kernel's.
    pub(crate) fn map_twice(&self) -> Result<u64, Errno> {
        let flags = MremapFlags::MAYMOVE;
        // SAFETY: an old size of nothing leaves the region as it is, and the kernel chooses the place.
        unsafe { mm::mremap(self.pointer(), 0, self.bytes(), flags) }.map(|start| start as u64)
    }

    /// Tries to move it to where another region is.
    ///
    /// # Errors
    /// The kernel's.
    pub(crate) fn move_to(&self, there: &Self) -> Result<u64, Errno> {
        let (bytes, flags) = (self.bytes(), MremapFlags::MAYMOVE);
        // SAFETY: no reference into either region exists, and the other one is as long.
        let moved = unsafe {
            mm::mremap_fixed(self.pointer(), bytes, there.bytes(), flags, there.pointer())
        };
        moved.map(|start| start as u64)
    }

    /// Whether the kernel can read the first byte of the region on behalf of this process.
    pub(crate) fn can_read(&self) -> Verdict<bool> {
        Self::can_read_at(self.address)
    }

    /// Whether the kernel can read a byte on behalf of this process.
    pub(crate) fn can_read_at(address: u64) -> Verdict<bool> {
        let (_reader, writer) = io::pipe()?;
        Ok(is_there(write_from(&writer, address, 1))?)
    }

    /// Whether the kernel can write the first byte of the region, which is zero afterwards, on behalf of
    /// this process.
    pub(crate) fn can_write(&self) -> Verdict<bool> {
        let (reader, mut writer) = io::pipe()?;
        writer.write_all(&[0])?;
        Ok(is_there(read_to(&reader, self.address, 1))?)
    }

    /// Reads from its start.
    pub(crate) fn get<const N: usize>(&self) -> Verdict<[u8; N]> {
        const { assert!(N <= PAGE_SIZE, "a pipe takes that much at once") };
        let (mut reader, writer) = io::pipe()?;
        write_from(&writer, self.address, N)?;
        let mut bytes = [0; N];
        reader.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    /// Writes so many bytes behind its start.
    pub(crate) fn put(&self, offset: usize, bytes: &[u8]) -> Verdict {
        for (index, chunk) in bytes.chunks(PAGE_SIZE).enumerate() {
            let (reader, mut writer) = io::pipe()?;
            writer.write_all(chunk)?;
            let address = self.address + (offset + index * PAGE_SIZE) as u64;
            let read = read_to(&reader, address, chunk.len())?;
            check!(read == chunk.len(), "the kernel wrote {read} of {} bytes", chunk.len());
        }
        Ok(())
    }

    /// Fills it with a byte.
    pub(crate) fn fill(&self, byte: u8) -> Verdict {
        self.put(0, &vec![byte; self.bytes()])
    }

    /// Whether all of it is that byte.
    pub(crate) fn is_all(&self, byte: u8) -> Verdict<bool> {
        for page in self.each_page() {
            if page.get::<PAGE_SIZE>()? != [byte; PAGE_SIZE] {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Loads its first byte by one instruction; the process dies if nothing is there.
    pub(crate) fn load(&self) -> u8 {
        let byte: u8;
        // SAFETY: the instruction loads a byte that no Rust object has, and changes nothing; where nothing
        // is mapped it ends the process.
        unsafe { asm!("mov {}, [{}]", out(reg_byte) byte, in(reg) self.address, options(nostack)) };
        byte
    }

    /// Stores its first byte by one instruction; the process dies if nothing is there.
    pub(crate) fn store(&self, byte: u8) {
        // SAFETY: the instruction stores a byte that no Rust object has; where nothing is mapped, or only
        // to be read, it ends the process.
        unsafe { asm!("mov [{}], {}", in(reg) self.address, in(reg_byte) byte, options(nostack)) };
    }

    /// Whether the driver's magic stands at its start.
    pub(crate) fn is_clock_page(&self) -> Verdict<bool> {
        Ok(u32::from_ne_bytes(self.get::<4>()?) == sup_abi::SUPGLOBALINFOPAGE_MAGIC)
    }
}

/// Whether a system call found memory.
fn is_there(result: io::Result<usize>) -> io::Result<bool> {
    match result {
        Ok(bytes) => Ok(bytes > 0),
        Err(error) if error.raw_os_error() == Some(libc::EFAULT) => Ok(false),
        Err(error) => Err(error),
    }
}

fn write_from(pipe: &PipeWriter, address: u64, bytes: usize) -> io::Result<usize> {
    // SAFETY: the kernel checks the address, and only reads.
    let written = unsafe { libc::write(pipe.as_raw_fd(), address as usize as *const _, bytes) };
    usize::try_from(written).map_err(|_| io::Error::last_os_error())
}

fn read_to(pipe: &PipeReader, address: u64, bytes: usize) -> io::Result<usize> {
    // SAFETY: the kernel checks the address; what it writes is in a region, which is no Rust object.
    let read = unsafe { libc::read(pipe.as_raw_fd(), address as usize as *mut _, bytes) };
    usize::try_from(read).map_err(|_| io::Error::last_os_error())
}
