//! [`ImageFile`]: a module's file in memory, with room for the request that loads it in front.
//!
//! The file is read to where it is sent from: a copy of a file costs less than the page faults of the memory that
//! it takes. Neighbours: `policy` reads, `module.rs` sends. Invariant: the file is the bytes from [`LEAD`] on.

use std::fs::File;
use std::io::{self, Read};

use sup_abi::IMAGE_BYTES_MAX;
use sup_abi::request::{HEADER_BYTES, LoadModuleIn, LoadModuleOut};
use zerocopy::IntoBytes;

/// What comes before the file in the request.
pub(crate) const LEAD: usize = HEADER_BYTES + size_of::<LoadModuleIn>();
/// The answer is written over the request.
pub(crate) const ANSWER: usize = HEADER_BYTES + size_of::<LoadModuleOut>();
/// By so much the room grows for a file that is longer than it said.
const STEP: usize = 64 << 10;

/// A file, ready to be sent.
#[derive(Debug, Default)]
pub(crate) struct ImageFile {
    /// As words, because packets are aligned so.
    words: Vec<u64>,
    bytes: usize,
}

impl ImageFile {
    /// A copy of what is in memory.
    ///
    /// # Errors
    /// Memory is out.
    pub(crate) fn of(image: &[u8]) -> io::Result<Self> {
        let mut file = Self::default();
        file.make_room(image.len())?;
        file.packet()[LEAD..LEAD + image.len()].copy_from_slice(image);
        file.bytes = image.len();
        Ok(file)
    }

    /// Reads a file to its end, behind what there is; what is longer than any image, only until that shows.
    ///
    /// # Errors
    /// Those of the file, and that memory is out.
    pub(crate) fn append(&mut self, mut file: &File) -> io::Result<()> {
        let expected = file.metadata()?.len().min(IMAGE_BYTES_MAX.into()) as usize;
        // One more, which tells the end.
        self.make_room(expected.saturating_add(1))?;
        while self.bytes <= IMAGE_BYTES_MAX as usize {
            let start = LEAD + self.bytes;
            match file.read(&mut self.words.as_mut_bytes()[start..]) {
                Ok(0) => return Ok(()),
                Ok(read) => self.bytes += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
            if LEAD + self.bytes == self.words.as_bytes().len() {
                self.make_room(STEP)?;
            }
        }
        Ok(())
    }

    /// Sees to it that so many bytes more have room, and the answer too.
    fn make_room(&mut self, more: usize) -> io::Result<()> {
        let bytes = LEAD.saturating_add(self.bytes).saturating_add(more).max(ANSWER);
        let words = bytes.div_ceil(size_of::<u64>());
        let missing = words.saturating_sub(self.words.len());
        self.words
            .try_reserve_exact(missing)
            .map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?;
        self.words.resize(words.max(self.words.len()), 0);
        Ok(())
    }

    /// The file.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.words.as_bytes().get(LEAD..LEAD + self.bytes).unwrap_or_default()
    }

    /// The whole packet, and a little more room.
    pub(crate) fn packet(&mut self) -> &mut [u8] {
        self.words.as_mut_bytes()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn files_come_one_behind_the_other() {
        let mut first = tempfile::tempfile().unwrap();
        let all: Vec<u8> = (0..3 * STEP + 5).map(|index| (index % 251) as u8).collect();
        first.write_all(&all).unwrap();
        io::Seek::rewind(&mut first).unwrap();
        let mut file = ImageFile::default();
        assert_eq!(file.bytes(), b"");
        file.append(&first).unwrap();
        assert_eq!(file.bytes(), all);
        // Read to its end already.
        file.append(&first).unwrap();
        assert_eq!(file.bytes(), all);
        io::Seek::rewind(&mut first).unwrap();
        file.append(&first).unwrap();
        assert_eq!(file.bytes(), [&*all, &*all].concat());
        assert!(file.packet().len() >= LEAD + 2 * all.len());
    }

    /// As files of `/proc` and files that somebody writes to.
    #[test]
    fn a_file_that_is_longer_than_it_says_is_read_to_its_end() {
        let said = File::open("/proc/self/maps").unwrap();
        assert_eq!(said.metadata().unwrap().len(), 0);
        let mut file = ImageFile::default();
        file.append(&said).unwrap();
        assert!(file.bytes().ends_with(b"\n"));
    }

    #[test]
    fn cannot_fill_the_memory_from_a_file_without_an_end() {
        let mut file = ImageFile::default();
        file.append(&File::open("/dev/zero").unwrap()).unwrap();
        let read = file.bytes().len();
        assert!((1..=2 * STEP).contains(&(read - IMAGE_BYTES_MAX as usize)), "{read}");
        // Of one that only says so, no more is kept ready.
        let large = tempfile::tempfile().unwrap();
        large.set_len(1 << 40).unwrap();
        let mut file = ImageFile::default();
        file.append(&large).unwrap();
        assert!(file.packet().len() < LEAD + IMAGE_BYTES_MAX as usize + 2 * STEP);
    }

    #[test]
    fn a_short_file_has_room_for_the_answer() {
        let mut file = ImageFile::of(b"x").unwrap();
        assert!(file.packet().len() >= ANSWER);
        assert_eq!(file.bytes(), b"x");
    }
}
