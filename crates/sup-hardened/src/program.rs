//! [`ProgramName`]: a program of an installation that is started with privileges.
//!
//! It is two files: the start program, which users start, and beside our other private files the library
//! with the program itself. Both are entries of the installation's table for as long as that program runs,
//! and the manifest has to list both: who signs the manifest says what may be started.
//!
//! Neighbours: `installation.rs` verifies the files, crate `sup-start` starts the program. Invariant: a name
//! leads to no other folder than that of its entry.

use std::fmt;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use sup_abi::Status;
use sup_signature::PublicKey;

use crate::installation::{ENTRIES, Entry, Installation, PREFIX, Place, Presence, places_below};
use crate::{Objects, Refusal, System};

/// The name of a program: 1 to 63 letters, digits, `_`, `-` and `.`, of which the first is a letter, a digit
/// or `_`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProgramName(String);

impl ProgramName {
    /// The bytes that the longest name has.
    pub const BYTES_MAX: usize = 63;

    /// The name in these bytes; `None` if they are none.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
        let (first, rest) = bytes.split_first()?;
        let is_name = bytes.len() <= Self::BYTES_MAX
            && is_plain(first)
            && rest.iter().all(|byte| is_plain(byte) || matches!(byte, b'-' | b'.'));
        is_name.then(|| Self(bytes.iter().map(|byte| char::from(*byte)).collect()))
    }

    /// It.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The file name of the library that the program is in.
    pub fn library(&self) -> String {
        format!("{self}.so")
    }

    /// The table of an installation with this program. It stays for as long as the process.
    pub fn entries(&self) -> &'static [Entry] {
        entries_with(std::slice::from_ref(self))
    }
}

/// The tables that were made, by their programs.
static TABLES: Mutex<Vec<(Vec<ProgramName>, &'static [Entry])>> = Mutex::new(Vec::new());

/// The table of an installation with these programs. It stays for as long as the process, and is made once.
pub fn entries_with(programs: &[ProgramName]) -> &'static [Entry] {
    // Nothing below panics between two changes, so what a thread that did left is whole.
    let mut tables = TABLES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, entries)) = tables.iter().find(|(of, _)| of == programs) {
        return entries;
    }
    let entries = &*made_for(programs).leak();
    tables.push((programs.to_vec(), entries));
    entries
}

fn made_for(programs: &[ProgramName]) -> Vec<Entry> {
    let mut entries = ENTRIES.to_vec();
    for program in programs {
        let own = [(program.0.clone(), Place::Bin), (program.library(), Place::AppPrivArch)];
        for (name, place) in own {
            if !entries.iter().any(|entry| entry.name == name && entry.place == place) {
                entries.push(Entry { name: name.leak(), place, presence: Presence::Required });
            }
        }
    }
    entries
}

impl fmt::Display for ProgramName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Installation {
    /// The one of this machine with a program that is started with privileges, whose manifest has to be signed
    /// by one of `keys`.
    pub fn of_program(program: &ProgramName, keys: Vec<PublicKey>) -> Self {
        Self::new(places_below(Path::new(PREFIX)), program.entries(), keys)
    }

    /// The programs that the manifest lists.
    ///
    /// # Errors
    /// Those of [`Installation::verify_file`], of the manifest.
    pub fn programs(&self) -> Result<Vec<ProgramName>, Refusal> {
        let manifest = self.manifest()?;
        let names =
            manifest.names(Place::Bin).filter_map(|name| ProgramName::parse(name.as_bytes()));
        Ok(names
            .filter(|name| {
                let library = name.library();
                manifest.names(Place::AppPrivArch).any(|other| other == library)
            })
            .collect())
    }

    /// Verifies that the program which runs is the start program of `program`. `opened` is what
    /// [`Installation::open_all`] answered, `running` the path of the program that runs and the file itself.
    ///
    /// # Errors
    /// `VERR_NOT_FOUND` if the table has no such program, `VERR_NOT_SAME_DEVICE` if another file runs than
    /// the one that is installed, `VERR_ACCESS_DENIED` if nobody can tell.
    pub fn verify_running(
        &self,
        program: &ProgramName,
        opened: &[(&'static Entry, OwnedFd)],
        (path, running): (&Path, &OwnedFd),
    ) -> Result<(), Refusal> {
        let find = |place, name: &str| {
            opened.iter().find(|(entry, _)| entry.place == place && entry.name == name)
        };
        let executable = find(Place::Bin, program.as_str());
        let library = find(Place::AppPrivArch, &program.library());
        let (Some((entry, installed)), Some(_)) = (executable, library) else {
            let sentence = format!("'{program}' is no program of the installation");
            return Err(Refusal::new(Status::VERR_NOT_FOUND, sentence));
        };
        // The place first: a link that somebody made of the same file is another one.
        self.entry_of(path)?;
        let identity = |object: &OwnedFd| {
            System.facts(object).map(|facts| facts.identity).map_err(|error| {
                let sentence = format!("'{}' cannot be examined: {error}", path.display());
                Refusal::new(Status::VERR_ACCESS_DENIED, sentence)
            })
        };
        if identity(installed)? == identity(running)? {
            return Ok(());
        }
        let sentence = format!(
            "'{}' is not the program that is installed as '{}'",
            path.display(),
            self.path_of(entry).display()
        );
        Err(Refusal::new(Status::VERR_NOT_SAME_DEVICE, sentence))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cannot_be_a_name_that_leads_elsewhere() {
        for name in ["a", "vm", "_vm.2-x", &"n".repeat(ProgramName::BYTES_MAX)] {
            let parsed = ProgramName::parse(name.as_bytes()).unwrap();
            assert_eq!(parsed.as_str(), name);
        }
        let long = "n".repeat(ProgramName::BYTES_MAX + 1);
        for name in ["", ".", "..", ".a", "-a", "a/b", "/a", "a b", "a\n", "\u{e4}", "a\0", &long] {
            assert_eq!(ProgramName::parse(name.as_bytes()), None, "{name:?}");
        }
    }

    #[test]
    fn a_program_adds_two_entries_once() {
        let entries = |name: &str| ProgramName::parse(name.as_bytes()).unwrap().entries();
        let vm = entries("vm");
        assert_eq!(vm.len(), ENTRIES.len() + 2);
        assert_eq!((vm[ENTRIES.len()].name, vm[ENTRIES.len()].place), ("vm", Place::Bin));
        let library = vm[ENTRIES.len() + 1];
        assert_eq!((library.name, library.place), ("vm.so", Place::AppPrivArch));
        assert_eq!(library.presence, Presence::Required);
        assert_eq!(entries("supctl").len(), ENTRIES.len() + 1, "it is there already");
        assert!(std::ptr::eq(entries("vm"), vm), "asking again takes no memory");
    }
}
