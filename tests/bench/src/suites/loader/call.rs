//! A call of a service that does nothing, beside the indirect call that it comes down to.

use std::convert::Infallible;
use std::hint::black_box;

use anyhow::Result;
use sup_modules::HELLO;
use sup_modules::hello::{OP_NOP, SERVICE_HANDLER};

use crate::figure::{Figure, Goal};
use crate::measure::{compare, each};
use crate::suites::open_session;

/// The shape of a request handler, but for the types of its pointers.
type Handler = extern "C" fn(session: usize, operation: u32, argument: u64, packet: usize) -> i32;

extern "C" fn nothing(_session: usize, _operation: u32, _argument: u64, _packet: usize) -> i32 {
    0
}

pub(super) fn figure() -> Result<Figure> {
    let service = open_session()?.load_service_image(HELLO.image, HELLO.name, SERVICE_HANDLER)?;
    let handler: Handler = nothing;
    let pair = compare(
        each(|| black_box(&service).call(OP_NOP, black_box(0)).map(|_| ())),
        each(|| -> Result<(), Infallible> {
            // The pointer is hidden from the compiler, so the call stays indirect.
            black_box(black_box(handler)(0, OP_NOP, black_box(0), 0));
            Ok(())
        }),
    )?;
    Ok(Figure {
        name: "service call".into(),
        unit: "ns",
        compared_to: "indirect call".into(),
        pair,
        goal: Some(Goal::Beyond(30.0)),
    })
}
