//! Who keeps a module loaded by asking for a symbol of it.

use sup_abi::{R0Ptr, Status};
use sup_alloc::faults::failing_after;

use crate::testing::Event;
use crate::testing::bench::Bench;

#[test]
fn a_client_that_asked_for_a_symbol_keeps_the_module_until_it_ends() {
    let bench = Bench::new();
    let (_, base) = bench.load("module", "handler", b"image");
    let client = bench.driver.open_kernel_session((), R0Ptr::NIL).unwrap();
    let link = |symbol| bench.driver.link_symbol(&client, "module", symbol);
    let address = link("handler").unwrap();
    assert_eq!(link("handler"), Ok(address), "asking twice is counted twice");
    assert_eq!(link("missing"), Err(Status::VERR_SYMBOL_NOT_FOUND));
    let missing = bench.driver.link_symbol(&client, "other", "handler");
    assert_eq!(missing, Err(Status::VERR_MODULE_NOT_FOUND));
    assert_eq!(bench.driver.counts().image_references, 3);

    bench.driver.free_module(&bench.session, base).unwrap();
    assert_eq!(bench.driver.counts().image_references, 2);
    assert!(!bench.host.events().contains(&Event::Unmapped));
    bench.driver.close_kernel_session(client).unwrap();
    assert!(bench.host.events().contains(&Event::Unmapped));
    bench.close();
}

#[test]
fn a_client_inside_the_module_does_not_keep_it() {
    let bench = Bench::new();
    let (_, base) = bench.load("module", "handler", b"image");
    let client = bench.driver.open_kernel_session((), base.checked_add(64).unwrap()).unwrap();
    assert!(bench.driver.link_symbol(&client, "module", "handler").is_ok());
    assert_eq!(bench.driver.counts().image_references, 1);
    bench.driver.free_module(&bench.session, base).unwrap();
    assert!(bench.host.events().contains(&Event::Unmapped));
    bench.close();
}

/// A reference that a closed session got would never be given back.
#[test]
fn cannot_link_in_the_session_of_a_process_or_in_a_closed_one() {
    let bench = Bench::new();
    let _ = bench.load("module", "handler", b"image");
    let refused = Err(Status::VERR_INVALID_PARAMETER);
    assert_eq!(bench.driver.link_symbol(&bench.session, "module", "handler"), refused);
    let client = bench.driver.open_kernel_session((), R0Ptr::NIL).unwrap();
    bench.driver.close_kernel_session(client.clone()).unwrap();
    assert_eq!(bench.driver.link_symbol(&client, "module", "handler"), refused);
    assert_eq!(bench.driver.counts().image_references, 1);
    drop(client);
    bench.close();
}

#[test]
fn linking_without_memory_leaves_nothing() {
    let bench = Bench::new();
    let _ = bench.load("module", "handler", b"image");
    let client = bench.driver.open_kernel_session((), R0Ptr::NIL).unwrap();
    let link = || bench.driver.link_symbol(&client, "module", "handler");
    let (result, has_failed) = failing_after(0, link);
    assert!(has_failed);
    assert_eq!(result, Err(Status::VERR_INTERNAL_ERROR_5));
    assert_eq!(bench.driver.counts().image_references, 1);
    assert!(link().is_ok());
    bench.driver.close_kernel_session(client).unwrap();
    bench.close();
}
