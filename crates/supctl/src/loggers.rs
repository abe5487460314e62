//! `supctl log`: what the driver tells in the kernel's log.
//!
//! Neighbours: `sup` has the calls, `sup-core/src/logger/` the grammar; `log.rs` is this command's own log.
//! Invariant: a logger that is there is changed and never made anew, which would switch its groups off.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use serde::Serialize;
use sup::backend::Kind;
use sup::{LoggerKind, LoggerState, LoggerTexts, Session, Status};

use crate::cli::{LogArgs, LogCommand, LogSetArgs, LogShowArgs};
use crate::failure::Failure;
use crate::output;

/// What the JSON document has.
#[derive(Debug, Serialize)]
struct Shown {
    backend: &'static str,
    /// Where the driver's messages go, whatever texts say.
    destination: &'static str,
    debug: Option<Settings>,
    release: Option<Settings>,
    /// `None`: as many lines as come.
    lines_per_second: Option<NonZeroU32>,
}

/// What a logger that is there does, as texts that `set` takes, and each group in bits.
#[derive(Debug, Serialize)]
struct Settings {
    flags: String,
    groups: String,
    bits: BTreeMap<String, u32>,
}

impl Settings {
    fn of(state: &LoggerState) -> Option<Self> {
        state.is_there.then(|| Self {
            flags: state.flags_text(),
            groups: state.groups_text(),
            bits: state.groups.iter().cloned().collect(),
        })
    }
}

pub(crate) fn run(args: &LogArgs) -> Result<(), Failure> {
    let session = Session::open()?;
    match &args.command {
        None => return show(&session, args.show),
        Some(LogCommand::Show(args)) => return show(&session, *args),
        Some(LogCommand::Set(args)) => set(&session, args)?,
        Some(LogCommand::Destroy) => {
            session.logger_destroy(LoggerKind::Debug)?;
            output::line("there is no debug logger")?;
        }
    }
    if session.backend().kind() == Kind::Embedded {
        output::note("the driver was the one in this process, and its settings have gone with it");
    }
    Ok(())
}

fn show(session: &Session, args: LogShowArgs) -> Result<(), Failure> {
    let kind = session.backend().kind();
    let debug = session.logger_state(LoggerKind::Debug)?;
    let release = session.logger_state(LoggerKind::Release)?;
    let shown = Shown {
        backend: kind.name(),
        destination: match kind {
            Kind::Embedded => "tracing, in the process of the driver",
            Kind::Kernel => "the kernel's log",
        },
        debug: Settings::of(&debug),
        release: Settings::of(&release),
        lines_per_second: debug.print_limit,
    };
    if args.json { output::json(&shown) } else { tell(&shown) }
}

fn tell(shown: &Shown) -> Result<(), Failure> {
    output::line(format_args!("backend         {}", shown.backend))?;
    output::line(format_args!("destination     {}", shown.destination))?;
    tell_logger("debug logger", shown.debug.as_ref(), "messages for developers are not told")?;
    tell_logger("release logger", shown.release.as_ref(), "all information is told")?;
    match shown.lines_per_second {
        Some(lines) => output::line(format_args!("lines a second  {lines} of each module")),
        None => output::line("lines a second  as many as come"),
    }
}

fn tell_logger(name: &str, settings: Option<&Settings>, without: &str) -> Result<(), Failure> {
    let Some(Settings { flags, groups, .. }) = settings else {
        return output::line(format_args!("{name:<16}none: {without}"));
    };
    let [flags, groups] = [flags, groups].map(|text| if text.is_empty() { "none" } else { text });
    output::line(format_args!("{name:<16}flags {flags}"))?;
    output::line(format_args!("{:<16}groups {groups}", ""))
}

fn set(session: &Session, args: &LogSetArgs) -> Result<(), Failure> {
    let (kind, name) = match args.release {
        true => (LoggerKind::Release, "release"),
        false => (LoggerKind::Debug, "debug"),
    };
    let texts = LoggerTexts {
        flags: args.flags.as_deref().unwrap_or_default(),
        groups: args.groups.as_deref().unwrap_or_default(),
        destination: "",
    };
    let done = match session.logger_settings(kind, texts) {
        Err(error) if error.status() == Status::VERR_NOT_FOUND => {
            session.logger_create(kind, texts)?;
            "made"
        }
        changed => {
            changed?;
            "changed"
        }
    };
    output::line(format_args!("the {name} logger is {done}"))?;
    let now = Settings::of(&session.logger_state(kind)?);
    tell_logger("", now.as_ref(), "it has gone meanwhile")
}
