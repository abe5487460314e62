//! The command line of `supctl installation`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use sup_hardened::{PREFIX, ProgramName};

/// What to do with the files of an installation.
#[derive(Debug, Subcommand)]
pub(crate) enum InstallationCommand {
    Sign(SignFilesArgs),
    Verify(VerifyFilesArgs),
}

/// Write the manifest of the files as they are, and sign it; for who makes a package
#[derive(Debug, Args)]
pub(crate) struct SignFilesArgs {
    /// Where they are while the package is made
    #[arg(long, value_name = "DIR", default_value = PREFIX)]
    pub(crate) prefix: PathBuf,
    /// The secret key
    #[arg(long, value_name = "FILE")]
    pub(crate) key: PathBuf,
    /// A program that is started with privileges: bin/NAME and lib/supdrv/NAME.so; may stand several times
    #[arg(long = "program", value_name = "NAME", value_parser = program)]
    pub(crate) programs: Vec<ProgramName>,
}

/// Say of each file whether root alone can change it and whether it is the one that was packed
#[derive(Debug, Args)]
pub(crate) struct VerifyFilesArgs {
    /// Where they are
    #[arg(long, value_name = "DIR", default_value = PREFIX)]
    pub(crate) prefix: PathBuf,
    /// A file of public keys of which one has to have signed [default: those in /etc/supdrv/trusted]
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
}

fn program(name: &str) -> Result<ProgramName, String> {
    ProgramName::parse(name.as_bytes()).ok_or_else(|| {
        format!(
            "a name has up to {} letters, digits, '_', '-' and '.', and begins with one of the first three",
            ProgramName::BYTES_MAX
        )
    })
}
