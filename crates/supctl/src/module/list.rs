//! `supctl module list`: which ring-0 modules are loaded, by whom, and where.
//!
//! Neighbours: `output/tables.rs` makes the table. Invariant: what the driver does not tell this caller is
//! shown as unknown, never as nothing.

use serde::Serialize;
use sup::backend::Kind;
use sup::{LoadedModule, ModuleUse, Session, Signer};

use crate::cli::ListArgs;
use crate::failure::Failure;
use crate::output;

/// What the JSON document has.
#[derive(Debug, Serialize)]
struct List {
    backend: &'static str,
    modules: Vec<Listed>,
}

/// A module, for people and for programs.
#[derive(Debug, Serialize)]
pub(crate) struct Listed {
    pub(crate) name: String,
    pub(crate) sha256: String,
    /// All digits of the key; `None` if the module is not signed.
    pub(crate) signer: Option<String>,
    pub(crate) is_trusted: bool,
    /// `None` if the driver does not tell this caller.
    pub(crate) base: Option<String>,
    pub(crate) bytes: u32,
    pub(crate) references: u64,
    pub(crate) dependents: u64,
    pub(crate) running: u32,
    /// The sessions that the driver tells this caller of.
    pub(crate) users: Vec<User>,
}

/// A session that has loaded a module.
#[derive(Debug, Serialize)]
pub(crate) struct User {
    pub(crate) process: u32,
    pub(crate) user: u32,
    pub(crate) references: u64,
}

impl From<LoadedModule> for Listed {
    fn from(module: LoadedModule) -> Self {
        let signer = match module.signer {
            Signer::Nobody => None,
            Signer::Unknown(key) | Signer::Trusted(key) => Some(key.in_full().to_string()),
        };
        Self {
            name: module.name,
            sha256: module.hash.in_full().to_string(),
            signer,
            is_trusted: matches!(module.signer, Signer::Trusted(_)),
            base: module.base.map(|base| base.to_string()),
            bytes: module.image_bytes,
            references: module.references,
            dependents: module.dependents,
            running: module.running,
            users: module.uses.into_iter().map(User::from).collect(),
        }
    }
}

impl From<ModuleUse> for User {
    fn from(module_use: ModuleUse) -> Self {
        let ModuleUse { process, user, references } = module_use;
        Self { process: process.get(), user: user.get(), references }
    }
}

pub(crate) fn list(args: &ListArgs) -> Result<(), Failure> {
    let session = Session::open()?;
    let modules: Vec<_> = session.modules()?.into_iter().map(Listed::from).collect();
    let kind = session.backend().kind();
    if args.json {
        return output::json(&List { backend: kind.name(), modules });
    }
    match (modules.is_empty(), kind) {
        (false, _) => output::modules(&modules),
        (true, Kind::Kernel) => output::line("no module is loaded"),
        (true, Kind::Embedded) => output::line(
            "no module is loaded in this process; other processes have drivers of their own, and list \
             theirs with Session::modules",
        ),
    }
}
