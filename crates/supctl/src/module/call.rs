//! `supctl module call`: loads a ring-0 module as a service, calls it, frees it.
//!
//! Neighbours: `load` only loads. Invariant: what a service answered is shown even when it failed.

use std::fs;

use sup::Session;

use crate::cli::CallArgs;
use crate::failure::Failure;
use crate::output;

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

/// The handler that a service has by custom: `hello` has `helloServiceReqHandler`, `page-table` has
/// `pageTableServiceReqHandler`.
pub(super) fn handler_name(service: &str) -> String {
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
}
