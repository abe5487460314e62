//! The command line of `supctl log`.

use clap::{Args, Subcommand};

/// What to do with the driver's loggers; without a command they are shown.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct LogArgs {
    #[command(subcommand)]
    pub(crate) command: Option<LogCommand>,
    #[command(flatten)]
    pub(crate) show: LogShowArgs,
}

/// What to do with the driver's loggers.
#[derive(Debug, Subcommand)]
pub(crate) enum LogCommand {
    Show(LogShowArgs),
    Set(LogSetArgs),
    /// Destroy the debug logger; without one, messages for developers are not made
    Destroy,
}

/// Show the settings of both loggers, and how much modules may print; without a command the same
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct LogShowArgs {
    /// Print one JSON document
    #[arg(long)]
    pub(crate) json: bool,
}

/// Change what the driver tells in the kernel's log; makes the logger if it is not there
///
/// The settings are the machine's, and stay until they are changed or the driver goes. Takes CAP_SYS_MODULE.
/// docs/logger.md has the names.
#[derive(Debug, Args)]
#[group(id = "what", required = true, multiple = true, args = ["flags", "groups"])]
pub(crate) struct LogSetArgs {
    /// The release logger, which decides about information; it stays until the driver goes
    #[arg(long)]
    pub(crate) release: bool,
    /// The debug logger, which decides about messages for developers: the default
    #[arg(long, conflicts_with = "release")]
    pub(crate) debug: bool,
    /// What stands before a line, as in "tsc pid nodisabled"
    #[arg(long, value_name = "FLAGS", allow_hyphen_values = true)]
    pub(crate) flags: Option<String>,
    /// What is told, as in "all.e.l2 -sup"
    #[arg(long, value_name = "GROUPS", allow_hyphen_values = true)]
    pub(crate) groups: Option<String>,
}
