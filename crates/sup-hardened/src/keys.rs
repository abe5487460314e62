//! Whose signatures count on this machine: the files with trusted keys.
//!
//! Neighbours: `installation.rs` asks for who may have signed a manifest, and `sup-embedded` for who may have
//! signed modules. Invariant: a file, or a folder, that others than root and this user can have written says
//! nothing.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::process::geteuid;
use sup_signature::PublicKey;

/// Where an administrator puts keys that every user's processes trust.
pub const SYSTEM_FOLDER: &str = "/etc/supdrv/trusted";

/// Who may write: its owner alone.
const OTHERS_WRITE: u32 = 0o022;

/// The keys of [`SYSTEM_FOLDER`]: none, if somebody else than root can have written one.
pub fn system_keys() -> Vec<PublicKey> {
    trusted_keys(Path::new(SYSTEM_FOLDER)).unwrap_or_default()
}

/// The keys in the files `*.pub` of a folder, in the order of the files' names. A folder that does not
/// exist has none.
///
/// # Errors
/// The folder, or a file, cannot be read or may be written by others; with its path.
pub fn trusted_keys(folder: &Path) -> io::Result<Vec<PublicKey>> {
    if !folder.try_exists()? {
        return Ok(Vec::new());
    }
    check_owner(folder)?;
    let mut files: Vec<PathBuf> = fs::read_dir(folder)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<io::Result<_>>()?;
    files.retain(|path| path.extension().is_some_and(|extension| extension == "pub"));
    files.sort();
    let mut keys = Vec::new();
    for file in files {
        check_owner(&file)?;
        keys.extend(keys_in(&file)?);
    }
    Ok(keys)
}

/// The keys in one file: one a line, empty lines and those that begin with `#` aside.
///
/// # Errors
/// The file cannot be read, or a line is no key; with its path.
pub fn keys_in(file: &Path) -> io::Result<Vec<PublicKey>> {
    let wrong =
        |error: &dyn std::fmt::Display| io::Error::other(format!("{}: {error}", file.display()));
    let text = fs::read_to_string(file).map_err(|error| wrong(&error))?;
    let lines = text.lines().map(str::trim);
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            PublicKey::from_hex(line.as_bytes())
                .ok_or_else(|| wrong(&"a line is not a key of 64 hexadecimal digits"))
        })
        .collect()
}

/// Whether what is at `path` can have been written by this user or root only.
///
/// # Errors
/// Its path, and who else can have.
pub fn check_owner(path: &Path) -> io::Result<()> {
    let metadata = fs::metadata(path)?;
    let wrong = |what: &str| io::Error::other(format!("{}: {what}", path.display()));
    if metadata.uid() != 0 && metadata.uid() != geteuid().as_raw() {
        return Err(wrong("belongs to somebody who is neither this user nor root"));
    }
    if metadata.mode() & OTHERS_WRITE != 0 {
        return Err(wrong("may be written by others than its owner; `chmod go-w` helps"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn keys_come_from_the_files_that_are_called_so() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name, text: String| fs::write(folder.path().join(name), text).unwrap();
        write("b.pub", format!("# mine\n\n {}\n{}", "0b".repeat(32), "0C".repeat(32)));
        write("a.pub", "0a".repeat(32));
        write("a.txt", "no key".to_owned());
        let keys = trusted_keys(folder.path()).unwrap();
        assert_eq!(keys, [0xa, 0xb, 0xc].map(|byte| PublicKey([byte; 32])));
        write("c.pub", "0b".repeat(31));
        assert!(trusted_keys(folder.path()).unwrap_err().to_string().contains("c.pub: a line"));
        assert!(trusted_keys(&folder.path().join("none")).unwrap().is_empty());
    }

    #[test]
    fn cannot_trust_what_others_can_write() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.pub");
        fs::write(&file, "0a".repeat(32)).unwrap();
        let chmod = |path: &Path, mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        };
        for (path, mode) in [(&*file, 0o666), (&*file, 0o660), (folder.path(), 0o777)] {
            chmod(path, mode);
            let error = trusted_keys(folder.path()).unwrap_err().to_string();
            assert!(error.contains("may be written by others"), "{mode:o}: {error}");
            chmod(path, 0o700);
        }
        assert_eq!(trusted_keys(folder.path()).unwrap().len(), 1);
    }
}
