//! A fuzzer of the device: calls from well-formed to noise, by several threads on several sessions.
//!
//! The requests come in rounds. Each is a process of its own ([`worker`]), so that sessions also end by
//! the end of their process; after each the driver must hold what it held before. The calls are made by
//! [`shot`], remembered answers ([`memory`]) make some of them meaningful, and they lie in an [`arena`].
//!
//! What is sent depends on the seed alone; what the driver answers, and in which order the threads come,
//! is the machine's. A failure names its round, and `--round` sends that one again.

mod arena;
mod memory;
mod shot;
mod worker;

use std::io::{self, Read, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime};

use sup_abi::request::TABLE;
use zerocopy::{FromZeros, IntoBytes};

use self::worker::{THREADS, Tally};
use crate::check::{Outcome, Report, Stop, Verdict, check};
use crate::observer::Observer;
use crate::process::Child;
use crate::random::Random;

/// How much, and with which random numbers.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The number of requests
    #[arg(long, default_value_t = 20_000, value_name = "N")]
    count: u64,
    /// Where the random numbers begin; that of a failed run sends the same requests
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Sends this round only
    #[arg(long, value_name = "N")]
    round: Option<u64>,
}

/// Requests of one process.
const ROUND: u64 = 2000;

/// How often it says how far it is.
const PROGRESS: Duration = Duration::from_secs(10);

/// So few requests may miss some by chance.
const ENOUGH_TO_REACH: u64 = 10_000;

/// Sends the requests of one round, and looks what is left.
fn round(observer: &Observer, random: &Random, count: u64) -> Verdict<Tally> {
    let before = observer.look()?;
    let (mut reader, mut writer) = io::pipe()?;
    let child = Child::start(|| {
        let tally = worker::run(random, count.div_ceil(u64::from(THREADS)))?;
        Ok(writer.write_all(tally.as_bytes())?)
    })?;
    drop(writer);
    let mut tally = Tally::new_zeroed();
    // A child that failed tells why at its end, and nothing here.
    let told = reader.read_exact(tally.as_mut_bytes());
    child.finish()?;
    told?;
    observer.wait_for(&before)?;
    Ok(tally)
}

/// Sends all of them; `sum` has what became of those that were sent before a failure.
fn send_all(args: &Args, random: &Random, observer: &Observer, sum: &mut Tally) -> Verdict {
    let rounds = args.round.map_or(0..args.count.div_ceil(ROUND), |round| round..round + 1);
    let begin = Instant::now();
    let mut said = begin;
    for number in rounds {
        let count = ROUND.min(args.count.saturating_sub(number * ROUND)).max(1);
        let tally = round(observer, &random.branch(number), count).map_err(|stop| match stop {
            Stop::Failed(why) => Stop::Failed(format!("round {number}: {why}")),
            skipped @ Stop::Skipped(_) => skipped,
        })?;
        sum.add(&tally);
        if said.elapsed() > PROGRESS {
            said = Instant::now();
            let (sent, seconds) = (number * ROUND + count, begin.elapsed().as_secs());
            writeln!(io::stdout(), "{sent} requests in {seconds} s")?;
        }
    }
    Ok(())
}

/// A fuzzer whose requests are all refused at the door finds nothing.
fn reaches_every_request(count: u64, tally: &Tally) -> Verdict {
    if count < ENOUGH_TO_REACH {
        return Err(Stop::Skipped(format!("needs --count {ENOUGH_TO_REACH} or more")));
    }
    for row in TABLE {
        let number = u32::from(row.function) as usize;
        let carried_out = tally.carried_out[number];
        check!(carried_out > 0, "{}: no packet was accepted", row.name);
        // Which processor the machine has decides over the first one; the next would need a VMMR0.r0, which
        // would do what a random request says, and the last a tracer, which would do the same.
        let may_fail = [
            "VtCaps",
            "CallVmm",
            "CallVmmBig",
            "CallVmmFast",
            "TracerOpen",
            "TracerClose",
            "TracerIoCtl",
        ]
        .contains(&row.name);
        check!(may_fail || tally.succeeded[number] > 0, "{}: none succeeded", row.name);
    }
    check!(tally.refused > 0, "no packet was refused");
    Ok(())
}

/// Sends, and reports what became of it.
///
/// # Errors
/// There is no driver, or standard output is gone.
pub(crate) fn run(args: &Args) -> io::Result<ExitCode> {
    let observer = Observer::open()?;
    let mut report = Report::start()?;
    let clock = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let seed = args.seed.unwrap_or(clock.as_nanos() as u64);
    writeln!(io::stdout(), "{} requests, --seed {seed}", args.count)?;

    let begin = Instant::now();
    let mut tally = Tally::default();
    let sent = send_all(args, &Random::new(seed), &observer, &mut tally);
    let carried_out: u64 = tally.carried_out.iter().sum();
    let succeeded: u64 = tally.succeeded.iter().sum();
    let seconds = begin.elapsed().as_secs_f64();
    writeln!(
        io::stdout(),
        "{carried_out} carried out, {succeeded} of them with success, {} refused, in {seconds:.1} s",
        tally.refused
    )?;
    let is_whole = sent.is_ok() && args.round.is_none();
    report.note("fuzz::does_no_harm", &Outcome::from(sent))?;
    if is_whole {
        let reached = reaches_every_request(args.count, &tally);
        report.note("fuzz::reaches_every_request", &reached.into())?;
    }
    report.end()
}
