//! `supctl module`: loads a ring-0 module, calls it, frees it.

use std::fs;
use std::path::Path;

use sup::backend::Kind;
use sup::{Module, Session};

use crate::cli::{CallArgs, LoadArgs};
use crate::failure::Failure;
use crate::output;

pub(crate) fn load(args: &LoadArgs) -> Result<(), Failure> {
    let session = Session::open()?;
    let name = args.name.clone().unwrap_or_else(|| module_name(&args.file));
    match &args.handler {
        None => show(&session, session.load_module(&args.file, &name)?, &name),
        Some(handler) => {
            let service = session.load_service_module(&args.file, &name, handler)?;
            show(&session, service.module(), &name)?;
            drop(service);
            Ok(())
        }
    }
}

pub(crate) fn call(args: &CallArgs) -> Result<(), Failure> {
    let request = args.request_file.as_deref();
    let request = request.map(|path| fs::read(path).map_err(Failure::of_file(path))).transpose()?;
    let session = Session::open()?;
    let handler = args.handler.clone().unwrap_or_else(|| handler_name(&args.service));
    let service = session.load_service_module(&args.file, &args.service, &handler)?;

    let Some(request) = request else {
        return output::service_status(service.call(args.operation, args.argument)?);
    };
    let mut packet = request.clone();
    let result = service.call_with(args.operation, args.argument, packet.as_mut_slice());
    // A service that fails may say more in its packet.
    if result.is_ok() || packet != request {
        match &args.output {
            Some(path) => fs::write(path, &packet).map_err(Failure::of_file(path))?,
            None => output::hex_dump(&packet)?,
        }
    }
    output::service_status(result?)
}
