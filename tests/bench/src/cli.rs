//! The command line.

use clap::Parser;
use clap::builder::PossibleValuesParser;

use crate::suites::SUITES;

/// Measure supdrv: every figure with its spread, its comparison and its goal
#[derive(Debug, Parser)]
#[command(name = "bench")]
pub(crate) struct Cli {
    /// The suite to run; all of them without one
    #[arg(value_parser = PossibleValuesParser::new(SUITES.iter().map(|suite| suite.name)))]
    suite: Option<String>,
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

impl Cli {
    pub(crate) fn wants(&self, suite: &str) -> bool {
        self.suite.as_deref().is_none_or(|wanted| wanted == suite)
    }
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
    fn cannot_run_a_suite_that_does_not_exist() {
        assert!(Cli::try_parse_from(["bench", "slice"]).is_ok_and(|cli| cli.wants("slice")));
        assert!(Cli::try_parse_from(["bench", "no-such-suite"]).is_err());
    }
}
