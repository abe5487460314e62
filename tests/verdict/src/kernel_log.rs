//! [`KernelLog`]: what the kernel logs from a moment on.
//!
//! Invariant: a line that the kernel has forgotten before it was read is an error, and not missing.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;

use crate::Verdict;

/// The kernel's log from a moment on.
#[derive(Debug)]
pub struct KernelLog(File);

impl KernelLog {
    /// From now on.
    ///
    /// # Errors
    /// The log cannot be read: only root may.
    pub fn from_now() -> Verdict<Self> {
        let flags = libc::O_NONBLOCK;
        let mut file = OpenOptions::new().read(true).custom_flags(flags).open("/dev/kmsg")?;
        file.seek(SeekFrom::End(0))?;
        Ok(Self(file))
    }

    /// The lines since then, or since the last look.
    ///
    /// # Errors
    /// Those of the file.
    pub fn lines(&mut self) -> Verdict<Vec<String>> {
        let mut lines = Vec::new();
        let mut record = [0; 8192];
        loop {
            match self.0.read(&mut record) {
                Ok(length) => {
                    // `LEVEL,NUMBER,TIME,FLAGS;LINE`, and lines about it.
                    let text = String::from_utf8_lossy(&record[..length]);
                    let line = text.split_once(';').and_then(|(_, text)| text.lines().next());
                    lines.extend(line.map(str::to_owned));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(lines),
                Err(error) => return Err(error.into()),
            }
        }
    }
}
