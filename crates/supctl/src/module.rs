//! `supctl module`: loads a ring-0 module, calls it, frees it.

use std::fs;
use std::path::Path;

use sup::Session;
use sup::backend::Kind;

use crate::cli::{CallArgs, LoadArgs};
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

pub(crate) fn call(args: &CallArgs) -> Result<(), Failure> {
    let request = args.request_file.as_deref();
    let request = request.map(|path| fs::read(path).map_err(Failure::of_file(path))).transpose()?;
    let handler = args.handler.clone().unwrap_or_else(|| handler_name(&args.service));
    let session = Session::open()?;
    let service = session.load_service_module(&args.file, &args.service, &handler)?;

    let mut packet = request.clone();
    let answer = match &mut packet {
        None => service.call(args.operation, args.argument),
        Some(packet) => service.call_with(args.operation, args.argument, packet.as_mut_slice()),
    };
    if let Ok(status) = &answer {
        output::line(status)?;
    }
    // A service that fails may say more in its packet.
    let is_answered = answer.is_ok() || packet != request;
    match (packet, &args.output) {
        (Some(packet), Some(path)) if is_answered => {
            fs::write(path, packet).map_err(Failure::of_file(path))?;
        }
        (Some(packet), None) if is_answered => output::hex_dump(&packet)?,
        _ => {}
    }
    answer.map_or_else(|error| Err(error.into()), |_| Ok(()))
}

/// The file's name without its ending.
fn module_name(file: &Path) -> String {
    file.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// The handler that a service has by custom: `hello` has `helloServiceReqHandler`, `page-table` has
/// `pageTableServiceReqHandler`.
fn handler_name(service: &str) -> String {
    let stem = service.strip_suffix(".r0").unwrap_or(service);
    let mut name = String::new();
    for word in stem.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
        let (first, rest) = word.split_at(word.chars().next().map_or(0, char::len_utf8));
        let is_first_word = name.is_empty();
        name += &if is_first_word { first.to_lowercase() } else { first.to_uppercase() };
        name += rest;
    }
    name + "ServiceReqHandler"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handlers_are_named_after_their_service() {
        for (service, handler) in [
            ("hello", "helloServiceReqHandler"),
            ("hello.r0", "helloServiceReqHandler"),
            ("page-table_2", "pageTable2ServiceReqHandler"),
            ("PageTable", "pageTableServiceReqHandler"),
            ("", "ServiceReqHandler"),
        ] {
            assert_eq!(handler_name(service), handler);
        }
    }

    #[test]
    fn modules_are_named_after_their_file() {
        assert_eq!(module_name(Path::new("/tmp/hello.r0")), "hello");
        assert_eq!(module_name(Path::new("/")), "");
    }
}
