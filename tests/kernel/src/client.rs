//! Another kernel module as a client of the driver: `kmod/client`, which tries everything while it is loaded.
//!
//! Seen from outside is what it leaves and what it keeps: its session, a ring-0 module of which it has a
//! symbol, and the driver itself, which stays as long as the client.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use rustix::io::Errno;
use rustix::system::{delete_module, finit_module};
use sup::Session;
use sup::backend::Kind;
use sup_modules::{HELLO, hello};
use sup_test_key::signed;

use crate::check::{Report, Stop, Verdict, check, same};
use crate::inserted::{AT_ONCE, DRIVER, while_inserted};
use crate::observer::Observer;

/// With which files.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The driver's file
    #[arg(long, default_value = "/lib/supdrv.ko", value_name = "FILE")]
    module: PathBuf,
    /// The client's file
    #[arg(long, default_value = "/lib/supdrv_client.ko", value_name = "FILE")]
    client: PathBuf,
}

/// # Errors
/// Standard output is gone.
pub(crate) fn run(args: &Args) -> io::Result<ExitCode> {
    let mut report = Report::start()?;
    type Test = fn(&Args) -> Verdict;
    let tests: [(&str, Test); 4] = [
        ("cannot_be_loaded_without_the_driver", without_driver),
        ("every_answer_is_the_expected_one", |args| with_driver(args, tries_everything)),
        ("keeps_the_driver_and_leaves_nothing", |args| with_driver(args, keeps_the_driver)),
        ("keeps_a_module_of_which_it_has_a_symbol", |args| with_driver(args, keeps_a_module)),
    ];
    for (name, test) in tests {
        report.note(&format!("client::{name}"), &test(args).into())?;
    }
    report.end()
}

/// Runs `work` while the driver is in the kernel.
fn with_driver(args: &Args, work: impl FnOnce(&Args) -> Verdict) -> Verdict {
    while_inserted(&args.module, sup_test_key::PARAMETER, || work(args))
}

fn insert(args: &Args, parameters: &str) -> Result<(), Stop> {
    let parameters = CString::new(parameters)?;
    let file = File::open(&args.client)?;
    finit_module(&file, &parameters, 0).map_err(|error| {
        Stop::failed(format_args!("the client refuses: {error}; the kernel's log says why"))
    })
}

fn remove() -> Verdict {
    Ok(delete_module(c"supdrv_client", AT_ONCE)?)
}

fn without_driver(args: &Args) -> Verdict {
    let refused = finit_module(&File::open(&args.client)?, c"", 0);
    same!(refused, Err(Errno::NOENT), "the symbol is nobody's");
    Ok(())
}

fn tries_everything(args: &Args) -> Verdict {
    let observer = Observer::open()?;
    let before = observer.look()?;
    for _ in 0..20 {
        insert(args, "selftest=1")?;
        remove()?;
        // What it left with its end, that is the whole of it: nothing comes later.
        same!(observer.look()?, before);
    }
    Ok(())
}

fn keeps_the_driver(args: &Args) -> Verdict {
    let observer = Observer::open()?;
    let before = observer.look()?;
    insert(args, "")?;
    let meanwhile = observer.look()?;
    same!(meanwhile.counts.sessions, before.counts.sessions + 1);
    same!(meanwhile.module_references, before.module_references + 1);
    drop(observer);
    same!(delete_module(DRIVER, AT_ONCE), Err(Errno::AGAIN), "removal of a driver with a client");
    // It is there as ever.
    let observer = Observer::open()?;
    same!(observer.look()?, meanwhile);
    remove()?;
    same!(observer.look()?, before);
    Ok(())
}

fn keeps_a_module(args: &Args) -> Verdict {
    let observer = Observer::open()?;
    let before = observer.look()?;
    let parameters = format!("module={} symbol={}", HELLO.name, hello::SERVICE_HANDLER);
    check!(insert(args, &parameters).is_err(), "the module was not loaded yet");
    same!(observer.look()?, before, "a client that refuses leaves nothing");
    let session = Session::open_in(Kind::Kernel)?;
    let image = signed(HELLO.image, HELLO.name);
    let module = session.load_service_image(&image, HELLO.name, hello::SERVICE_HANDLER)?;
    let loaded = observer.look()?.counts.image_references;
    insert(args, &parameters)?;
    same!(observer.look()?.counts.image_references, loaded + 1);
    drop(module);
    drop(session);
    same!(observer.look()?.counts.image_references, loaded);
    remove()?;
    observer.wait_for(&before)
}
