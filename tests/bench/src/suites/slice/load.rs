//! Loading a module from its file, and unloading it.
//!
//! Ours checks the file, hashes it and calls `ModuleInit` and `ModuleTerm`; `dlopen` does none of that.
//! Both read the file, map, relocate, bind imports, protect, and unmap at the end. The imports of the
//! plain shared object are answered inside it, by stand-ins.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use sup::ServiceModule;
use sup_modules::hello::SERVICE_HANDLER;
use sup_modules::{HELLO, HELLO_SHARED_OBJECT};

use crate::figure::{Figure, Goal};
use crate::measure::{Pair, Routine, compare, each};
use crate::suites::open_session;
use crate::suites::shared_object::ObjectFile;

pub(super) fn figures() -> Result<Vec<Figure>> {
    let folder = tempfile::tempdir().context("cannot make a folder for the module's files")?;
    let module_path = folder.path().join("hello.r0");
    fs::write(&module_path, HELLO.image)?;
    let object_path = folder.path().join("hello.so");
    fs::write(&object_path, HELLO_SHARED_OBJECT)?;
    let object_file = ObjectFile::new(&object_path)?;
    object_file.check_unloads()?;

    let session = open_session()?;
    let load = || -> Result<ServiceModule> {
        let service = session.load_service_module(&module_path, HELLO.name, SERVICE_HANDLER)?;
        ensure!(!service.module().was_loaded(), "the module was still loaded");
        Ok(service)
    };
    let open = || object_file.open();
    let both = compare(each(|| load().map(drop)), each(|| open().map(drop)))?;
    let first = compare(making(load), making(open))?;
    let last = compare(dropping(load), dropping(open))?;
    Ok(vec![
        figure(
            "load + free hello, from its file",
            "dlopen + dlclose",
            both,
            Some(Goal::Ratio(2.0)),
        ),
        figure("load hello alone", "dlopen", first, None),
        figure("free hello alone", "dlclose", last, None),
    ])
}

fn figure(name: &str, compared_to: &str, pair: Pair, goal: Option<Goal>) -> Figure {
    let pair = pair.scaled(1e-3, 1e-3);
    Figure { name: name.into(), unit: "us", compared_to: compared_to.into(), pair, goal }
}

/// The time of `make` without that of the drop.
fn making<T>(make: impl Fn() -> Result<T>) -> impl Routine {
    move |iterations| {
        let mut total = Duration::ZERO;
        for _ in 0..iterations {
            let start = Instant::now();
            let made = make()?;
            total += start.elapsed();
            drop(made);
        }
        Ok(total)
    }
}

/// The time of the drop without that of `make`.
fn dropping<T>(make: impl Fn() -> Result<T>) -> impl Routine {
    move |iterations| {
        let mut total = Duration::ZERO;
        for _ in 0..iterations {
            let made = make()?;
            let start = Instant::now();
            drop(made);
            total += start.elapsed();
        }
        Ok(total)
    }
}
