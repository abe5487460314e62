//! Loading and freeing 64 KiB of code from its file, beside the system's own loader.
//!
//! Both images are made of the same source (`build.rs`). Ours is hashed besides, which the system's loader
//! does not do.

use std::fs;

use anyhow::{Context, Result, ensure};

use crate::figure::{Figure, Goal};
use crate::measure::{compare, each};
use crate::suites::open_session;
use crate::suites::shared_object::ObjectFile;

const NAME: &str = "large";
const IMAGE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/large.r0"));
const SHARED_OBJECT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/large.so"));

pub(super) fn figure() -> Result<Figure> {
    let folder = tempfile::tempdir().context("cannot make a folder for the module's files")?;
    let module_path = folder.path().join("large.r0");
    fs::write(&module_path, IMAGE)?;
    let object_path = folder.path().join("large.so");
    fs::write(&object_path, SHARED_OBJECT)?;
    let object_file = ObjectFile::new(&object_path)?;
    object_file.check_unloads()?;

    let session = open_session()?;
    let load = || -> Result<()> {
        let module = session.load_module(&module_path, NAME)?;
        ensure!(!module.was_loaded(), "the module was still loaded");
        ensure!(module.image_bytes() >= 64 << 10, "{} bytes are no 64 KiB", module.image_bytes());
        Ok(())
    };
    let pair = compare(each(load), each(|| object_file.open().map(drop)))?;
    Ok(Figure {
        name: "load + free 64 KiB, from its file".into(),
        unit: "us",
        compared_to: "dlopen + dlclose".into(),
        pair: pair.scaled(1e-3, 1e-3),
        goal: Some(Goal::Ratio(1.5)),
    })
}
