//! `supctl module sign`: signs a module, in its file or beside it.
//!
//! Neighbours: `code` looks whether what is declared can be true, `sup-signature` has the block.
//! Invariant: nothing is written unless all of it holds; a file is replaced in one step.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use sup_signature::{Block, DETACHED_SUFFIX, DriverVersion, KERNEL_GRADE, LANDING_PADS, split};
use tempfile::NamedTempFile;
use zerocopy::IntoBytes;

use super::code::Code64;
use super::module_name;
use crate::cli::SignArgs;
use crate::failure::Failure;
use crate::{keys, output};

pub(super) fn sign(args: &SignArgs) -> Result<(), Failure> {
    let file = fs::read(&args.file).map_err(Failure::of_file(&args.file))?;
    let content = content(&file);
    let flags = declared(args, content)?;
    let name = args.name.clone().unwrap_or_else(|| module_name(&args.file));
    let key = match &args.key {
        Some(path) => keys::load(path)?,
        None => keys::user_key()?,
    };
    let driver = args.minimum_driver.unwrap_or(DriverVersion::CURRENT);
    let block = key.sign(content, &name, flags, driver).ok_or_else(|| {
        Failure::Key(format!("no module can have the name '{}'", name.escape_debug()))
    })?;
    let written = write(args, content, &block)?;
    output::fields(&[
        ("module", name),
        ("signed", written.display().to_string()),
        ("key", key.public().in_full().to_string()),
        ("content", format!("{} bytes, sha256 {}", content.len(), block.statement.content_hash)),
        ("declared", declaration(&block)),
        ("driver", format!("at least {driver}")),
    ])
}

/// A file without the signature that it may have; one that is damaged or cut counts as content.
fn content(file: &[u8]) -> &[u8] {
    split(file).map_or(file, |signed| signed.content)
}

/// What the signer declares of the code, in words.
pub(super) fn declaration(block: &Block) -> String {
    let words = [(KERNEL_GRADE, "kernel-grade"), (LANDING_PADS, "landing pads")];
    let words: Vec<_> = words
        .into_iter()
        .filter(|(flag, _)| block.statement.declares(*flag))
        .map(|(_, word)| word)
        .collect();
    if words.is_empty() { "nothing".to_owned() } else { words.join(", ") }
}

/// The flags that are asked for, if the code does not contradict them.
fn declared(args: &SignArgs, content: &[u8]) -> Result<u32, Failure> {
    let unfit = |reasons: Vec<String>| Failure::Unfit { path: args.file.clone(), reasons };
    let code = Code64::of(content).map_err(|error| unfit(vec![error.to_string()]))?;
    let mut flags = 0;
    if args.kernel_grade {
        let findings = code.kernel_grade_findings();
        if !findings.is_empty() {
            return Err(unfit(findings));
        }
        flags |= KERNEL_GRADE;
    }
    if args.landing_pads {
        let missing = code.entries_without_landing_pad();
        if !missing.is_empty() {
            let sentence = format!("these do not begin with endbr64: {}", missing.join(", "));
            return Err(unfit(vec![sentence]));
        }
        flags |= LANDING_PADS;
    }
    Ok(flags)
}

/// Writes the signed module, or the signature beside it; returns where.
fn write(args: &SignArgs, content: &[u8], block: &Block) -> Result<PathBuf, Failure> {
    if args.detached {
        let mut path = args.file.clone().into_os_string();
        path.push(DETACHED_SUFFIX);
        let path = PathBuf::from(path);
        replace(&path, block.as_bytes(), None)?;
        return Ok(path);
    }
    replace(&args.file, &[content, block.as_bytes()].concat(), Some(&args.file))?;
    Ok(args.file.clone())
}

/// Replaces a file, with the permissions of another.
fn replace(path: &Path, bytes: &[u8], like: Option<&Path>) -> Result<(), Failure> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let made = NamedTempFile::new_in(folder.unwrap_or(Path::new("."))).and_then(|mut new| {
        use std::os::unix::fs::PermissionsExt;
        new.write_all(bytes)?;
        let permissions = match like {
            Some(like) => fs::metadata(like)?.permissions(),
            None => fs::Permissions::from_mode(0o644),
        };
        new.as_file().set_permissions(permissions)?;
        new.persist(path).map_err(|error| error.error)
    });
    made.map(drop).map_err(Failure::of_file(path))
}
