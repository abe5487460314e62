//! `supctl module new`: writes a crate that is a working ring-0 module.
//!
//! Neighbours: `build` compiles it; `modules/echo` is the longer example. Invariant: a folder that is
//! there already is left alone.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use sup::Status;

use super::call::handler_name;
use crate::cli::NewArgs;
use crate::failure::Failure;
use crate::output;

/// Where the kit was when this program was built.
const KIT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../sup-module");

pub(super) fn new(args: &NewArgs) -> Result<(), Failure> {
    let folder = args.folder.clone().unwrap_or_else(|| PathBuf::from(&args.name));
    let source = folder.join("src");
    if let Err(error) = fs::create_dir(&folder) {
        let is_there = error.kind() == ErrorKind::AlreadyExists;
        return Err(if is_there {
            Failure::Refused { path: folder, status: Status::VERR_ALREADY_EXISTS }
        } else {
            Failure::of_file(&folder)(error)
        });
    }
    fs::create_dir(&source).map_err(Failure::of_file(&source))?;
    let kit = args.kit.clone().unwrap_or_else(|| PathBuf::from(KIT));
    write(&folder.join("Cargo.toml"), &manifest(&args.name, &kit))?;
    write(&source.join("lib.rs"), &library(&args.name))?;
    output::line(format_args!("{}: now `supctl module build {0}`", folder.display()))
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    fs::write(path, text).map_err(Failure::of_file(path))
}

/// The crate's manifest, a workspace of its own. It names the kit by its folder if that is there, and
/// else by its version.
fn manifest(name: &str, kit: &Path) -> String {
    let kit = match kit.canonicalize() {
        Ok(path) => format!("{{ path = {:?} }}", path.display().to_string()),
        Err(_) => format!("{:?}", env!("CARGO_PKG_VERSION")),
    };
    format!(
        "[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n\
         [dependencies]\nsup-module = {kit}\nzerocopy = {{ version = \"0.8\", features = [\"derive\"] }}\n\n\
         [workspace]\n"
    )
}

fn library(name: &str) -> String {
    TEMPLATE.replace("NAME", name).replace("HANDLER", &handler_name(name))
}

const TEMPLATE: &str = r#"//! NAME: a ring-0 module.

#![no_std]

use sup_module::{Call, Module, Result, SUPR0SERVICEREQHDR, Status, log, ring0_module};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

ring0_module! {
    init: start,
    term: end,
    service: HANDLER => serve,
}

/// Adds two numbers, with an [`Add`] packet.
pub const OP_ADD: u32 = 1;

/// The packet of [`OP_ADD`].
#[derive(Debug, FromBytes, Immutable, IntoBytes, KnownLayout)]
#[repr(C)]
pub struct Add {
    /// The driver checks its magic and its size.
    pub header: SUPR0SERVICEREQHDR,
    /// In.
    pub left: u64,
    /// In.
    pub right: u64,
    /// Out.
    pub sum: u64,
}

fn start(module: Module) -> Result<()> {
    log!("NAME: hello, I am {module}");
    Ok(())
}

fn end(module: Module) {
    log!("NAME: goodbye from {module}");
}

fn serve(mut call: Call<'_>) -> Result<Status> {
    match call.operation {
        0 => Ok(Status::VINF_SUCCESS),
        OP_ADD => {
            let packet: &mut Add = call.packet.view()?;
            packet.sum = packet.left.wrapping_add(packet.right);
            Ok(Status::VINF_SUCCESS)
        }
        _ => Err(Status::VERR_NOT_SUPPORTED),
    }
}
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crate_has_its_name_wherever_it_belongs() {
        let text = library("page-table");
        assert!(text.contains("pageTableServiceReqHandler => serve"), "{text}");
        assert!(!text.contains("NAME") && !text.contains("HANDLER"));
        assert!(manifest("page-table", Path::new(KIT)).contains("name = \"page-table\""));
        let without = manifest("page-table", Path::new("/nonexistent"));
        assert!(without.contains(concat!("sup-module = \"", env!("CARGO_PKG_VERSION"))));
    }
}
