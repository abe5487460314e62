//! The guest's first and only file system.

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

/// Where a file goes, with the folders on the way.
const FOLDERS: [&str; 14] = [
    "bin",
    "bin/c",
    "bin/c/ours",
    "bin/c/seed",
    "etc",
    "etc/supdrv",
    "etc/supdrv/trusted",
    "lib",
    "lib/x86_64-linux-gnu",
    "lib64",
    "start",
    "root",
    "root/.config",
    "root/.config/supdrv",
];
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
    for folder in FOLDERS {
        archive.directory(folder)?;
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
        archive.file(place, Mode::Data, &read(path)?)?;
    }
    archive.finish()
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}
