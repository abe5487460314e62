//! What a program that a process starts has of the process' sessions: nothing, unless it is meant to.

use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::path::Path;
use std::process::{Command, ExitCode};

use rustix::io::{FdFlags, fcntl_setfd};
use sup::Session;
use sup::backend::{DEVICE, Kind};

use crate::check::{Stop, Verdict, check, same, tests};
use crate::device::{Device, Service};
use crate::observer::Observer;

tests! { "exec":
    a_program_inherits_nothing,
    a_program_inherits_what_it_is_meant_to,
}

/// What the started program is told.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The descriptor that it should have; without one, it should have no session
    #[arg(long, value_name = "FD", requires = "cookies")]
    descriptor: Option<RawFd>,
    /// The cookies of its session
    #[arg(long, num_args = 2)]
    cookies: Vec<u32>,
}

/// The descriptors of this process that are of the device.
fn descriptors() -> Verdict<Vec<RawFd>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc/self/fd")? {
        let entry = entry?;
        // The descriptor of this very folder is gone when its turn comes.
        if fs::read_link(entry.path()).is_ok_and(|file| file == Path::new(DEVICE)) {
            found.push(entry.file_name().to_string_lossy().parse()?);
        }
    }
    Ok(found)
}

/// In the started program.
///
/// # Errors
/// It is not as it should be, with the reason.
pub(crate) fn run(args: &Args) -> io::Result<ExitCode> {
    let verdict = descriptors().and_then(|found| match (args.descriptor, &args.cookies[..]) {
        (None, _) => {
            same!(found, Vec::<RawFd>::new(), "descriptors of {DEVICE} in a started program");
            Ok(())
        }
        (Some(number), &[cookie, session_cookie]) => {
            same!(found, vec![number]);
            // SAFETY: the descriptor is open, as was just seen, and nothing else here knows of it.
            let file = unsafe { OwnedFd::from_raw_fd(number) };
            let device = Device::adopt(file, [cookie, session_cookie]);
            same!(device.statistics()?.session.handles, 1);
            check!(device.allocate(Service::Low, 1)?.is_all(0)?);
            Ok(())
        }
        (Some(_), cookies) => Err(Stop::failed(format_args!("cookies {cookies:?}"))),
    });
    verdict.map_err(|stop| io::Error::other(format!("{stop:?}")))?;
    Ok(ExitCode::SUCCESS)
}

fn start(arguments: &[String]) -> Verdict {
    let output = Command::new("/proc/self/exe").arg("inherited").args(arguments).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    check!(output.status.success(), "the program ended with {}: {}", output.status, said.trim());
    Ok(())
}

fn a_program_inherits_nothing(_observer: &Observer) -> Verdict {
    let session = Session::open_in(Kind::Kernel)?;
    let _memory = session.low_memory(1)?;
    let _device = Device::open()?;
    // The observer's is the third.
    same!(descriptors()?.len(), 3);
    start(&[])
}

fn a_program_inherits_what_it_is_meant_to(observer: &Observer) -> Verdict {
    let device = Device::open()?;
    device.event()?;
    fcntl_setfd(&device, FdFlags::empty())?;
    let sessions = observer.sessions()?;
    let number = device.as_fd().as_raw_fd();
    let [cookie, session_cookie] = device.cookies();
    let arguments = ["--descriptor", &number.to_string(), "--cookies"].map(str::to_owned);
    start(&[&arguments[..], &[cookie.to_string(), session_cookie.to_string()]].concat())?;
    same!(observer.sessions()?, sessions, "sessions after the program has ended");
    // What it allocated and left is the session's.
    same!(device.statistics()?.session.memory_pages, 1);
    Ok(())
}
