//! What took long to get, kept outside the tree: `$SUP_CACHE`, else `supdrv` in the user's cache folder.
//!
//! An entry is a folder. It is filled under a name of this process and renamed when it is complete, so
//! that whoever finds an entry can use it, whatever ended the one who filled it. Entries are not
//! refreshed; who wants a newer one removes the folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::{env, process};

use anyhow::{Context, Result};

/// Begins the name of an entry that is being filled; behind it stands the process that does.
const UNFINISHED: &str = ".unfinished-";

/// The folder of an entry that is there.
pub(super) fn find(name: &str) -> Result<Option<PathBuf>> {
    Ok(Some(folder()?.join(name)).filter(|entry| entry.is_dir()))
}

/// The folder of an entry: the one that is there, else a new one that `fill` fills.
pub(super) fn entry(name: &str, fill: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    entry_in(&folder()?, name, fill)
}

fn entry_in(cache: &Path, name: &str, fill: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let entry = cache.join(name);
    if entry.is_dir() {
        return Ok(entry);
    }
    fs::create_dir_all(cache).with_context(|| cache.display().to_string())?;
    remove_abandoned(cache)?;
    let unfinished = cache.join(format!("{UNFINISHED}{}-{name}", process::id()));
    fs::create_dir(&unfinished).with_context(|| unfinished.display().to_string())?;
    let filled = fill(&unfinished);
    // Another process may have been faster: then its entry stays, and ours goes.
    if filled.is_ok() && fs::rename(&unfinished, &entry).is_ok() {
        return Ok(entry);
    }
    fs::remove_dir_all(&unfinished).with_context(|| unfinished.display().to_string())?;
    filled.map(|()| entry)
}

fn folder() -> Result<PathBuf> {
    let set = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let folder = set("SUP_CACHE")
        .or_else(|| set("XDG_CACHE_HOME").map(|caches| caches.join("supdrv")))
        .or_else(|| set("HOME").map(|home| home.join(".cache/supdrv")))
        .context("no place for a cache: set SUP_CACHE to a folder")?;
    Ok(std::path::absolute(folder)?)
}

/// Removes what processes that are gone left behind.
fn remove_abandoned(cache: &Path) -> Result<()> {
    for found in fs::read_dir(cache)? {
        let found = found?;
        let name = found.file_name().to_string_lossy().into_owned();
        let process = name.strip_prefix(UNFINISHED).and_then(|rest| rest.split('-').next());
        if process.is_some_and(|id| !Path::new("/proc").join(id).exists()) {
            fs::remove_dir_all(found.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::bail;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn an_entry_is_filled_once() {
        let cache = tempfile::tempdir().unwrap();
        let fill = |folder: &Path| Ok(fs::write(folder.join("file"), "first")?);
        let entry = entry_in(cache.path(), "6.1", fill).unwrap();
        assert_eq!(fs::read_to_string(entry.join("file")).unwrap(), "first");
        entry_in(cache.path(), "6.1", |_| bail!("filled a second time")).unwrap();
        assert_eq!(names(cache.path()), ["6.1"]);
    }

    #[test]
    fn cannot_find_an_entry_whose_filling_failed() {
        let cache = tempfile::tempdir().unwrap();
        let failed = entry_in(cache.path(), "6.1", |folder| {
            fs::write(folder.join("half"), "")?;
            bail!("no network")
        });
        assert_eq!(failed.unwrap_err().to_string(), "no network");
        assert!(names(cache.path()).is_empty());
    }

    #[test]
    fn only_what_nobody_fills_any_more_is_removed() {
        let cache = tempfile::tempdir().unwrap();
        // Process numbers end at 2^22.
        for id in [process::id(), 1 << 23] {
            fs::create_dir(cache.path().join(format!("{UNFINISHED}{id}-6.1"))).unwrap();
        }
        remove_abandoned(cache.path()).unwrap();
        assert_eq!(names(cache.path()), [format!("{UNFINISHED}{}-6.1", process::id())]);
    }
}
