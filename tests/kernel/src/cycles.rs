//! The driver comes and goes under load, and leaves nothing.
//!
//! Threads open sessions and use them whenever the device is there. The driver cannot be removed while one
//! of them has a session; when they pause, it can, and everything of it is gone.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use rustix::io::Errno;
use rustix::system::{delete_module, finit_module};
use sup::backend::{DEVICE, Kind};
use sup::{Session, Timeout};

use crate::check::{Report, Stop, Verdict, check, same};
use crate::inserted::{AT_ONCE, DRIVER};
use crate::kill::Memory;

/// How often, and with which file.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How often to insert and remove it
    #[arg(long, default_value_t = 10, value_name = "N")]
    count: u32,
    /// The driver's file
    #[arg(long, default_value = "/lib/supdrv.ko", value_name = "FILE")]
    module: PathBuf,
}

const THREADS: usize = 3;
/// Cycles after which what the kernel keeps for later is there.
const WARM_UP: u32 = 5;
/// What the whole machine may need more at the end than after the warm-up, for other reasons than ours.
const NOISE_KIB: u64 = 1024;

/// # Errors
/// Standard output is gone.
pub(crate) fn run(args: &Args) -> io::Result<ExitCode> {
    let mut report = Report::start()?;
    let name = format!("cycles::{}_times", args.count);
    report.note(&name, &cycle_all(args.count, &args.module).into())?;
    report.end()
}

fn cycle_all(count: u32, module: &Path) -> Verdict {
    let mut before = Memory::look()?;
    for number in 0..count {
        if number == WARM_UP {
            before = Memory::look()?;
        }
        cycle(module).map_err(|stop| match stop {
            Stop::Failed(why) => Stop::Failed(format!("cycle {number}: {why}")),
            skipped => skipped,
        })?;
    }
    let grown = Memory::look()?.grown_since(&before);
    check!(
        count <= WARM_UP || grown < NOISE_KIB,
        "the kernel's objects grew by {grown} KiB, {NOISE_KIB} would be noise"
    );
    Ok(())
}

/// Inserts it, uses it, fails to remove it while it is used, removes it.
fn cycle(module: &Path) -> Verdict {
    let sessions = AtomicU64::new(0);
    let kept = {
        let file = File::open(module)?;
        finit_module(&file, sup_test_key::PARAMETER, 0)?;
        Session::open_in(Kind::Kernel)?
    };
    thread::scope(|scope| {
        let users: Vec<_> = (0..THREADS).map(|_| scope.spawn(|| use_it(&sessions))).collect();
        same!(delete_module(DRIVER, AT_ONCE), Err(Errno::AGAIN), "removal of a driver in use");
        for user in users {
            user.join().map_err(|_| Stop::failed("a thread panicked"))??;
        }
        Ok::<(), Stop>(())
    })?;
    // Relaxed: the threads were joined.
    check!(sessions.load(Ordering::Relaxed) > 0, "nobody used it");
    drop(kept);
    // The last close may still be on its way.
    for _ in 0..100 {
        match delete_module(DRIVER, AT_ONCE) {
            Ok(()) => {
                check!(!Path::new(DEVICE).exists(), "{DEVICE} is still there");
                return Ok(());
            }
            Err(Errno::AGAIN) => thread::sleep(Duration::from_millis(10)),
            Err(error) => return Err(error.into()),
        }
    }
    Err(Stop::failed("it cannot be removed although nobody uses it"))
}

fn use_it(sessions: &AtomicU64) -> Verdict {
    for _ in 0..3 {
        let session = Session::open_in(Kind::Kernel)?;
        let (event, memory) = (session.event()?, session.low_memory(3)?);
        check!(session.gip()?.now_ns() > 0);
        event.signal()?;
        same!(event.wait(Timeout::Poll), Ok(()));
        same!(memory.pages().count(), 3);
        // Relaxed: a count, read when the threads are gone.
        sessions.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}
