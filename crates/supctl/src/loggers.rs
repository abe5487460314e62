//! `supctl log`: what the driver tells in the kernel's log.
//!
//! Neighbours: `sup` has the calls, `sup-core/src/logger/` the grammar; `log.rs` is this command's own log.
//! Invariant: a logger that is there is changed and never made anew, which would switch its groups off.

use sup::backend::Kind;
use sup::{LoggerKind, LoggerTexts, Session, Status};

use crate::cli::{LogCommand, LogSetArgs};
use crate::failure::Failure;
use crate::output;

pub(crate) fn run(command: &LogCommand) -> Result<(), Failure> {
    let session = Session::open()?;
    match command {
        LogCommand::Set(args) => set(&session, args)?,
        LogCommand::Destroy => {
            session.logger_destroy(LoggerKind::Debug)?;
            output::line("there is no debug logger")?;
        }
    }
    if session.backend().kind() == Kind::Embedded {
        output::note("the driver was the one in this process, and its settings have gone with it");
    }
    Ok(())
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
    output::line(format_args!("the {name} logger is {done}"))
}
