//! The guest's first and only file system.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::cpio::{Archive, Mode};
use super::job::{self, Job};
use super::programs::{self, Program};
use crate::project::Project;

/// Users, because tests change theirs.
const PASSWD: &[u8] = b"root:x:0:0:root:/root:/bin/sh\n\
    user:x:1000:1000:user:/tmp:/bin/sh\n\
    other:x:1001:1001:other:/tmp:/bin/sh\n\
    nobody:x:65534:65534:nobody:/:/bin/false\n";
const GROUP: &[u8] = b"root:x:0:\ntty:x:5:\nuser:x:1000:\nother:x:1001:\nnogroup:x:65534:\n";

/// Folders that are not made for a file in them.
const FOLDERS: [&str; 2] = ["root", "bin"];
/// What `insmod` gets: whom the driver trusts.
const INSMOD: &str = "etc/supdrv/insmod";
/// The key that the driver in a process trusts.
const TRUSTED: &str = "etc/supdrv/trusted/tests.pub";
/// The development key of root, which `supctl` signs with.
const SIGNING: &str = "root/.config/supdrv/signing.key";

/// Puts it together: init, the programs, other files by their places in the guest, and what to do.
pub(super) fn build(
    project: &Project,
    programs: &[Program],
    files: &[(String, PathBuf)],
    job: &Job,
) -> Result<Vec<u8>> {
    let mut archive = Archive::default();
    let places = programs.iter().map(|program| format!("bin/{}", program.name));
    let places = places.chain(files.iter().map(|(place, _)| place.clone()));
    let ours = [job::PATH, INSMOD, TRUSTED, SIGNING].map(str::to_owned);
    for folder in folders(ours.into_iter().chain(places)) {
        archive.directory(&folder)?;
    }
    let init = read(&project.root.join("tests/guest/init"))?;
    archive.file("init", Mode::Program, &init)?;
    archive.file("etc/passwd", Mode::Data, PASSWD)?;
    archive.file("etc/group", Mode::Data, GROUP)?;
    archive.file(job::PATH, Mode::Data, job.script())?;
    let trusted = format!("{}\n", sup_test_key::key().public().in_full());
    archive.file(INSMOD, Mode::Data, sup_test_key::PARAMETER.to_bytes())?;
    archive.file(TRUSTED, Mode::Data, trusted.as_bytes())?;
    archive.file(SIGNING, Mode::Secret, sup_test_key::SECRET_HEX.as_bytes())?;
    for Program { name, path } in programs {
        archive.file(&format!("bin/{name}"), Mode::Program, &programs::read_static(path)?)?;
    }
    for (place, path) in files {
        let mode = if is_program(path)? { Mode::Program } else { Mode::Data };
        archive.file(place, mode, &read(path)?)?;
    }
    archive.finish()
}

/// The folders that these files are in, each behind the one that it is in.
fn folders(files: impl Iterator<Item = String>) -> BTreeSet<String> {
    let mut folders = BTreeSet::from(FOLDERS.map(str::to_owned));
    for file in files {
        let above = Path::new(&file).ancestors().skip(1).filter(|path| *path != Path::new(""));
        folders.extend(above.map(|path| path.to_string_lossy().into_owned()));
    }
    folders
}

fn is_program(path: &Path) -> Result<bool> {
    let about = path.metadata().with_context(|| format!("cannot find {}", path.display()))?;
    Ok(about.permissions().mode() & 0o111 != 0)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_comes_behind_the_one_that_it_is_in() {
        let files = ["lib/x86_64-linux-gnu/libc.so.6", "etc/job", "init"].map(str::to_owned);
        let folders: Vec<_> = folders(files.into_iter()).into_iter().collect();
        assert_eq!(folders, ["bin", "etc", "lib", "lib/x86_64-linux-gnu", "root"]);
    }
}
