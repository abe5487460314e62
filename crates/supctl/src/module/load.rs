//! `supctl module load`: loads a ring-0 module, says where it went, frees it.
//!
//! Neighbours: `call` calls one. Invariant: the module is freed when the command ends.

use sup::backend::Kind;
use sup::{Session, Signer};

use super::module_name;
use crate::cli::LoadArgs;
use crate::failure::Failure;
use crate::output;

pub(crate) fn load(args: &LoadArgs) -> Result<(), Failure> {
    let image = sup::read_signed(&args.file).map_err(Failure::of_file(&args.file))?;
    let name = args.name.clone().unwrap_or_else(|| module_name(&args.file));
    let session = Session::open()?;
    let module = session.load_image(&image, &name, args.handler.as_deref().unwrap_or_default())?;
    output::fields(&[
        ("module", name),
        ("file", args.file.display().to_string()),
        ("backend", session.backend().to_string()),
        ("base", module.base().to_string()),
        ("signer", signer(module.signer())),
        ("size", format!("{} bytes", module.image_bytes())),
        ("loaded", if module.was_loaded() { "already, once more now" } else { "just now" }.into()),
    ])?;
    module.free()?;
    output::line(match session.backend().kind() {
        Kind::Embedded => {
            "freed: in the embedded backend a module ends with its process at the latest"
        }
        Kind::Kernel => "freed: in the kernel a module ends with its last session at the latest",
    })
}

/// By whom a module is signed, in words.
fn signer(signer: Signer) -> String {
    match signer {
        Signer::Nobody => "none: the module is unsigned".to_owned(),
        Signer::Unknown(key) => format!("{key}, which this driver does not trust"),
        Signer::Trusted(key) => format!("{key}, which this driver trusts"),
    }
}
