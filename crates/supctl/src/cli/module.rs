//! The command line of `supctl module`.
//!
//! Neighbours: `module/` holds a file for each command here.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use sup_signature::DriverVersion;

use super::{number, operation};

#[derive(Debug, Subcommand)]
pub(crate) enum ModuleCommand {
    New(NewArgs),
    Build(BuildArgs),
    Check(CheckArgs),
    Keygen(KeygenArgs),
    Sign(SignArgs),
    Verify(VerifyArgs),
    Load(LoadArgs),
    Call(CallArgs),
    List(ListArgs),
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

/// Make a key to sign modules with, and print its public half
///
/// Without a file it is this user's key, which this user's own drivers trust.
#[derive(Debug, Args)]
pub(crate) struct KeygenArgs {
    /// Where to keep the secret [default: supdrv/signing.key in the configuration folder]
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

/// Sign a module; a signature that it has is replaced
#[derive(Debug, Args)]
pub(crate) struct SignArgs {
    /// The module's file
    pub(crate) file: PathBuf,
    /// The name that it loads under [default: the file's name without its ending]
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// The secret key [default: this user's, which is made if there is none]
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
    /// Declare that the code leaves vector registers and the red zone alone, as the kernel demands;
    /// refused if the code shows otherwise
    #[arg(long)]
    pub(crate) kernel_grade: bool,
    /// Declare that every exported function begins with a landing pad; refused if one does not
    #[arg(long)]
    pub(crate) landing_pads: bool,
    /// The oldest driver that it works with [default: this version]
    #[arg(long, value_name = "VERSION", value_parser = driver_version)]
    pub(crate) minimum_driver: Option<DriverVersion>,
    /// Write the signature to FILE.sig, and leave the file as it is
    #[arg(long)]
    pub(crate) detached: bool,
}

/// Say whether a module's signature holds, by whom it is and what it declares
#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// The module's file
    pub(crate) file: PathBuf,
    /// The name that it is to load under [default: the file's name without its ending]
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// A file with the public keys to trust [default: those that this user's own drivers trust]
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
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

/// Show which ring-0 modules are loaded, by whom, and where
///
/// Everybody sees names, hashes, signers and counts. In the kernel, other users' sessions and the
/// addresses of modules are for those with CAP_SYS_MODULE. In the embedded backend each process has a
/// driver of its own, and that of this command has loaded nothing.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Print one JSON document
    #[arg(long)]
    pub(crate) json: bool,
}

fn driver_version(text: &str) -> Result<DriverVersion, String> {
    DriverVersion::parse(text).ok_or_else(|| "a version is three numbers, as in 0.1.0".to_owned())
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
