//! The records that the guest sends between the output of its programs; tests/guest/init writes them.

use anyhow::{Context, Result, bail};

/// The character that begins a record, RS; the record ends with its line.
const RECORD: u8 = 0x1e;

/// What the guest tells of its job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Record {
    /// The system is set up; with the kernel's release.
    Booted(String),
    /// A program starts; with the name of its run.
    Begin(String),
    /// It ended, and processes of it did not; with a list of them. They were killed.
    LeftBehind(String),
    /// It ended; with its exit status, which is 128 and the signal's number if one ended it.
    End(u8),
    ModuleInserted,
    /// The kernel did not take the module; with the reason.
    ModuleRefused(String),
    /// The module is in, but its device did not appear.
    NoDevice,
    ModuleRemoved,
    /// The module did not go; with the reason.
    ModuleStays(String),
    /// How many objects kmemleak found. Kernels without it send none.
    Leaks(u64),
    /// The job is done; the machine is about to go off.
    Finished,
}

impl Record {
    fn parse(line: &str) -> Result<Self> {
        // A terminal of `vm shell` wants the carriage return.
        let line = line.trim_end_matches('\r');
        let (kind, rest) = line.split_once(' ').unwrap_or((line, ""));
        let rest = rest.trim().to_owned();
        Ok(match kind {
            "booted" => Self::Booted(rest),
            "begin" => Self::Begin(rest),
            "left-behind" => Self::LeftBehind(rest),
            "end" => Self::End(rest.parse().with_context(|| format!("the guest sent '{line}'"))?),
            "module-inserted" => Self::ModuleInserted,
            "module-refused" => Self::ModuleRefused(rest),
            "no-device" => Self::NoDevice,
            "module-removed" => Self::ModuleRemoved,
            "module-stays" => Self::ModuleStays(rest),
            "leaks" => {
                Self::Leaks(rest.parse().with_context(|| format!("the guest sent '{line}'"))?)
            }
            "finished" => Self::Finished,
            _ => bail!("the guest sent a record that is not known: '{line}'"),
        })
    }
}

/// A part of what came over the line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// A program's output.
    Text(Vec<u8>),
    Record(Record),
}

/// Takes the line's bytes as they come, and parts output from records.
#[derive(Debug, Default)]
pub(super) struct Splitter {
    /// The record that has begun, without its first character.
    record: Option<Vec<u8>>,
}

impl Splitter {
    /// # Errors
    /// A record is not one of those that the guest's init sends.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<Vec<Piece>> {
        let mut pieces = Vec::new();
        let mut text = Vec::new();
        for &byte in bytes {
            match (&mut self.record, byte) {
                (None, RECORD) => self.record = Some(Vec::new()),
                (None, _) => text.push(byte),
                (Some(_), b'\n') => {
                    let line = self.record.take().unwrap_or_default();
                    if !text.is_empty() {
                        pieces.push(Piece::Text(std::mem::take(&mut text)));
                    }
                    pieces.push(Piece::Record(Record::parse(&String::from_utf8_lossy(&line))?));
                }
                (Some(line), _) => line.push(byte),
            }
        }
        if !text.is_empty() {
            pieces.push(Piece::Text(text));
        }
        Ok(pieces)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Piece {
        Piece::Text(text.as_bytes().to_vec())
    }

    #[test]
    fn a_record_may_come_in_parts_and_behind_an_unfinished_line() {
        let mut splitter = Splitter::default();
        assert_eq!(splitter.push(b"no newline\x1een").unwrap(), [text("no newline")]);
        assert_eq!(
            splitter.push(b"d 3\r\nmore\n").unwrap(),
            [Piece::Record(Record::End(3)), text("more\n")]
        );
    }

    #[test]
    fn every_record_of_the_init_is_known() {
        let init = include_str!("../../../tests/guest/init");
        let mut known = 0;
        for line in init.lines().filter_map(|line| line.trim().strip_prefix("tell \"")) {
            let line = line.trim_end_matches('"').replace("$status", "1").replace("$count", "2");
            Record::parse(&line).unwrap();
            known += 1;
        }
        assert!(known >= 10, "only {known} records found in tests/guest/init");
    }

    #[test]
    fn cannot_pass_over_a_record_that_is_not_known() {
        for line in ["", "ended 1", "end", "end 256", "leaks many"] {
            assert!(Record::parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn a_reason_keeps_its_words() {
        let refused =
            Record::parse("module-refused insmod: can't insert: Operation not permitted ");
        let reason = "insmod: can't insert: Operation not permitted".to_owned();
        assert_eq!(refused.unwrap(), Record::ModuleRefused(reason));
    }
}
