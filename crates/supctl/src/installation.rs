//! `supctl installation`: makes the manifest of an installation's files, and verifies the files by it.
//!
//! Neighbours: `sup-hardened` has the table and its rules. Invariant: a manifest is written whole or not at
//! all, and `verify` succeeds only if every file of the table passed.

use std::fs::{self, DirBuilder, Permissions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;

use sup::trust;
use sup_hardened::{ENTRIES, Installation, MANIFEST, entries_with, places_below};
use sup_signature::DriverVersion;
use tempfile::NamedTempFile;
use zerocopy::IntoBytes;

use crate::cli::{InstallationCommand, SignFilesArgs, VerifyFilesArgs};
use crate::failure::Failure;
use crate::{keys, output};

pub(crate) fn run(command: &InstallationCommand) -> Result<(), Failure> {
    match command {
        InstallationCommand::Sign(args) => sign(args),
        InstallationCommand::Verify(args) => verify(args),
    }
}

fn sign(args: &SignFilesArgs) -> Result<(), Failure> {
    let entries = entries_with(&args.programs);
    let installation = Installation::new(places_below(&args.prefix), entries, Vec::new());
    let text = installation.manifest_text().map_err(Failure::Installation)?;
    let key = keys::load(&args.key)?;
    let block = key.sign(text.as_bytes(), MANIFEST, 0, DriverVersion::CURRENT);
    let block = block.ok_or_else(|| Failure::Key("the manifest cannot be signed".to_owned()))?;
    let path = installation.manifest_path();
    write(&path, &[text.as_bytes(), block.as_bytes()].concat())?;
    output::line(path.display())
}

/// Writes a file that all may read, and the folder that it is in.
fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    if !folder.is_dir() {
        let made = DirBuilder::new().recursive(true).mode(0o755).create(folder);
        // Whatever this user's mask is: who may write the folder may exchange the manifest.
        made.and_then(|()| fs::set_permissions(folder, Permissions::from_mode(0o755)))
            .map_err(Failure::of_file(folder))?;
    }
    let made = NamedTempFile::new_in(folder).and_then(|mut new| {
        new.write_all(bytes)?;
        new.as_file().set_permissions(Permissions::from_mode(0o644))?;
        new.persist(path).map_err(|error| error.error)
    });
    made.map(drop).map_err(Failure::of_file(path))
}

fn verify(args: &VerifyFilesArgs) -> Result<(), Failure> {
    let keys = match &args.key {
        Some(path) => trust::keys_in(path),
        None => trust::trusted_keys(Path::new(trust::SYSTEM_FOLDER)),
    };
    let keys = keys.map_err(|error| Failure::Key(error.to_string()))?;
    let places = || places_below(&args.prefix);
    // A manifest that says nothing is refused with the first file.
    let programs = Installation::new(places(), ENTRIES, keys.clone()).programs();
    let entries = entries_with(&programs.unwrap_or_default());
    let installation = Installation::new(places(), entries, keys);
    let mut first = None;
    for (entry, path) in entries.iter().map(|entry| (entry, installation.path_of(entry))) {
        match installation.verify_file(&path) {
            Ok(()) if path.exists() => output::line(format_args!("{}: ok", path.display()))?,
            Ok(()) => output::line(format_args!("{}: not installed", entry.name))?,
            Err(refusal) => {
                output::line(&refusal)?;
                first.get_or_insert(refusal);
            }
        }
    }
    first.map_or(Ok(()), |refusal| Err(Failure::Installation(refusal)))
}
