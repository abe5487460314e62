//! The command line of `supctl`.

mod installation;
mod loggers;
mod module;
mod trace;
mod trace_file;

use std::path::PathBuf;

use anstyle::{AnsiColor, Style};
use clap::builder::Styles;
use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use sup::Status;

pub(crate) use self::installation::{InstallationCommand, SignFilesArgs, VerifyFilesArgs};
pub(crate) use self::loggers::{LogArgs, LogCommand, LogSetArgs, LogShowArgs};
pub(crate) use self::module::{
    BuildArgs, CallArgs, CheckArgs, KeygenArgs, ListArgs, LoadArgs, ModuleCommand, NewArgs,
    SignArgs, VerifyArgs,
};

pub(crate) use self::trace::{
    FullPolicy, Pattern, TraceCommand, TraceListArgs, TraceRecordArgs, TraceRunArgs, TraceStatArgs,
    TracerArgs,
};
pub(crate) use self::trace_file::{ExportArgs, ReportArgs, TraceFormat};

const STYLES: Styles = Styles::styled()
    .header(Style::new().bold())
    .usage(Style::new().bold())
    .literal(AnsiColor::Cyan.on_default())
    .error(AnsiColor::Red.on_default().bold());

/// The command of supdrv: check a machine, look at its clock, load and call ring-0 modules
///
/// Without a command it is the doctor.
#[derive(Debug, Parser)]
#[command(name = "supctl", version, styles = STYLES, max_term_width = 100, after_help = AFTER_HELP)]
pub(crate) struct Cli {
    /// Show the driver's log on standard error; RUST_LOG has the last word
    #[arg(short, long, global = true)]
    pub(crate) verbose: bool,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

const AFTER_HELP: &str = "\
SUP_BACKEND=embedded|kernel|daemon:PATH chooses the driver. Without it, it is the kernel's if
/dev/supdrv can be opened, and else the one in this process.";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Doctor(DoctorArgs),
    /// Ring-0 modules
    #[command(subcommand)]
    Module(ModuleCommand),
    /// Probes, and the tracer in the box
    #[command(subcommand)]
    Trace(TraceCommand),
    Verify(VerifyPathArgs),
    /// The files of this installation
    #[command(subcommand)]
    Installation(InstallationCommand),
    Install(InstallArgs),
    Uninstall(UninstallArgs),
    Gip(GipArgs),
    /// What the driver tells in the kernel's log
    Log(LogArgs),
    Status(StatusArgs),
    Completions(CompletionsArgs),
}

/// Go through each service with real work, and say how it did
///
/// Exits with 0 only if every check passed. A check that failed says what to do.
#[derive(Debug, Default, Args)]
pub(crate) struct DoctorArgs {
    /// Print one JSON document
    #[arg(long)]
    pub(crate) json: bool,
}

/// Say whether root alone can change a file or folder, and list everything that says otherwise
///
/// Every folder above it counts too. Nothing is changed, and Ctrl-C ends it at any time. Exits with 0 only
/// if there is no violation.
#[derive(Debug, Args)]
pub(crate) struct VerifyPathArgs {
    /// From the root, without links, `.` and `..`
    pub(crate) path: PathBuf,
    /// All that is in the folder, too
    #[arg(short, long)]
    pub(crate) recursive: bool,
    /// Print one JSON document
    #[arg(long)]
    pub(crate) json: bool,
}

/// Bring the kernel's driver onto this machine: find or build it, load it, give out its device
///
/// Takes root. A line for each step; what is there already is left as it is. Exits with 0 only if the
/// driver is there at the end.
#[derive(Debug, Args)]
pub(crate) struct InstallArgs {
    /// Change nothing, and tell what would be done
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// Take the kernel's driver off this machine again
///
/// Takes root. What others made stays: a driver that was put there by hand, a changed rule, the group.
#[derive(Debug, Args)]
pub(crate) struct UninstallArgs {
    /// Change nothing, and tell what would be done
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// Look at the Global Information Page, the driver's clock
///
/// Once, again and again, or for a while with a picture at the end.
#[derive(Debug, Args)]
pub(crate) struct GipArgs {
    /// Print one JSON document; with --watch one a line
    #[arg(long, conflicts_with = "plot")]
    pub(crate) json: bool,
    /// Look until Ctrl-C: a table that stays in its place on a terminal, else a line for each processor
    #[arg(long)]
    pub(crate) watch: bool,
    /// Time between two looks
    #[arg(long, value_name = "MS", default_value_t = 1000, requires = "watch")]
    pub(crate) interval_ms: u64,
    /// End after so many looks
    #[arg(long, value_name = "N", requires = "watch")]
    pub(crate) count: Option<u64>,
    /// Measure, and draw error and interval over time and a histogram of what a read costs
    #[arg(long, value_name = "FILE.svg", conflicts_with = "watch")]
    pub(crate) plot: Option<PathBuf>,
    /// How long to measure
    #[arg(long, value_name = "S", default_value_t = 10, requires = "plot",
          value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub(crate) seconds: u64,
}

/// Explain a status, by its number or its name; without one, list them all
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// As in -2 or VERR_INVALID_PARAMETER
    #[arg(value_name = "CODE-OR-NAME", value_parser = status, allow_negative_numbers = true)]
    pub(crate) status: Option<Status>,
}

/// Print a completion script for a shell
#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell
    pub(crate) shell: Shell,
}

fn number(text: &str) -> Result<u64, String> {
    let hexadecimal = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    let number = match hexadecimal {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    };
    number.map_err(|error| error.to_string())
}

fn operation(text: &str) -> Result<u32, String> {
    u32::try_from(number(text)?).map_err(|_| "an operation has 32 bits".to_owned())
}

fn status(text: &str) -> Result<Status, String> {
    match text.parse() {
        Ok(number) => Ok(Status::new(number)),
        Err(_) => Status::from_name(&text.to_ascii_uppercase())
            .ok_or_else(|| "neither a number nor the name of a status".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn numbers_are_decimal_or_hexadecimal() {
        assert_eq!(number("42"), Ok(42));
        assert_eq!(number("0xffffffffffffffff"), Ok(u64::MAX));
        assert_eq!(operation("0x10"), Ok(16));
        for wrong in ["", "0x", "-1", "1k", "0x10000000000000000"] {
            assert!(number(wrong).is_err(), "{wrong}");
        }
        assert!(operation("0x100000000").is_err());
    }

    #[test]
    fn a_status_has_a_number_and_a_name() {
        assert_eq!(status("-2"), Ok(Status::VERR_INVALID_PARAMETER));
        assert_eq!(status("verr_invalid_parameter"), Ok(Status::VERR_INVALID_PARAMETER));
        assert!(status("VERR_NONSENSE").is_err());
    }
}
