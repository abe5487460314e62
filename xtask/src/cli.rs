//! The command line of `cargo xtask`.

use clap::builder::PossibleValuesParser;
use clap::{Args, Parser, Subcommand};

use crate::install::InstallArgs;
use crate::kmod::KmodArgs;
use crate::steps::STEPS;
use crate::vm::args::VmCommand;

/// Build, test and measure supdrv.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Test(TestArgs),
    /// Compare the header's functions with what is exported and called, and write docs/api-status.md
    Api,
    Bench(BenchArgs),
    Install(InstallArgs),
    #[command(subcommand)]
    Vm(VmCommand),
    /// Build the ring-0 modules of the tree, copy them to target/modules and print their paths
    Modules,
    Kmod(KmodArgs),
}

/// Check the tree: format, house rules, lints, tests, documentation and the doctor's run
///
/// Without STEP the quick steps run in order, and stop at the first that fails. A step that this
/// machine cannot do is shown as skipped, with the reason and what to install.
#[derive(Debug, Args)]
pub(crate) struct TestArgs {
    /// Run the long steps too: sanitizers, loom, long property tests, valgrind, Miri
    #[arg(long)]
    pub(crate) full: bool,
    /// Go on after a step that failed
    #[arg(long)]
    pub(crate) keep_going: bool,
    /// List the steps and end
    #[arg(long)]
    pub(crate) list: bool,
    /// Run only these steps, quick or long
    #[arg(value_name = "STEP", value_parser = PossibleValuesParser::new(STEPS.iter().map(|step| step.name)))]
    pub(crate) steps: Vec<String>,
}

/// Measure, in the release build: every figure with its spread, its comparison and its goal
#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    /// The suite to run; without one all of them but `kernel`, which needs a guest
    pub(crate) suite: Option<String>,
    /// The kernel of the suite `kernel`, as for `cargo xtask vm`
    #[arg(long, default_value = "6.1", value_name = "V")]
    pub(crate) kernel: String,
    /// Print JSON instead of a table
    #[arg(long)]
    pub(crate) json: bool,
    /// List the suites and end
    #[arg(long)]
    pub(crate) list: bool,
    /// Exit with 1 if a goal is missed
    #[arg(long)]
    pub(crate) check: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn cannot_name_a_step_that_does_not_exist() {
        assert!(Cli::try_parse_from(["xtask", "test", "clippy", "docs"]).is_ok());
        assert!(Cli::try_parse_from(["xtask", "test", "no-such-step"]).is_err());
    }
}
