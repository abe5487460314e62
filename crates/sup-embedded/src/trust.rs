//! Whom the driver in this process trusts, and what it demands of modules.
//!
//! A trusted key is a line of 64 hexadecimal digits in a file `*.pub` of [`SYSTEM_FOLDER`], or of the
//! folder `trusted` in the user's own [`config_folder`]. `SUP_MODULE_POLICY` says what is demanded:
//!
//! | value | a module has to be |
//! |---|---|
//! | `unsigned`, or unset | nothing; what it is signed with is shown |
//! | `signed` | signed by a trusted key |
//! | `kernel` | signed by a trusted key and declared kernel-grade, as the kernel's driver demands |
//!
//! Invariant: a file, or a folder, that anybody but its owner may write, or whose owner is neither this
//! user nor root, says nothing here; and of a process with more rights than its user, only root's counts.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::process::{getegid, geteuid, getgid, getuid};
use sup_abi::request::ModuleDemand;
use sup_core::ModulePolicy;
use sup_signature::PublicKey;

/// The variable that says what is demanded.
pub const VARIABLE: &str = "SUP_MODULE_POLICY";
/// Where an administrator puts keys that every user's processes trust.
pub const SYSTEM_FOLDER: &str = "/etc/supdrv/trusted";
/// The folder in [`config_folder`] with the user's own.
pub const USER_FOLDER: &str = "trusted";

/// Who may write: its owner alone.
const OTHERS_WRITE: u32 = 0o022;

/// The user's configuration folder of ours: `$XDG_CONFIG_HOME/supdrv`, else `~/.config/supdrv`. It need
/// not exist. `None` without a home, and for a process with more rights than its user.
pub fn config_folder() -> Option<PathBuf> {
    if getuid() != geteuid() || getgid() != getegid() {
        return None;
    }
    let absolute =
        |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = absolute("XDG_CONFIG_HOME").or_else(|| Some(absolute("HOME")?.join(".config")));
    base.map(|base| base.join("supdrv"))
}

/// The policy that environment and files ask for.
pub(crate) fn policy() -> ModulePolicy {
    let mut policy = ModulePolicy::new(demand(std::env::var_os(VARIABLE).as_deref()));
    let own = config_folder().map(|folder| folder.join(USER_FOLDER));
    for folder in [Some(PathBuf::from(SYSTEM_FOLDER)), own].into_iter().flatten() {
        let keys = trusted_keys(&folder).unwrap_or_else(|error| {
            tracing::warn!(target: "supdrv", %error, "no key of this folder is trusted");
            Vec::new()
        });
        for key in keys {
            if !policy.trust(key) {
                tracing::warn!(target: "supdrv", %key, "there are too many keys: not trusted");
            }
        }
    }
    policy
}

/// What a value of the variable means. What means nothing demands a signature, and not less.
fn demand(value: Option<&std::ffi::OsStr>) -> ModuleDemand {
    match value.map(std::ffi::OsStr::as_encoded_bytes) {
        None | Some(b"unsigned") => ModuleDemand::Nothing,
        Some(b"signed") => ModuleDemand::Signature,
        Some(b"kernel") => ModuleDemand::KernelGrade,
        Some(_) => {
            tracing::warn!(
                target: "supdrv", ?value,
                "{VARIABLE} is neither unsigned, signed nor kernel: taken as signed"
            );
            ModuleDemand::Signature
        }
    }
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
    use std::ffi::OsStr;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_value_without_meaning_demands_a_signature() {
        for (value, meaning) in [
            (None, ModuleDemand::Nothing),
            (Some("unsigned"), ModuleDemand::Nothing),
            (Some("signed"), ModuleDemand::Signature),
            (Some("kernel"), ModuleDemand::KernelGrade),
            (Some(""), ModuleDemand::Signature),
            (Some("Unsigned"), ModuleDemand::Signature),
        ] {
            assert_eq!(demand(value.map(OsStr::new)), meaning, "{value:?}");
        }
    }

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
