//! The command line of `supctl module`.
//!
//! Neighbours: `module/` holds a file for each command here.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{number, operation};

#[derive(Debug, Subcommand)]
pub(crate) enum ModuleCommand {
    Load(LoadArgs),
    Call(CallArgs),
}

/// Load a ring-0 module, say where it went, and free it
#[derive(Debug, Args)]
pub(crate) struct LoadArgs {
    /// The module's file
    pub(crate) file: PathBuf,
    /// Its name in the driver [default: the file's name without its ending]
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// The function that serves requests, if it must have one
    #[arg(long, value_name = "SYMBOL")]
    pub(crate) handler: Option<String>,
}

/// Load a ring-0 module as a service, call an operation of it, and free it
///
/// Prints the status and, as a hex dump, the request packet as the service left it.
#[derive(Debug, Args)]
pub(crate) struct CallArgs {
    /// The module's file
    pub(crate) file: PathBuf,
    /// The service's name in the driver
    pub(crate) service: String,
    /// The operation
    #[arg(value_name = "OP", value_parser = operation)]
    pub(crate) operation: u32,
    /// The operation's argument, decimal or 0x hexadecimal
    #[arg(long = "arg", value_name = "N", default_value = "0", value_parser = number)]
    pub(crate) argument: u64,
    /// A file with the whole request packet, its header included
    #[arg(long, value_name = "FILE")]
    pub(crate) request_file: Option<PathBuf>,
    /// Write the changed packet there instead of dumping it
    #[arg(long, value_name = "FILE", requires = "request_file")]
    pub(crate) output: Option<PathBuf>,
    /// The function that serves requests [default: the service's name in camel case with
    /// ServiceReqHandler behind it, as in helloServiceReqHandler]
    #[arg(long, value_name = "SYMBOL")]
    pub(crate) handler: Option<String>,
}
