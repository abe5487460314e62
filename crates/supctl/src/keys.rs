//! The user's signing key: a file that only this user can read, made when it is first needed.
//!
//! `signing.key` in the configuration folder holds the secret in 64 hexadecimal digits. Its public half
//! stands in the folder `trusted` beside it, so that this user's own drivers trust it.
//!
//! Neighbours: `sup::trust` reads public keys. Invariant: a secret that anybody else could have read or
//! written is not used, and a secret is never printed or overwritten.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use sup::trust;
use sup_signature::PublicKey;
use sup_signature::sign::SigningKey;

use crate::failure::Failure;

const SECRET_FILE: &str = "signing.key";
const PUBLIC_FILE: &str = "signing.pub";

/// Where the user's key is, or would be.
///
/// # Errors
/// There is no home.
pub(crate) fn user_key_path() -> Result<PathBuf, Failure> {
    let folder = trust::config_folder().ok_or_else(|| {
        Failure::Key("there is no home to keep a key in: set HOME, or name a file".to_owned())
    })?;
    Ok(folder.join(SECRET_FILE))
}

/// The user's key, which is made if there is none.
///
/// # Errors
/// It cannot be made, or it is not to be trusted.
pub(crate) fn user_key() -> Result<SigningKey, Failure> {
    let path = user_key_path()?;
    match fs::symlink_metadata(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => create_user_key(),
        _ => load(&path),
    }
}

/// Makes the user's key, and has this user's own drivers trust it.
///
/// # Errors
/// There is one, or it cannot be made.
pub(crate) fn create_user_key() -> Result<SigningKey, Failure> {
    let path = user_key_path()?;
    let key = create(&path)?;
    let folder = path.with_file_name(trust::USER_FOLDER);
    make_folder(&folder)?;
    let public = folder.join(PUBLIC_FILE);
    fs::write(&public, public_line(&key.public())).map_err(Failure::of_file(&public))?;
    Ok(key)
}

/// Makes a key in a new file.
///
/// # Errors
/// There is such a file, it cannot be made, or the system has no random numbers.
pub(crate) fn create(path: &Path) -> Result<SigningKey, Failure> {
    let mut secret = [0; 32];
    getrandom::fill(&mut secret)
        .map_err(|error| Failure::Key(format!("the system has no random numbers: {error}")))?;
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        make_folder(folder)?;
    }
    let digits: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| writeln!(file, "{digits}"))
        .map_err(Failure::of_file(path))?;
    Ok(SigningKey::from_secret(&secret))
}

/// Reads a key file.
///
/// # Errors
/// It cannot be read, is no key, or others can read or write it.
pub(crate) fn load(path: &Path) -> Result<SigningKey, Failure> {
    let wrong = |what: &str| Failure::Key(format!("{}: {what}", path.display()));
    trust::check_owner(path).map_err(|error| match error.raw_os_error() {
        Some(_) => Failure::of_file(path)(error),
        None => Failure::Key(error.to_string()),
    })?;
    let mode = fs::metadata(path).map_err(Failure::of_file(path))?.mode();
    if mode & 0o077 != 0 {
        return Err(wrong(
            "others may read this secret; make a new key, or `chmod 600` if nobody did",
        ));
    }
    let text = fs::read_to_string(path).map_err(Failure::of_file(path))?;
    // A secret has the form of a public key.
    let secret = PublicKey::from_hex(text.trim().as_bytes());
    let PublicKey(secret) = secret.ok_or_else(|| wrong("not a key of 64 hexadecimal digits"))?;
    Ok(SigningKey::from_secret(&secret))
}

/// A public key as a file of trusted keys has it.
pub(crate) fn public_line(key: &PublicKey) -> String {
    format!("{}\n", key.in_full())
}

fn make_folder(folder: &Path) -> Result<(), Failure> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(Failure::of_file(folder))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_key_is_made_once_and_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/signing.key");
        let key = create(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(load(&path).unwrap().public(), key.public());
        assert!(create(&path).is_err(), "a key is never overwritten");
        assert_eq!(load(&path).unwrap().public(), key.public());
    }

    #[test]
    fn cannot_use_a_key_that_others_can_read_or_that_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("signing.key");
        create(&path).unwrap();
        for mode in [0o640, 0o604, 0o620, 0o602] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            assert!(load(&path).is_err(), "{mode:o}");
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert!(load(&path).is_ok());
        fs::write(&path, "0123").unwrap();
        assert!(load(&path).unwrap_err().to_string().contains("not a key"));
    }
}
