//! The command line of `supctl module`.
//!
//! Neighbours: `module/` holds a file for each command here.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{number, operation};

#[derive(Debug, Subcommand)]
pub(crate) enum ModuleCommand {
    New(NewArgs),
    Build(BuildArgs),
    Check(CheckArgs),
    Load(LoadArgs),
    Call(CallArgs),
}

/// Write a crate that is a working ring-0 module
#[derive(Debug, Args)]
pub(crate) struct NewArgs {
    /// The module's name: letters, digits, - and _
    #[arg(value_parser = module_name)]
    pub(crate) name: String,
    /// The folder to make for it [default: the name]
    #[arg(long, value_name = "FOLDER")]
    pub(crate) folder: Option<PathBuf>,
    /// Where the kit is [default: where it was when supctl was built]
    #[arg(long, value_name = "FOLDER")]
    pub(crate) kit: Option<PathBuf>,
}

/// Compile a crate for ring 0, and print where the module is
#[derive(Debug, Args)]
pub(crate) struct BuildArgs {
    /// The crate's folder
    #[arg(default_value = ".")]
    pub(crate) folder: PathBuf,
}

/// Say rule by rule whether and where a module would load; nothing of it runs
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// The module's file
    pub(crate) file: PathBuf,
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

/// A name that is one of a crate, of a file and of a module at the same time.
fn module_name(text: &str) -> Result<String, String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let starts_well = text.starts_with(|c: char| c.is_ascii_alphabetic());
    if starts_well && text.chars().all(is_plain) && text.len() <= sup_abi::SERVICE_NAME_CHARS_MAX {
        return Ok(text.to_owned());
    }
    Err(format!(
        "a name begins with a letter and has at most {} letters, digits, - and _",
        sup_abi::SERVICE_NAME_CHARS_MAX
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_has_a_plain_name() {
        assert!(module_name("page-table_2").is_ok());
        for wrong in ["", "2nd", "a/b", "..", "a b", "über", &"x".repeat(28)] {
            assert!(module_name(wrong).is_err(), "{wrong}");
        }
    }
}
