//! `supctl verify`, on what any machine has: folders of root's, and files of this user's in /tmp.

mod common;

use std::fs;

use common::{path, supctl};
use serde_json::Value;

#[test]
fn what_root_alone_can_write_is_trusted() {
    let verified = supctl(&["verify", "/usr/bin"]);
    assert_eq!((verified.exit, verified.stderr.as_str()), (Some(0), ""), "{}", verified.stdout);
    assert_eq!(verified.stdout, "'/usr/bin' can be trusted: root alone can change it\n");
    let document: Value =
        serde_json::from_str(&supctl(&["verify", "--json", "/usr/bin"]).stdout).expect("JSON");
    assert_eq!(document["is_trusted"], true);
    assert_eq!(document["violations"], Value::Array(Vec::new()));
}

#[test]
fn everything_that_is_wrong_is_listed_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let deep = folder.path().join("one/two");
    fs::create_dir_all(&deep).expect("folders");
    std::os::unix::fs::symlink("/nowhere", deep.join("a\x1b[31mlink")).expect("a link");
    let name = folder.path().to_str().expect("a plain name");

    let verified = supctl(&["verify", "--recursive", name]);
    assert_eq!((verified.exit, verified.stderr.as_str()), (Some(1), ""));
    for text in ["/tmp ", "VERR_SUPLIB_WORLD_WRITABLE", "VERR_SUPLIB_SYMLINKS_ARE_NOT_PERMITTED"] {
        assert!(verified.stdout.contains(text), "{text}: {}", verified.stdout);
    }
    assert!(!verified.stdout.contains('\x1b'), "a file's name writes on the terminal");

    let document: Value =
        serde_json::from_str(&supctl(&["verify", "--recursive", "--json", name]).stdout)
            .expect("JSON");
    assert_eq!((&document["folders"], &document["files"]), (&2.into(), &1.into()));
    let violations = document["violations"].as_array().expect("a list");
    let first = &violations[0];
    assert_eq!((&first["path"], &first["number"]), (&"/tmp".into(), &(-3767).into()), "{first}");
    assert_eq!((&first["owner"], &first["mode"]), (&0.into(), &"1777".into()), "{first}");
    assert_eq!(first["remedy"], "chmod o-w '/tmp'");
}

#[test]
fn cannot_trust_what_is_not_there() {
    let nothing = common::file(b"");
    let name = path(&nothing).to_owned();
    drop(nothing);
    for (path, status) in [
        (name.as_str(), "VERR_SUPLIB_STAT_FAILED"),
        ("usr/bin", "VERR_SUPLIB_PATH_NOT_ABSOLUTE"),
        ("/usr/bin/..", "VERR_SUPLIB_PATH_NOT_ABSOLUTE"),
    ] {
        let verified = supctl(&["verify", path]);
        assert_eq!(verified.exit, Some(1), "{path}");
        assert!(verified.stdout.contains(status), "{path}: {}", verified.stdout);
    }
}
