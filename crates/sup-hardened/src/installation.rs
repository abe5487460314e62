//! [`Installation`]: which files belong to an installation, and whether they are the ones that were packed.
//!
//! A file is known by its name in a table, has to be where the table says, in a folder and as a file that
//! only root may write, and its content has to be the one whose digest the signed manifest holds.
//! Neighbours: `manifest.rs` reads that. Invariant: a file is noted as verified only after all of it held;
//! a failure leaves nothing behind, so that the next attempt starts anew.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::{Errno, pread, retry_on_intr};
use sup_abi::Status;
use sup_signature::{ContentHash, ContentHasher, PublicKey};

use crate::manifest::{MANIFEST, Manifest, manifest_line};
use crate::{Kind, Objects, Refusal, System};

/// Where a file is installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// Programs that users start.
    Bin,
    /// Libraries that programs of others link.
    SharedLib,
    /// What is for this architecture, and for our own programs.
    AppPrivArch,
}

impl Place {
    /// The name that the manifest has for it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Bin => "bin",
            Self::SharedLib => "shared-lib",
            Self::AppPrivArch => "app-priv-arch",
        }
    }
}

/// Whether an installation is whole without a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// It is not.
    Required,
    /// It is.
    Optional,
}

/// A file of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Its name in its folder.
    pub name: &'static str,
    /// Its folder.
    pub place: Place,
    /// Whether it has to be there.
    pub presence: Presence,
}

/// What a package of ours installs.
pub const ENTRIES: &[Entry] = {
    const fn entry(name: &'static str, place: Place, presence: Presence) -> Entry {
        Entry { name, place, presence }
    }
    &[
        entry("supctl", Place::Bin, Presence::Required),
        entry("libsup.so.0", Place::SharedLib, Presence::Required),
        entry("VMMR0.r0", Place::AppPrivArch, Presence::Optional),
        entry("ringtrace.r0", Place::AppPrivArch, Presence::Optional),
    ]
};

/// Below which folder a package of ours installs it; `cargo xtask install` builds with another.
pub const PREFIX: &str = match option_env!("SUP_PREFIX") {
    Some(prefix) => prefix,
    None => "/usr",
};

/// Where each kind of file is, below a prefix.
pub fn places_below(prefix: &Path) -> Vec<(Place, PathBuf)> {
    let place = |place, folder| (place, prefix.join(folder));
    vec![
        place(Place::Bin, "bin"),
        place(Place::SharedLib, "lib"),
        place(Place::AppPrivArch, "lib/supdrv"),
    ]
}

/// How much of a file is read at once.
const PIECE_BYTES: usize = 64 << 10;

/// No path of an installed file has more bytes.
const PATH_BYTES_MAX: usize = 4099;

/// An installation, and what of it was verified by this process.
#[derive(Debug)]
pub struct Installation {
    places: Vec<(Place, PathBuf)>,
    entries: &'static [Entry],
    keys: Vec<PublicKey>,
    state: Mutex<State>,
}

/// Success only: what failed is asked again.
#[derive(Debug, Default)]
struct State {
    folders: BTreeMap<Place, Arc<OwnedFd>>,
    manifest: Option<Arc<Manifest>>,
    files: BTreeSet<&'static str>,
}

impl Installation {
    /// The one of this machine, whose manifest has to be signed by one of `keys`.
    pub fn of_this_machine(keys: Vec<PublicKey>) -> Self {
        Self::new(places_below(Path::new(PREFIX)), ENTRIES, keys)
    }

    /// Another one.
    pub fn new(
        places: Vec<(Place, PathBuf)>,
        entries: &'static [Entry],
        keys: Vec<PublicKey>,
    ) -> Self {
        Self { places, entries, keys, state: Mutex::default() }
    }

    /// Verifies an installed file, once for each process. Corresponds to `SUPR3HardenedVerifyFile`, in a
    /// hardened build.
    ///
    /// # Errors
    /// `VERR_NOT_FOUND` for a file that no table lists, `VERR_BUFFER_OVERFLOW` if its place has too long a
    /// path, `VERR_NOT_SAME_DEVICE` if it is not where the table says, `VERR_PATH_NOT_FOUND`,
    /// `VERR_NOT_A_DIRECTORY` and `VERR_IS_A_DIRECTORY` of what is there instead, `VERR_ACCESS_DENIED` if
    /// others than root may write it, or its content is not what the manifest says.
    pub fn verify_file(&self, file: &Path) -> Result<(), Refusal> {
        let entry = self.entry_of(file)?;
        if self.state().files.contains(entry.name) {
            return Ok(());
        }
        if self.open(entry)?.is_some() {
            self.state().files.insert(entry.name);
        }
        Ok(())
    }

    /// Verifies all files of the table; those that may be missing, and are, pass.
    ///
    /// # Errors
    /// Those of [`Installation::verify_file`], of the first file that fails.
    pub fn verify_all(&self) -> Result<(), Refusal> {
        self.entries.iter().try_for_each(|entry| self.verify_file(&self.path_of(entry)))
    }

    /// Verifies all files of the table, whether or not they were before, and returns those that are there,
    /// open to read.
    ///
    /// # Errors
    /// Those of [`Installation::verify_file`], of the first file that fails.
    pub fn open_all(&self) -> Result<Vec<(&'static Entry, OwnedFd)>, Refusal> {
        let mut opened = Vec::new();
        for entry in self.entries {
            if let Some(file) = self.open(self.entry_of(&self.path_of(entry))?)? {
                self.state().files.insert(entry.name);
                opened.push((entry, file));
            }
        }
        Ok(opened)
    }

    /// Which files were verified: a bit for each entry of the table.
    pub(crate) fn verified(&self) -> u64 {
        let state = self.state();
        let bits = self.entries.iter().zip(0..u64::BITS);
        let bits = bits.filter(|(entry, _)| state.files.contains(entry.name));
        bits.fold(0, |verified, (_, bit)| verified | 1 << bit)
    }

    /// Notes files as verified: those that somebody verified by the same table.
    pub(crate) fn note_verified(&self, bits: u64) {
        let mut state = self.state();
        let entries = self.entries.iter().zip(0..u64::BITS);
        let entries = entries.filter(|(_, bit)| bits >> bit & 1 != 0);
        state.files.extend(entries.map(|(entry, _)| entry.name));
    }

    /// The digest of the table, by which two that were built apart are compared.
    pub(crate) fn table_digest(&self) -> ContentHash {
        let mut text = String::new();
        for entry in self.entries {
            text.push_str(&format!("{} {:?}\n", self.path_of(entry).display(), entry.presence));
        }
        ContentHash::of(text.as_bytes())
    }

    /// Verifies an installed file, again if it was before, and returns what was verified, open to read.
    ///
    /// # Errors
    /// Those of [`Installation::verify_file`]; `VERR_PATH_NOT_FOUND` also if it may be missing, and is.
    pub fn open_file(&self, file: &Path) -> Result<OwnedFd, Refusal> {
        let entry = self.entry_of(file)?;
        self.open(entry)?.ok_or_else(|| not_found(&self.path_of(entry), Errno::NOENT))
    }

    /// The manifest of the files as they are, which packagers sign ([`MANIFEST`]).
    ///
    /// # Errors
    /// `VERR_PATH_NOT_FOUND` if one is missing without which the installation is not whole.
    pub fn manifest_text(&self) -> Result<String, Refusal> {
        let mut text = String::new();
        for entry in self.entries {
            let path = self.path_of(entry);
            match fs::read(&path) {
                Ok(content) => text.push_str(&manifest_line(entry, &content)),
                Err(error)
                    if error.kind() == ErrorKind::NotFound
                        && entry.presence == Presence::Optional => {}
                Err(error) => {
                    let sentence = format!("'{}' cannot be read: {error}", path.display());
                    return Err(Refusal::new(Status::VERR_PATH_NOT_FOUND, sentence));
                }
            }
        }
        Ok(text)
    }

    /// Where the manifest is.
    pub fn manifest_path(&self) -> PathBuf {
        self.folder_of(Place::AppPrivArch).join(MANIFEST)
    }

    /// Where a library of the installation's own is looked for.
    pub fn private_folder(&self) -> &Path {
        self.folder_of(Place::AppPrivArch)
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        // What is noted is noted whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn folder_of(&self, place: Place) -> &Path {
        let found = self.places.iter().find(|(other, _)| *other == place);
        found.map_or(Path::new(""), |(_, path)| path)
    }

    /// Where a file of the table has to be.
    pub fn path_of(&self, entry: &Entry) -> PathBuf {
        self.folder_of(entry.place).join(entry.name)
    }

    /// The entry of a file, if it is that file.
    pub(crate) fn entry_of(&self, file: &Path) -> Result<&'static Entry, Refusal> {
        let refuse = |status, what: &str| {
            Refusal::new(status, format!("'{}' {what}", file.to_string_lossy().escape_debug()))
        };
        // Of a path that ends with a slash nothing is left, which no entry is called.
        let name = file.as_os_str().as_bytes().rsplit(|byte| *byte == b'/').next();
        let entry = self.entries.iter().find(|entry| Some(entry.name.as_bytes()) == name);
        let entry = entry
            .ok_or_else(|| refuse(Status::VERR_NOT_FOUND, "is no file of the installation"))?;
        let path = self.path_of(entry);
        if path.as_os_str().len() > PATH_BYTES_MAX {
            return Err(refuse(Status::VERR_BUFFER_OVERFLOW, "has too long a path"));
        }
        let is_same = || Some(fs::canonicalize(file).ok()? == fs::canonicalize(&path).ok()?);
        if file.as_os_str() != path.as_os_str() && is_same() != Some(true) {
            let what = format!("is not the one that is installed as '{}'", path.display());
            return Err(refuse(Status::VERR_NOT_SAME_DEVICE, &what));
        }
        Ok(entry)
    }

    /// Opens a file and verifies it through that handle; `None` if it may be missing and is.
    fn open(&self, entry: &Entry) -> Result<Option<OwnedFd>, Refusal> {
        let folder = self.folder(entry.place)?;
        let path = self.path_of(entry);
        let Some(file) = open_file(&folder, entry.name, &path, entry.presence)? else {
            return Ok(None);
        };
        let hash = hash(&file, &path)?;
        match self.manifest()?.digest_of(entry) {
            Some(digest) if digest == hash => Ok(Some(file)),
            Some(_) => Err(denied(&path, "is not the file that was packed: its digest differs")),
            None => Err(denied(&path, "is not in the manifest")),
        }
    }

    /// The folder of a place, verified once.
    fn folder(&self, place: Place) -> Result<Arc<OwnedFd>, Refusal> {
        if let Some(folder) = self.state().folders.get(&place) {
            return Ok(folder.clone());
        }
        let path = self.folder_of(place);
        let opened = openat(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
        let folder = opened.map_err(|error| not_found(path, error))?;
        check_writers(&folder, path, Kind::Folder)?;
        let folder = Arc::new(folder);
        self.state().folders.insert(place, folder.clone());
        Ok(folder)
    }

    pub(crate) fn manifest(&self) -> Result<Arc<Manifest>, Refusal> {
        if let Some(manifest) = &self.state().manifest {
            return Ok(manifest.clone());
        }
        let path = self.manifest_path();
        let folder = self.folder(Place::AppPrivArch)?;
        let Some(file) = open_file(&folder, MANIFEST, &path, Presence::Required)? else {
            return Err(denied(&path, "is missing"));
        };
        let manifest = Manifest::decode(&read(&file, &path)?, &self.keys)
            .map_err(|sentence| denied(&path, &sentence))?;
        let manifest = Arc::new(manifest);
        self.state().manifest = Some(manifest.clone());
        Ok(manifest)
    }
}

fn denied(path: &Path, what: &str) -> Refusal {
    Refusal::new(Status::VERR_ACCESS_DENIED, format!("'{}' {what}", path.display()))
}

fn not_found(path: &Path, error: Errno) -> Refusal {
    Refusal::new(
        Status::VERR_PATH_NOT_FOUND,
        format!("'{}' cannot be opened: {error}", path.display()),
    )
}

fn open_file(
    folder: &OwnedFd,
    name: &str,
    path: &Path,
    presence: Presence,
) -> Result<Option<OwnedFd>, Refusal> {
    let flags = OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = match openat(folder, name, flags, Mode::empty()) {
        Ok(file) => file,
        Err(Errno::NOENT) if presence == Presence::Optional => return Ok(None),
        Err(error) => return Err(not_found(path, error)),
    };
    check_writers(&file, path, Kind::File)?;
    Ok(Some(file))
}

/// Root owns it, and no group and nobody else may write; a list that lets somebody shows as the group.
fn check_writers(object: &OwnedFd, path: &Path, kind: Kind) -> Result<(), Refusal> {
    let facts = System
        .facts(object)
        .map_err(|error| denied(path, &format!("cannot be examined: {error}")))?;
    if facts.kind != kind {
        let (status, what) = match kind {
            Kind::Folder => (Status::VERR_NOT_A_DIRECTORY, "is no folder"),
            _ => (Status::VERR_IS_A_DIRECTORY, "is no file"),
        };
        return Err(Refusal::new(status, format!("'{}' {what}", path.display())));
    }
    if !facts.owner.is_root() {
        return Err(denied(
            path,
            &format!("does not belong to root ({facts}); `chown root` mends it"),
        ));
    }
    if facts.mode.intersects(Mode::WGRP | Mode::WOTH) {
        return Err(denied(
            path,
            &format!("may be written by others ({facts}); `chmod go-w` mends it"),
        ));
    }
    Ok(())
}

/// Gives the content of a file in pieces, which stay in a processor's cache.
fn pieces(file: &OwnedFd, path: &Path, mut each: impl FnMut(&[u8])) -> Result<(), Refusal> {
    let mut room = vec![0; PIECE_BYTES];
    let mut offset = 0;
    loop {
        let count = retry_on_intr(|| pread(file, &mut room[..], offset))
            .map_err(|error| denied(path, &format!("cannot be read: {error}")))?;
        match room.get(..count) {
            None | Some([]) => return Ok(()),
            Some(piece) => each(piece),
        }
        offset += count as u64;
    }
}

fn read(file: &OwnedFd, path: &Path) -> Result<Vec<u8>, Refusal> {
    let mut bytes = Vec::new();
    pieces(file, path, |piece| bytes.extend_from_slice(piece))?;
    Ok(bytes)
}

fn hash(file: &OwnedFd, path: &Path) -> Result<ContentHash, Refusal> {
    let mut hasher = ContentHasher::default();
    pieces(file, path, |piece| hasher.add(piece))?;
    Ok(hasher.finish())
}
