//! A fault in a ring-0 module: who called dies, the log tells where in the module it was, and the machine
//! and the driver go on for everybody else.
//!
//! One oops a run, which whoever runs this has to expect (`Suite::oops` of `xtask`,
//! `cargo xtask vm run --expect-oops`).
//!
//! Where it was is known from two sides that have nothing to do with each other: the kernel's own report has
//! the address, and the driver listed where the module is.

use std::io;
use std::process::ExitCode;

use sup::backend::Kind;
use sup::{ServiceModule, Session, Status};
use sup_modules::{HELLO, hello};
use sup_ring0::elf::functions;
use sup_test_key::signed;
use sup_verdict::KernelLog;

use crate::check::{Report, Stop, Verdict, check, same};
use crate::process::{Child, End};

/// The module of `crates/supctl/tests/crash.rs`.
const WILD: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/wild.r0"));
const NAME: &str = "wild";
const HANDLER: &str = "wildServiceReqHandler";
/// Divides by its argument.
const OP_DIVIDE: u32 = 2;

/// What the module does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Mistake {
    /// It writes where nothing is
    Write,
    /// It calls what is no code
    Call,
    /// It divides by zero
    Divide,
    /// It has an instruction that there is not
    Undefined,
}

impl Mistake {
    /// The operation, its argument, and the function that faults; `None` if that is in no module.
    fn details(self) -> (u32, u64, Option<&'static str>) {
        match self {
            Self::Write => (0, 0x1f8, Some("wildWrite")),
            Self::Call => (1, 0x2a8, None),
            Self::Divide => (OP_DIVIDE, 0, Some("wildDivide")),
            Self::Undefined => (3, 0, Some(HANDLER)),
        }
    }
}

/// Which fault.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[arg(long, value_enum, default_value = "write")]
    fault: Mistake,
}

/// # Errors
/// Standard output is gone, or there is no driver.
pub(crate) fn run(args: &Args) -> io::Result<ExitCode> {
    let session = Session::open_in(Kind::Kernel).map_err(io::Error::other)?;
    let mut report = Report::start()?;
    let (ends, told) = match fault(&session, args.fault) {
        Ok(found) => (Ok(()), found.is_told_of(args.fault)),
        Err(stop) => (Err(stop), Err(Stop::Skipped("there was no oops".to_owned()))),
    };
    report.note("oops::ends_who_called", &ends.into())?;
    report.note("oops::is_told_of_with_module_offset_and_function", &told.into())?;
    report.note("oops::leaves_a_driver_that_answers", &answers(&session).into())?;
    report.end()
}

fn load(session: &Session) -> sup::Result<ServiceModule> {
    session.load_service_image(&signed(WILD, NAME), NAME, HANDLER)
}

/// What is known of an oops.
#[derive(Debug)]
struct Found {
    /// Where the module lies.
    base: u64,
    /// The kernel's log since the call.
    log: Vec<String>,
}

/// Has a process call what faults, and looks how it ends.
fn fault(session: &Session, mistake: Mistake) -> Verdict<Found> {
    let mut log = KernelLog::from_now()?;
    // It stays until the address is known.
    let module = load(session)?;
    let modules = session.modules()?;
    let listed = modules.iter().find(|listed| listed.name == NAME);
    let base = listed.and_then(|listed| listed.base);
    let base = base.ok_or_else(|| Stop::failed("the driver does not tell where the module is"))?;
    let (operation, argument, _) = mistake.details();
    let mut caller = Child::start(|| {
        let session = Session::open_in(Kind::Kernel)?;
        let answer = load(&session)?.call(operation, argument);
        Err(Stop::failed(format_args!("the module did not fault: {answer:?}")))
    })?;
    let end = caller.wait()?;
    // Which of the two, the kernel decides by the kind of fault.
    let is_killed = [libc::SIGKILL, libc::SIGSEGV].map(End::Killed).contains(&end);
    check!(is_killed, "who called ended otherwise: {end:?}");
    // Others may still use the module.
    same!(module.call(OP_DIVIDE, 2)?.raw(), 20);
    Ok(Found { base: base.get(), log: log.lines()? })
}

impl Found {
    fn is_told_of(&self, mistake: Mistake) -> Verdict {
        let places = |word| self.log.iter().filter_map(move |line| line.strip_prefix(word));
        let faults: Vec<&str> = places("supdrv: module wild+0x").collect();
        let mut callers = places("supdrv: called from module wild+0x");
        if let Some(function) = mistake.details().2 {
            let [fault] = faults[..] else {
                return Err(Stop::failed(format_args!("not one place: {:#?}", self.log)));
            };
            let (offset, inside) = numbers(fault, function)?;
            // The kernel's own word for the same place.
            let address = places("RIP: 0010:").find_map(|rest| {
                let digits = rest.trim_start_matches("0x");
                u64::from_str_radix(digits.split(|c: char| !c.is_ascii_hexdigit()).next()?, 16).ok()
            });
            same!(address, Some(self.base + offset), "the kernel's report: {:#?}", self.log);
            let start = functions(WILD).find(|symbol| symbol.name == function.as_bytes());
            let start = start.ok_or_else(|| Stop::failed("the module lacks the function"))?;
            same!(offset, start.address + inside);
            check!(inside < start.bytes);
        } else {
            check!(faults.is_empty(), "{faults:?}");
        }
        if mistake != Mistake::Undefined {
            let caller = callers.next();
            let caller = caller.ok_or_else(|| Stop::failed("no caller was told of"))?;
            numbers(caller, HANDLER)?;
        }
        Ok(())
    }
}

/// The offsets in `OFFSET (FUNCTION+0xOFFSET)`, in the module and in its function.
fn numbers(place: &str, function: &str) -> Verdict<(u64, u64)> {
    let parse = || {
        let (offset, rest) = place.split_once(" (")?;
        let (name, inside) = rest.trim_end().strip_suffix(')')?.split_once("+0x")?;
        let number = |digits| u64::from_str_radix(digits, 16).ok();
        (name == function).then_some((number(offset)?, number(inside)?))
    };
    parse().ok_or_else(|| Stop::failed(format_args!("'{place}' is no place in {function}")))
}

/// What can be asked of a driver is answered as ever.
fn answers(session: &Session) -> Verdict {
    session.low_memory(1)?;
    let other = Session::open_in(Kind::Kernel)?;
    let image = signed(HELLO.image, HELLO.name);
    let module = other.load_service_image(&image, HELLO.name, hello::SERVICE_HANDLER)?;
    for operation in [hello::OP_OBJECT, hello::OP_SEMAPHORE] {
        same!(module.call(operation, 0)?, Status::VINF_SUCCESS, "operation {operation}");
    }
    module.free()?;
    // The call that faulted never returns, so its module stays.
    let modules = session.modules()?;
    check!(modules.iter().any(|listed| listed.name == NAME), "{modules:?}");
    Ok(())
}
