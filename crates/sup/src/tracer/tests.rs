//! Names and pointers of a module, and what the driver in this process says of it.

use std::ptr::NonNull;

use sup_abi::{Status, VTGOBJHDR};
use sup_test_vtg::Module;

use super::{ProbeModuleKind, module_name};
use crate::Session;

fn header(module: &mut Module) -> NonNull<VTGOBJHDR> {
    NonNull::new(std::ptr::with_exposed_provenance_mut(module.address())).unwrap()
}

fn register(session: &Session, module: &mut Module, name: &str) -> Result<(), Status> {
    let (header, believed) = (header(module), module.address() as u64);
    // SAFETY: the test's module is one, and nobody else has it.
    let result =
        unsafe { session.register_probes(name, ProbeModuleKind::Program, header, believed) };
    result.map_err(|error| error.status())
}

fn pointers(module: &Module) -> [u64; 3] {
    [0, 1, 2].map(|index| module.location(index).unwrap().pszFunction)
}

#[test]
fn a_module_is_registered_and_keeps_its_pointers() {
    let session = Session::open().unwrap();
    let mut module = Module::new(1);
    let before = pointers(&module);
    assert_eq!(register(&session, &mut module, "program"), Ok(()));
    assert_eq!(pointers(&module), before);
    assert_eq!(module.numbers(), [0, 1, 2]);
    // Its locations have numbers: no object that the driver would take.
    assert!(register(&session, &mut module, "program").is_err());
    assert_eq!(pointers(&module), before);
    let header = header(&mut module);
    // SAFETY: the test's module is one.
    unsafe { session.deregister_probes(header) }.unwrap();
    assert_eq!(module.numbers(), [0; 3]);
    // SAFETY: the same.
    let again = unsafe { session.deregister_probes(header) }.unwrap_err();
    assert_eq!(again.status(), Status::VERR_NOT_FOUND);
}

#[test]
fn names_are_bounded_and_have_no_path() {
    let session = Session::open().unwrap();
    let mut module = Module::new(2);
    let long = "n".repeat(64);
    let result = register(&session, &mut module, &long);
    assert_eq!(result, Err(Status::VERR_FILENAME_TOO_LONG));
    let path = register(&session, &mut module, "/lib/module");
    assert_eq!(path, Err(Status::VERR_INVALID_PARAMETER));
    module.header_mut().szMagic[3] = b'?';
    assert_eq!(register(&session, &mut module, "x"), Err(Status::VERR_SUPDRV_VTG_MAGIC));
    let name = |name, kind| String::from_utf8(module_name(name, kind).unwrap().to_vec()).unwrap();
    let name = |text, kind| name(text, kind).trim_end_matches('\0').to_owned();
    assert_eq!(name("libx", ProbeModuleKind::Library), "libx.so");
    assert_eq!(name("libx.so.1", ProbeModuleKind::Library), "libx.so.1");
    assert_eq!(name("program", ProbeModuleKind::Program), "program");
    let fits = "n".repeat(62);
    assert_eq!(name(&fits, ProbeModuleKind::Library), fits);
}

#[test]
fn a_module_without_locations_is_nobodys_business() {
    let session = Session::open().unwrap();
    let mut module = Module::new(3);
    module.header_mut().uProbeLocsEnd = module.header_mut().uProbeLocs;
    assert_eq!(register(&session, &mut module, "empty"), Ok(()));
    let header = header(&mut module);
    // SAFETY: the test's module is one.
    unsafe { session.deregister_probes(header) }.unwrap();
}

#[test]
fn without_a_tracer_nothing_opens() {
    let session = Session::open().unwrap();
    let open = session.tracer_open(1, 2).unwrap_err();
    assert_eq!(open.status(), Status::VERR_SUPDRV_TRACER_NOT_PRESENT);
    let reply = session.tracer_command(1, 2).unwrap();
    assert_eq!((reply.status, reply.value), (Status::VERR_SUPDRV_TRACER_NOT_OPENED, 0));
    let close = session.tracer_close().unwrap_err();
    assert_eq!(close.status(), Status::VERR_SUPDRV_TRACER_NOT_OPENED);
    session.fire_probe(&sup_abi::SUPDRVTRACERUSRCTX::default());
}
