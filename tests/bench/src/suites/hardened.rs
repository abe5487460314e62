//! The suite `hardened`: verifying a file, and a tree, beside the same questions asked by path.
//!
//! What it is compared to looks at every component, or entry, with `lstat`: it can be deceived, and is
//! what a verification by handles may cost a little more than.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use sup_hardened::{Contents, System, verify_folder, verify_plug_in};

use crate::figure::{Figure, Goal, Skip};
use crate::measure::{Pair, compare, each};

/// Root's, and so are the folders above it.
const PLACE: &str = "/var/lib";
/// Folders below the scratch folder, so that the file has eight above it.
const DEPTH: usize = 5;
const FOLDERS: usize = 100;
const FILES_EACH: usize = 100;

pub(super) fn skips() -> Vec<Skip> {
    what_is_missing()
        .map(|reason| Skip { name: "verified file and tree", reason })
        .into_iter()
        .collect()
}

fn what_is_missing() -> Option<String> {
    let place = verify_folder(&System, Path::new(PLACE), Contents::None);
    if let Err(violation) = place {
        return Some(format!("no folder to do it in: {violation}"));
    }
    let scratch = scratch().err();
    scratch.map(|error| format!("only root can make files that are verified: {error}"))
}

fn scratch() -> io::Result<tempfile::TempDir> {
    let folder = tempfile::Builder::new().prefix("sup-bench-").tempdir_in(PLACE)?;
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755))?;
    Ok(folder)
}

pub(super) fn run() -> Result<Vec<Figure>> {
    if what_is_missing().is_some() {
        return Ok(Vec::new());
    }
    let folder = scratch().context("cannot make a scratch folder")?;
    Ok(vec![file(folder.path())?, tree(folder.path())?])
}

fn file(scratch: &Path) -> Result<Figure> {
    let folder: PathBuf =
        (0..DEPTH).fold(scratch.to_owned(), |path, level| path.join(format!("level-{level}")));
    fs::create_dir_all(&folder)?;
    let path = folder.join("plug-in.so");
    fs::write(&path, b"")?;
    ensure!(path.components().count() == 1 + 8 + 1, "{} is not 8 folders deep", path.display());
    let pair = compare(
        each(|| verify_plug_in(&System, &path).map(drop)),
        each(|| path.ancestors().try_for_each(looks_good)),
    )?;
    Ok(figure(
        "a file 8 folders deep",
        "us",
        "lstat of each component",
        pair.scaled(1e-3, 1e-3),
        15.0,
    ))
}

fn tree(scratch: &Path) -> Result<Figure> {
    let root = scratch.join("tree");
    for folder in 0..FOLDERS {
        let folder = root.join(format!("folder-{folder}"));
        fs::create_dir_all(&folder)?;
        for file in 0..FILES_EACH {
            fs::write(folder.join(format!("file-{file}")), b"")?;
        }
    }
    let count = verify_folder(&System, &root, Contents::All)?;
    ensure!(count.files == (FOLDERS * FILES_EACH) as u64, "{count:?}");
    let pair = compare(
        each(|| verify_folder(&System, &root, Contents::All).map(drop)),
        each(|| looks_good_below(&root)),
    )?;
    Ok(figure("a tree of 10 000 files", "ms", "readdir and lstat", pair.scaled(1e-6, 1e-6), 150.0))
}

fn looks_good(path: &Path) -> io::Result<()> {
    let metadata = fs::symlink_metadata(path)?;
    match metadata.uid() == 0 && metadata.mode() & 0o022 == 0 && !metadata.is_symlink() {
        true => Ok(()),
        false => Err(io::Error::other(format!("{} does not look good", path.display()))),
    }
}

fn looks_good_below(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        looks_good(&entry.path())?;
        if entry.file_type()?.is_dir() {
            looks_good_below(&entry.path())?;
        }
    }
    Ok(())
}

fn figure(name: &str, unit: &'static str, compared_to: &str, pair: Pair, most: f64) -> Figure {
    let goal = Some(Goal::Median(most));
    Figure { name: name.into(), unit, compared_to: compared_to.into(), pair, goal }
}
