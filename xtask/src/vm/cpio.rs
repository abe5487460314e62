//! An archive in the format `newc` of cpio, which the kernel unpacks as its first file system.
//!
//! The format is the kernel's Documentation/driver-api/early-userspace/buffer-format.rst: a header of
//! hexadecimal words, the name, the data, each padded to 4 bytes; a last entry with a name of its own.

use anyhow::{Context, Result};

const MAGIC: &[u8] = b"070701";
const LAST: &str = "TRAILER!!!";
const ALIGNMENT: usize = 4;

const DIRECTORY: u32 = 0o040_000;
const REGULAR: u32 = 0o100_000;

/// An archive that is being written. Everything in it belongs to root and has no date, so that the same
/// files give the same bytes.
#[derive(Debug, Default)]
pub(super) struct Archive {
    bytes: Vec<u8>,
    entries: u32,
}

impl Archive {
    /// Adds a folder; its parents come before it.
    pub(super) fn directory(&mut self, name: &str) -> Result<()> {
        self.entry(name, DIRECTORY | 0o755, 2, &[])
    }

    /// Adds a file that anyone may read, and with `mode` perhaps run.
    pub(super) fn file(&mut self, name: &str, mode: Mode, data: &[u8]) -> Result<()> {
        let permissions = match mode {
            Mode::Data => 0o644,
            Mode::Secret => 0o600,
            Mode::Program => 0o755,
        };
        self.entry(name, REGULAR | permissions, 1, data)
    }

    /// Ends the archive.
    pub(super) fn finish(mut self) -> Result<Vec<u8>> {
        self.entry(LAST, 0, 1, &[])?;
        Ok(self.bytes)
    }

    fn entry(&mut self, name: &str, mode: u32, links: u32, data: &[u8]) -> Result<()> {
        self.entries += 1;
        let size = u32::try_from(data.len())
            .with_context(|| format!("{name} is too large for a cpio archive: 4 GiB or more"))?;
        let name_size = u32::try_from(name.len() + 1).context("a name of 4 GiB")?;
        // inode, mode, uid, gid, links, mtime, size, device (2), special device (2), name, checksum
        let words = [self.entries, mode, 0, 0, links, 0, size, 0, 0, 0, 0, name_size, 0];
        self.bytes.extend_from_slice(MAGIC);
        for word in words {
            self.bytes.extend_from_slice(format!("{word:08x}").as_bytes());
        }
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend_from_slice(data);
        self.pad();
        Ok(())
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(ALIGNMENT), 0);
    }
}

/// What a file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Data,
    /// Data that only its owner may read.
    Secret,
    Program,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<u8> {
        let mut archive = Archive::default();
        archive.directory("etc").unwrap();
        archive.file("etc/job", Mode::Data, b"run\n").unwrap();
        archive.file("init", Mode::Program, b"#!").unwrap();
        archive.finish().unwrap()
    }

    #[test]
    fn an_entry_is_a_header_a_name_and_data_each_padded() {
        let mut archive = Archive::default();
        archive.file("init", Mode::Program, b"#!").unwrap();
        let expected = concat!(
            "070701", "00000001", "000081ed", "00000000", "00000000", "00000001", "00000000",
            "00000002", "00000000", "00000000", "00000000", "00000000", "00000005", "00000000",
            "init\0\0", "#!\0\0",
        );
        assert_eq!(String::from_utf8(archive.bytes).unwrap(), expected);
    }

    #[test]
    fn the_same_files_give_the_same_bytes() {
        assert_eq!(sample(), sample());
        assert_eq!(sample().len() % ALIGNMENT, 0);
    }

    /// Walks the headers as the kernel does. That a kernel unpacks it is shown by every guest that boots.
    #[test]
    fn each_header_leads_to_the_next() {
        const HEADER: usize = 110;
        let bytes = sample();
        let word = |at: usize, index: usize| {
            let digits = &bytes[at + 6 + 8 * index..][..8];
            usize::from_str_radix(std::str::from_utf8(digits).unwrap(), 16).unwrap()
        };
        let (mut at, mut names) = (0, Vec::new());
        while at < bytes.len() {
            assert_eq!(&bytes[at..at + 6], MAGIC);
            let (size, name_size) = (word(at, 6), word(at, 11));
            let name = &bytes[at + HEADER..][..name_size - 1];
            names.push(String::from_utf8(name.to_vec()).unwrap());
            let data = (at + HEADER + name_size).next_multiple_of(ALIGNMENT);
            at = (data + size).next_multiple_of(ALIGNMENT);
        }
        assert_eq!(names, ["etc", "etc/job", "init", LAST]);
    }
}
