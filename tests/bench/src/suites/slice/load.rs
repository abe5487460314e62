//! Loading a module from its file, and unloading it.
//!
//! Ours checks the file, hashes it and calls `ModuleInit` and `ModuleTerm`; `dlopen` does none of that.
//! Both map, relocate, bind the imports, protect and unmap. The imports of the plain shared object are
//! answered inside it, by stand-ins.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use sup::{ServiceModule, Session};
use sup_modules::hello::SERVICE_HANDLER;
use sup_modules::{HELLO, HELLO_SHARED_OBJECT};

use super::shared_object::{ObjectFile, SharedObject};
use crate::figure::{Figure, Goal};
use crate::measure::{Routine, compare, each};

pub(super) fn figures() -> Result<Vec<Figure>> {
    let folder = tempfile::tempdir().context("cannot make a folder for the module's files")?;
    let module_file = folder.path().join("hello.r0");
    fs::write(&module_file, HELLO.image)?;
    let object_path = folder.path().join("hello.so");
    fs::write(&object_path, HELLO_SHARED_OBJECT)?;
    let object_file = ObjectFile::new(&object_path)?;
    object_file.check_unloads()?;

    let session = Session::open()?;
    let load = || -> Result<ServiceModule> {
        Ok(session.load_service_module(&module_file, HELLO.name, SERVICE_HANDLER)?)
    };
    let open = || object_file.open();

    let whole = compare(
        each(|| Ok::<_, anyhow::Error>(load()?.free()?)),
        each(|| open()?.close()),
    )?;
    let begin = compare(first_half(load, ServiceModule::free), first_half(open, SharedObject::close))?;
    let end = compare(second_half(load), second_half(open))?;
    let figure = |name: &str, compared_to: &str, pair, goal| Figure {
        name: name.into(),
        unit: "us",
        compared_to: compared_to.into(),
        pair: crate::measure::Pair::scaled(pair, 1e-3, 1e-3),
        goal,
    };
    Ok(vec![
        figure("load + free hello, from its file", "dlopen + dlclose", whole, Some(Goal::Ratio(2.0))),
        figure("  load alone", "dlopen", begin, None),
        figure("  free alone", "dlclose", end, None),
    ])
}
