//! `supctl module load`: loads a ring-0 module, says where it went, frees it.
//!
//! Neighbours: `call` calls one. Invariant: the module is freed when the command ends.

use std::fs;
use std::path::Path;

use sup::Session;
use sup::backend::Kind;

use crate::cli::LoadArgs;
use crate::failure::Failure;
use crate::output;

pub(crate) fn load(args: &LoadArgs) -> Result<(), Failure> {
    let image = fs::read(&args.file).map_err(Failure::of_file(&args.file))?;
    let name = args.name.clone().unwrap_or_else(|| module_name(&args.file));
    let session = Session::open()?;
    let module = session.load_image(&image, &name, args.handler.as_deref().unwrap_or_default())?;
    output::fields(&[
        ("module", name),
        ("file", args.file.display().to_string()),
        ("backend", session.backend().to_string()),
        ("base", module.base().to_string()),
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

/// The file's name without its ending.
fn module_name(file: &Path) -> String {
    file.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_named_after_their_file() {
        assert_eq!(module_name(Path::new("/tmp/hello.r0")), "hello");
        assert_eq!(module_name(Path::new("/")), "");
    }
}
