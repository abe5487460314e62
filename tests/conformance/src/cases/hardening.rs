//! Who may change what runs with privileges: rule set A, and the own process.
//!
//! No driver is asked, so what differs between the backends' runs is the kernel below: the files are real
//! ones, of root's, on whatever file system is there. Without root there is no such file, and then a case
//! that needs one is skipped.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

use sup::Status;
use sup_hardened::{
    Audience, Contents, System, Violation, verify_folder, verify_plug_in, verify_self,
};

use crate::backend::Backend;
use crate::case::{Stop, Verdict, cases, check, same};

cases! { Hardening {
    paths_are_judged_by_their_letters:
        "A path that is not absolute, clean and of a sensible length is refused before anything is \
         looked up (spec 7.2).",
    files_are_judged_by_owner_kind_and_mode:
        "A file is accepted only if it and each folder above are root's and no one else may write \
         (spec 7.3).",
    folders_are_judged_with_their_contents:
        "A folder is accepted with its contents only if each entry is (spec 7.4).",
    internal_programs_are_started_by_their_full_path:
        "An internal program needs its own path as first argument, and has its place (spec 7.6).",
}}

const OK: Status = Status::VINF_SUCCESS;
/// A user and a group that are not root's.
const USER: u32 = 65_534;

fn status<T>(result: Result<T, Violation>) -> Status {
    result.map_or_else(|violation| violation.status(), |_| OK)
}

fn plug_in(path: &Path) -> Status {
    status(verify_plug_in(&System, path))
}

/// A folder of root's, for as long as the value lives.
struct Scratch(PathBuf);

impl Scratch {
    /// Makes one where everything above passes, or says why not.
    fn new() -> Verdict<Self> {
        const PARENT: &str = "/root";
        if !rustix::process::geteuid().is_root() {
            return Err(Stop::Skipped("files of several owners take root".to_owned()));
        }
        if let Err(violation) = verify_folder(&System, Path::new(PARENT), Contents::None) {
            return Err(Stop::Skipped(format!("no place for a scratch folder: {violation}")));
        }
        let folder = Path::new(PARENT).join(format!("sup-hardening-{}", std::process::id()));
        let scratch = Self(folder);
        scratch.folder("")?;
        Ok(scratch)
    }

    fn folder(&self, name: &str) -> Verdict<PathBuf> {
        let path = if name.is_empty() { self.0.clone() } else { self.0.join(name) };
        fs::create_dir(&path)?;
        mode(&path, 0o755)?;
        Ok(path)
    }

    fn file(&self, name: &str, owner: u32, group: u32, bits: u32) -> Verdict<PathBuf> {
        let path = self.0.join(name);
        fs::write(&path, name)?;
        chown(&path, Some(owner), Some(group))?;
        mode(&path, bits)?;
        Ok(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn mode(path: &Path, bits: u32) -> Verdict {
    Ok(fs::set_permissions(path, Permissions::from_mode(bits))?)
}

fn paths_are_judged_by_their_letters(_: &dyn Backend) -> Verdict {
    let components = |count: usize| "/a".repeat(count);
    let bytes = |count: usize| format!("/{}", "a".repeat(count - 1));
    let rows = [
        ("usr/lib/x", Status::VERR_SUPLIB_PATH_NOT_ABSOLUTE),
        ("", Status::VERR_SUPLIB_PATH_NOT_ABSOLUTE),
        ("/usr/../etc/passwd", Status::VERR_SUPLIB_PATH_NOT_ABSOLUTE),
        ("/usr/lib/..", Status::VERR_SUPLIB_PATH_NOT_ABSOLUTE),
        ("/", Status::VERR_SUPLIB_PATH_IS_ROOT),
        ("/ab", Status::VERR_SUPLIB_PATH_TOO_SHORT),
        ("//a", Status::VERR_SUPLIB_PATH_TOO_SHORT),
        ("/usr//lib/x", Status::VERR_SUPLIB_PATH_NOT_CLEAN),
        ("/usr/lib//", Status::VERR_SUPLIB_PATH_NOT_CLEAN),
        ("/usr/./lib", Status::VERR_SUPLIB_PATH_NOT_CLEAN),
        ("/usr/lib/", Status::VERR_SUPLIB_IS_DIRECTORY),
        (&components(33), Status::VERR_SUPLIB_PATH_TOO_MANY_COMPONENTS),
        (&components(32), Status::VERR_SUPLIB_STAT_FAILED),
        (&bytes(260), Status::VERR_SUPLIB_PATH_TOO_LONG),
    ];
    for (path, expected) in rows {
        let found = plug_in(Path::new(path));
        check!(found == expected, "{path}: {found} instead of {expected}");
    }
    Ok(())
}

fn files_are_judged_by_owner_kind_and_mode(_: &dyn Backend) -> Verdict {
    let scratch = Scratch::new()?;
    let good = scratch.file("good.so", 0, 0, 0o644)?;
    same!(plug_in(&good), OK);
    same!(plug_in(&scratch.file("group-root.so", 0, 0, 0o664)?), OK);
    let group = scratch.file("group.so", 0, USER, 0o664)?;
    same!(plug_in(&group), Status::VERR_SUPLIB_WRITE_NON_SYS_GROUP);
    let world = scratch.file("world.so", 0, 0, 0o646)?;
    same!(plug_in(&world), Status::VERR_SUPLIB_WORLD_WRITABLE);
    let owned = scratch.file("owned.so", USER, 0, 0o644)?;
    same!(plug_in(&owned), Status::VERR_SUPLIB_OWNER_NOT_ROOT);
    let link = scratch.0.join("link.so");
    symlink(&good, &link)?;
    same!(plug_in(&link), Status::VERR_SUPLIB_SYMLINKS_ARE_NOT_PERMITTED);
    same!(plug_in(Path::new("/dev/null")), Status::VERR_SUPLIB_NOT_DIR_NOT_FILE);
    same!(plug_in(&scratch.0.join("missing.so")), Status::VERR_SUPLIB_STAT_FAILED);
    same!(plug_in(&scratch.0), Status::VERR_SUPLIB_IS_DIRECTORY);
    same!(plug_in(&good.join("below.so")), Status::VERR_SUPLIB_IS_FILE);
    mode(&scratch.0, 0o757)?;
    same!(plug_in(&good), Status::VERR_SUPLIB_WORLD_WRITABLE);
    Ok(())
}

fn folders_are_judged_with_their_contents(_: &dyn Backend) -> Verdict {
    let scratch = Scratch::new()?;
    let all = |contents| status(verify_folder(&System, &scratch.0, contents));
    scratch.folder("below")?;
    let deep = scratch.file("below/deep.so", 0, 0, 0o644)?;
    for contents in [Contents::None, Contents::Entries, Contents::All] {
        same!(all(contents), OK);
    }
    mode(&deep, 0o666)?;
    same!(all(Contents::Entries), OK);
    same!(all(Contents::All), Status::VERR_SUPLIB_WORLD_WRITABLE);
    let near = scratch.file("near.so", USER, 0, 0o644)?;
    same!(all(Contents::None), OK);
    same!(all(Contents::Entries), Status::VERR_SUPLIB_OWNER_NOT_ROOT);
    let file = verify_folder(&System, &near, Contents::None);
    // Whose it is comes before what it is.
    same!(status(file), Status::VERR_SUPLIB_OWNER_NOT_ROOT);
    chown(&near, Some(0), Some(0))?;
    let file = verify_folder(&System, &near, Contents::None);
    same!(status(file), Status::VERR_SUPLIB_IS_FILE);
    Ok(())
}

fn internal_programs_are_started_by_their_full_path(_: &dyn Backend) -> Verdict {
    let own = std::env::current_exe()?;
    let internal = |argv0: &Path, folder: Option<&Path>| {
        let audience = Audience::Internal { argv0: argv0.as_os_str(), private_folder: folder };
        verify_self(audience).map_or_else(|refusal| refusal.status(), |()| OK)
    };
    let bad_argv0 = Status::VERR_SUPLIB_INVALID_ARGV0_INTERNAL;
    let name = Path::new(own.file_name().unwrap_or_default());
    same!(internal(name, own.parent()), bad_argv0);
    same!(internal(&own, None), bad_argv0);
    let elsewhere = Some(Path::new("/nowhere/of/ours"));
    same!(internal(&own, elsewhere), Status::VERR_SUPLIB_INVALID_INTERNAL_APP_DIR);
    // In its place it is judged as any program is.
    let anybody = verify_self(Audience::Any).map_or_else(|refusal| refusal.status(), |()| OK);
    same!(internal(&own, own.parent()), anybody);
    same!(anybody, plug_in(&own));
    Ok(())
}
