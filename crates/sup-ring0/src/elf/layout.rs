//! The loadable segments of an image: where each one goes and what the file holds of it.
//!
//! Three kinds of number meet here. A *file offset* counts from the beginning of the file. An
//! *address* is what the linker gave out, and what every table of the file uses. An *image offset*
//! counts from the first page of the image in memory: address minus [`Layout::origin`].
//! A [`Layout`] is the only thing that translates between them.

use core::ops::Range;

use sup_alloc::Vec;

use super::error::ElfError;
use super::format::{PF_W, PF_X, PT_LOAD, ProgramHeader};

/// The size of a page, the unit of protection.
pub const PAGE_SIZE: usize = 4096;

/// The largest image in memory.
pub const MAX_IMAGE_SIZE: usize = 16 << 20;

/// The most loadable segments an image may have. Linkers make four or five.
const MAX_SEGMENTS: usize = 16;

const PAGE_MASK: u64 = PAGE_SIZE as u64 - 1;

/// What code may do with the pages of a segment. Writable and executable is no choice.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Protection {
    /// Constants.
    Read,
    /// Variables.
    ReadWrite,
    /// Code.
    ReadExecute,
}

/// A run of pages of an image with one protection.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Segment {
    /// The image offsets, whole pages. No two segments share a page.
    pub pages: Range<usize>,
    /// The protection that the pages get once the image has been relocated.
    pub protection: Protection,
}

/// A loadable segment, to the byte.
#[derive(Debug)]
pub(super) struct Load<'a> {
    /// The addresses it occupies in memory.
    pub(super) addresses: Range<u64>,
    /// What the file holds of it, from the first address on; zeros follow.
    pub(super) contents: &'a [u8],
    pub(super) protection: Protection,
}

/// The loadable segments of an image, in the order of their addresses.
#[derive(Debug)]
pub(super) struct Layout<'a> {
    /// On the heap, because the stack of ring 0 is short.
    loads: Vec<Load<'a>>,
    /// The address of the image's first page.
    origin: u64,
    /// The whole pages from there to the end of the last segment.
    size: usize,
}

impl<'a> Layout<'a> {
    pub(super) fn parse(file: &'a [u8], headers: &[ProgramHeader]) -> Result<Self, ElfError> {
        let mut loads: Vec<Load<'a>> = Vec::new();
        for (index, header) in headers.iter().enumerate() {
            if header.kind.get() != PT_LOAD || header.memory_size.get() == 0 {
                continue;
            }
            let load = Load::parse(file, index, header)?;
            if let Some(previous) = loads.last() {
                if load.addresses.start < previous.addresses.end {
                    return Err(ElfError::SegmentOrder { index, address: load.addresses.start });
                }
                if load.first_page() <= previous.last_page() {
                    return Err(ElfError::SegmentSharesPage { index, page: load.first_page() });
                }
            }
            if loads.len() == MAX_SEGMENTS {
                return Err(ElfError::TooManySegments { limit: MAX_SEGMENTS });
            }
            loads.try_push(load)?;
        }
        let (Some(first), Some(last)) = (loads.first(), loads.last()) else {
            return Err(ElfError::NoSegment);
        };
        let origin = first.first_page();
        // The distance of two pages is a multiple of the page size and at most 2^64 - 2 pages.
        let size = last.last_page().saturating_sub(origin).saturating_add(PAGE_SIZE as u64);
        match usize::try_from(size) {
            Ok(size) if size <= MAX_IMAGE_SIZE => Ok(Self { loads, origin, size }),
            _ => Err(ElfError::ImageTooLarge { size }),
        }
    }

    pub(super) fn size(&self) -> usize {
        self.size
    }

    pub(super) fn origin(&self) -> u64 {
        self.origin
    }

    pub(super) fn loads(&self) -> &[Load<'a>] {
        &self.loads
    }

    /// The image offset of an address, if it lies in the image or at its very end.
    pub(super) fn offset(&self, address: u64) -> Option<usize> {
        let offset = usize::try_from(address.checked_sub(self.origin)?).ok()?;
        (offset <= self.size).then_some(offset)
    }

    /// The segment that holds all of `size` bytes from `address`.
    pub(super) fn load_of(&self, address: u64, size: u64) -> Option<&Load<'a>> {
        let end = address.checked_add(size)?;
        self.loads
            .iter()
            .find(|load| load.addresses.contains(&address) && end <= load.addresses.end)
    }

    /// What the file holds from `address` to the end of the segment.
    pub(super) fn contents_from(&self, address: u64) -> Option<&'a [u8]> {
        let load = self.load_of(address, 0)?;
        let start = usize::try_from(address.checked_sub(load.addresses.start)?).ok()?;
        load.contents.get(start..)
    }

    /// The `size` bytes that the file holds for `address`.
    pub(super) fn contents(&self, address: u64, size: u64) -> Option<&'a [u8]> {
        self.contents_from(address)?.get(..usize::try_from(size).ok()?)
    }

    pub(super) fn segments(&self) -> impl Iterator<Item = Segment> {
        self.loads.iter().filter_map(|load| {
            let start = self.offset(load.first_page())?;
            let end = self.offset(load.last_page())?.checked_add(PAGE_SIZE)?;
            Some(Segment { pages: start..end, protection: load.protection })
        })
    }

    /// The whole pages that `PT_GNU_RELRO` asks to be made read-only, as image offsets.
    pub(super) fn relro(&self, header: &ProgramHeader) -> Result<Option<Range<usize>>, ElfError> {
        let (address, size) = (header.address.get(), header.memory_size.get());
        if size == 0 {
            return Ok(None);
        }
        self.relro_pages(address, size).ok_or(ElfError::RelroOutside { address, size })
    }

    fn relro_pages(&self, address: u64, size: u64) -> Option<Option<Range<usize>>> {
        let load = self.loads.iter().find(|load| load.addresses.contains(&address))?;
        let end = address.checked_add(size)?;
        // Linkers round the end up to a page, beyond the end of the segment proper.
        let limit = load.last_page().checked_add(PAGE_SIZE as u64)?;
        if load.protection != Protection::ReadWrite || end > limit {
            return None;
        }
        // The part of a page is left writable, since variables may have the rest of it; but in
        // front of the segment's first byte there is nothing.
        let start = if address == load.addresses.start {
            load.first_page()
        } else {
            page_of(address.checked_add(PAGE_MASK)?)
        };
        let range = self.offset(start)?..self.offset(page_of(end))?;
        Some((!range.is_empty()).then_some(range))
    }
}

impl<'a> Load<'a> {
    fn parse(file: &'a [u8], index: usize, header: &ProgramHeader) -> Result<Self, ElfError> {
        let (offset, file_size) = (header.offset.get(), header.file_size.get());
        let (address, memory_size) = (header.address.get(), header.memory_size.get());
        let alignment = header.alignment.get();

        let end = address
            .checked_add(memory_size)
            // The page behind the last one needs an address too.
            .filter(|end| end.checked_add(PAGE_MASK).is_some())
            .ok_or(ElfError::SegmentWraps { index, address, size: memory_size })?;
        if file_size > memory_size {
            return Err(ElfError::SegmentFileSize { index, file_size, memory_size });
        }
        let contents = slice(file, offset, file_size).ok_or(ElfError::SegmentOutsideFile {
            index,
            offset,
            size: file_size,
            available: file.len(),
        })?;
        // 0 and 1 both mean that the segment may lie anywhere.
        let unit = alignment.max(1);
        let is_aligned = (address ^ offset) & unit.wrapping_sub(1) == 0;
        if !unit.is_power_of_two() || unit > PAGE_SIZE as u64 || !is_aligned {
            return Err(ElfError::SegmentAlignment { index, address, offset, alignment });
        }
        let flags = header.flags.get();
        let protection = match (flags & PF_W != 0, flags & PF_X != 0) {
            (false, false) => Protection::Read,
            (true, false) => Protection::ReadWrite,
            (false, true) => Protection::ReadExecute,
            (true, true) => return Err(ElfError::SegmentWritableExecutable { index }),
        };
        Ok(Self { addresses: address..end, contents, protection })
    }

    /// The address of the page that holds the segment's first byte.
    fn first_page(&self) -> u64 {
        page_of(self.addresses.start)
    }

    /// The address of the page that holds the segment's last byte. No segment is empty.
    fn last_page(&self) -> u64 {
        page_of(self.addresses.end.saturating_sub(1))
    }
}

/// The address of the page that an address lies in.
fn page_of(address: u64) -> u64 {
    address & !PAGE_MASK
}

/// `size` bytes of `file` from `offset`, if it has them.
pub(super) fn slice(file: &[u8], offset: u64, size: u64) -> Option<&[u8]> {
    let start = usize::try_from(offset).ok()?;
    let end = usize::try_from(offset.checked_add(size)?).ok()?;
    file.get(start..end)
}
