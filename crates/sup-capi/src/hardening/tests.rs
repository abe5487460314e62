//! Libraries of an installation, packed into a folder of this test's own.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use sup_hardened::{Entry, MANIFEST, Place, Presence};
use sup_test_key::{key, signed_with};

use super::*;
use crate::libraries::tests::compile;

const ENTRIES: &[Entry] =
    &[Entry { name: "packed.so", place: Place::AppPrivArch, presence: Presence::Optional }];

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn is_root() -> bool {
    // SAFETY: it takes nothing, and always succeeds.
    unsafe { libc::geteuid() == 0 }
}

/// Packs a library, and one of which no table knows.
fn pack(folder: &Path) -> Installation {
    mode(folder, 0o755);
    for name in ["packed.so", "other.so"] {
        let path = folder.join(name);
        compile(&path, 42);
        mode(&path, 0o755);
    }
    let installation =
        Installation::new(vec![(Place::AppPrivArch, folder.into())], ENTRIES, vec![key().public()]);
    let text = installation.manifest_text().unwrap();
    fs::write(folder.join(MANIFEST), signed_with(text.as_bytes(), MANIFEST, 0)).unwrap();
    mode(&folder.join(MANIFEST), 0o644);
    installation
}

#[test]
fn libraries_are_loaded_that_are_those_that_were_packed() {
    let folder = tempfile::tempdir().unwrap();
    let installation = pack(folder.path());
    // SAFETY: no structure.
    let info = unsafe { ErrorInfo::cleared(ptr::null_mut()) };
    let installed = |name: &str| load_installed(&installation, &folder.path().join(name), 0, &info);
    let private = |name: &str| load_private(&installation, Path::new(name), 1, &info);
    if !is_root() {
        // Files of a user's are nobody's to trust.
        assert_eq!(installed("packed.so"), Err(Status::VERR_ACCESS_DENIED));
        return;
    }
    let loaded = installed("packed.so").unwrap();
    for again in [installed("packed"), private("packed.so"), private("packed")] {
        assert_eq!(again.unwrap(), loaded, "one library");
    }
    assert_eq!(installed("other.so"), Err(Status::VERR_NOT_FOUND));
    assert_eq!(private("other"), Err(Status::VERR_NOT_FOUND));
    assert_eq!(private("missing"), Err(Status::VERR_FILE_NOT_FOUND));
    for wrong in ["/packed.so", "sub/packed.so", &"p".repeat(PRIVATE_NAME_BYTES)] {
        assert_eq!(private(wrong), Err(Status::VERR_INVALID_PARAMETER), "{wrong}");
    }
    let flags = load_installed(&installation, &folder.path().join("packed.so"), 2, &info);
    assert_eq!(flags, Err(Status::VERR_INVALID_PARAMETER));
    let bare = load_installed(&installation, Path::new("packed.so"), 0, &info);
    assert_eq!(bare, Err(Status::VERR_INVALID_PARAMETER));
    // A library that was verified before is verified again before it is loaded again.
    let path = folder.path().join("packed.so");
    fs::remove_file(&path).unwrap();
    compile(&path, 43);
    assert_eq!(installed("packed.so"), Err(Status::VERR_ACCESS_DENIED));
}

#[test]
fn cannot_load_a_plug_in_that_others_can_have_written() {
    let folder = tempfile::tempdir().unwrap();
    pack(folder.path());
    // SAFETY: no structure.
    let info = unsafe { ErrorInfo::cleared(ptr::null_mut()) };
    let path = folder.path().join("packed.so");
    let refused = load_plug_in(&path, &info).unwrap_err();
    // What is below /tmp, or this user's.
    let expected = [Status::VERR_SUPLIB_WORLD_WRITABLE, Status::VERR_SUPLIB_OWNER_NOT_ROOT];
    assert!(expected.contains(&refused), "{refused}");
    for wrong in [Path::new("packed.so"), &path.with_extension("")] {
        assert_eq!(load_plug_in(wrong, &info), Err(Status::VERR_INVALID_PARAMETER), "{wrong:?}");
    }
}
