//! The header is not ours to change: `include/` is the one that the whole project implements.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::Result;

use super::{Finding, Violation, files_below};

pub(super) const OURS: &str = "include/";
const SEED: &str = "../shared/seed/include";
/// What is there besides.
const OF_OUR_OWN: &str = "supdrv/";

/// Compares `include/` with the seed, on machines that have one.
pub(super) fn header_drift(root: &Path) -> Result<Vec<Violation>> {
    let seed = root.join(SEED);
    if !seed.is_dir() {
        return Ok(Vec::new());
    }
    Ok(drift(&contents(&root.join(OURS))?, &contents(&seed)?))
}

type Contents = BTreeMap<String, Vec<u8>>;

fn contents(folder: &Path) -> Result<Contents> {
    files_below(folder)?
        .into_iter()
        .map(|path| {
            let bytes = fs::read(folder.join(&path))?;
            Ok((path, bytes))
        })
        .collect()
}

fn drift(ours: &Contents, seed: &Contents) -> Vec<Violation> {
    let changed = seed.iter().filter(|(path, bytes)| ours.get(*path) != Some(bytes));
    let is_added = |path: &str| !path.starts_with(OF_OUR_OWN) && !seed.contains_key(path);
    let added = ours.iter().filter(|(path, _)| is_added(path));
    changed
        .chain(added)
        .map(|(path, _)| Violation {
            path: format!("{OURS}{path}"),
            rule: "header-drift",
            finding: Finding::new(1, format!("differs from {SEED}/{path}")),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> Contents {
        files.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect()
    }

    #[test]
    fn equal_folders_do_not_drift() {
        let ours = folder(&[("VBox/sup.h", "int i;"), ("VBox/types.h", "")]);
        assert!(drift(&ours, &ours).is_empty());
        let more = folder(&[("VBox/sup.h", "int i;"), ("VBox/types.h", ""), ("supdrv/a.h", "")]);
        assert!(drift(&more, &ours).is_empty());
    }

    #[test]
    fn cannot_change_drop_or_add_a_header() {
        let seed = folder(&[("a.h", "1"), ("b.h", "2")]);
        let ours = folder(&[("a.h", "one"), ("c.h", "3")]);
        let paths: Vec<String> = drift(&ours, &seed).into_iter().map(|found| found.path).collect();
        assert_eq!(paths, ["include/a.h", "include/b.h", "include/c.h"]);
    }
}
