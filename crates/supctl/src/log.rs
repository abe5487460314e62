//! The driver's log on standard error: warnings, or with `--verbose` everything.

use std::io::{IsTerminal, stderr};

use tracing_subscriber::EnvFilter;

use crate::output;

/// Starts showing the log. `RUST_LOG` decides for the command line.
pub(crate) fn start(is_verbose: bool) {
    let level = if is_verbose { "debug" } else { "warn" };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(output::log)
        .with_ansi(stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none())
        .without_time()
        .init();
}
