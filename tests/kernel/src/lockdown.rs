//! A locked-down kernel takes no code that nobody signed, also not from a driver that is there already.
//!
//! Lockdown cannot be undone: whatever runs in the guest afterwards runs under it.

use std::fs;
use std::io;
use std::process::ExitCode;

use rustix::io::Errno;
use rustix::mount::{MountFlags, mount};
use sup::backend::Kind;
use sup::{Session, Status};
use sup_modules::{HELLO, hello};
use sup_test_key::signed;

use crate::check::{Report, Stop, Verdict, check, same};

/// The kernel's own switch: what it is set to stands in brackets.
const SWITCH: &str = "/sys/kernel/security/lockdown";

/// # Errors
/// Standard output is gone.
pub(crate) fn run() -> io::Result<ExitCode> {
    let mut report = Report::start()?;
    report.note("lockdown::modules_load_before", &modules_load().into())?;
    report.note("lockdown::cannot_load_a_module", &cannot_load_a_module().into())?;
    report.end()
}

fn load(session: &Session) -> sup::Result<sup::ServiceModule> {
    session.load_service_image(&signed(HELLO.image, HELLO.name), HELLO.name, hello::SERVICE_HANDLER)
}

fn modules_load() -> Verdict {
    load(&Session::open_in(Kind::Kernel)?)?;
    Ok(())
}

fn cannot_load_a_module() -> Verdict {
    let session = Session::open_in(Kind::Kernel)?;
    lock_down()?;
    match load(&session) {
        Ok(_) => Err(Stop::failed("it loaded")),
        Err(error) => {
            same!(error.status(), Status::VERR_PERMISSION_DENIED);
            check!(error.to_string().contains("locked down"), "{error}");
            // What is no code works on.
            session.low_memory(1)?;
            Ok(())
        }
    }
}

fn lock_down() -> Verdict {
    match mount("securityfs", "/sys/kernel/security", "securityfs", MountFlags::empty(), None) {
        Ok(()) | Err(Errno::BUSY) => {}
        Err(Errno::NOENT | Errno::NODEV) => return Err(without_lockdown()),
        Err(error) => return Err(error.into()),
    }
    let is_there = fs::exists(SWITCH)?;
    if !is_there {
        return Err(without_lockdown());
    }
    fs::write(SWITCH, "integrity")?;
    let state = fs::read_to_string(SWITCH)?;
    check!(state.contains("[integrity]"), "the kernel says {state}");
    Ok(())
}

fn without_lockdown() -> Stop {
    Stop::Skipped("this kernel was built without lockdown".to_owned())
}
