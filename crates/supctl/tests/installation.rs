//! `supctl installation sign | verify`, on an installation in a folder of this test's own.

mod common;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::ExitCode;

use common::{Run, file, path, supctl};
use libtest_mimic::{Arguments, Trial};
use sup_test_key::{SECRET_HEX, key};

fn main() -> ExitCode {
    let trial = Trial::test("a_manifest_tells_other_files_from_those_that_were_packed", || {
        a_manifest_tells();
        Ok(())
    });
    let is_root = rustix::process::geteuid().is_root();
    let trial = match is_root {
        true => trial,
        false => trial.with_kind("files of root's take root").with_ignored_flag(true),
    };
    libtest_mimic::run(&Arguments::from_args(), vec![trial]).exit_code()
}

/// Writes a file that its owner alone may write, in such a folder.
fn put(path: &Path, content: &str, mode: u32) {
    let folder = path.parent().expect("a folder");
    fs::create_dir_all(folder).expect("a folder");
    fs::set_permissions(folder, Permissions::from_mode(0o755)).expect("a mode");
    fs::write(path, content).expect("a file");
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("a mode");
}

fn a_manifest_tells() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path();
    let prefix = root.to_str().expect("a plain name");
    let secret = file(SECRET_HEX.as_bytes());
    let public = file(key().public().in_full().to_string().as_bytes());
    let sign = || supctl(&["installation", "sign", "--prefix", prefix, "--key", path(&secret)]);
    let verify = || supctl(&["installation", "verify", "--prefix", prefix, "--key", path(&public)]);
    let refused = |answer: &Run, text: &str| {
        assert_eq!(answer.exit, Some(1), "{}", answer.stdout);
        assert!(answer.stderr.contains(text), "{text}: {}", answer.stderr);
    };

    put(&root.join("bin/supctl"), "a program", 0o755);
    refused(&sign(), "libsup.so.0");
    put(&root.join("lib/libsup.so.0"), "a library", 0o644);
    assert_eq!(sign().exit, Some(0));
    let verified = verify();
    assert_eq!(verified.exit, Some(0), "{}{}", verified.stdout, verified.stderr);
    for text in ["bin/supctl: ok", "lib/libsup.so.0: ok", "VMMR0.r0: not installed"] {
        assert!(verified.stdout.contains(text), "{text}: {}", verified.stdout);
    }

    put(&root.join("bin/supctl"), "a Program", 0o755);
    refused(&verify(), "its digest differs");
    put(&root.join("bin/supctl"), "a program", 0o775);
    refused(&verify(), "may be written by others");
    put(&root.join("bin/supctl"), "a program", 0o755);
    put(&root.join("lib/supdrv/VMMR0.r0"), "a module", 0o644);
    refused(&verify(), "is not in the manifest");
    assert_eq!((sign().exit, verify().exit), (Some(0), Some(0)));

    let with_program = || {
        let key = path(&secret);
        supctl(&["installation", "sign", "--prefix", prefix, "--key", key, "--program", "vm"])
    };
    refused(&with_program(), "bin/vm");
    put(&root.join("bin/vm"), "a start program", 0o4755);
    put(&root.join("lib/supdrv/vm.so"), "a program", 0o644);
    assert_eq!(with_program().exit, Some(0));
    let verified = verify();
    for text in ["bin/vm: ok", "lib/supdrv/vm.so: ok"] {
        assert!(verified.stdout.contains(text), "{text}: {}", verified.stdout);
    }
    put(&root.join("lib/supdrv/vm.so"), "a Program", 0o644);
    refused(&verify(), "its digest differs");
    let bad = supctl(&["installation", "sign", "--key", path(&secret), "--program", "../vm"]);
    assert_eq!(bad.exit, Some(2), "{}", bad.stderr);
    assert!(bad.stderr.contains("a name has up to 63 letters"), "{}", bad.stderr);
    assert_eq!((sign().exit, verify().exit), (Some(0), Some(0)));
    fs::write(&public, "00".repeat(32)).expect("a key");
    refused(&verify(), "no trusted key");
}
