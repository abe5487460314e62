//! A module written in Rust with the kit: the very file that `supctl module build` makes of `modules/echo`.
//!
//! The guest has it as [`FILE`]. What its operations do in a process is tested by `crates/supctl/tests/echo.rs`.

use std::fs;
use std::io;

use sup::backend::Kind;
use sup::{ServiceModule, Session, Status};
use sup_abi::{SUPR0SERVICEREQHDR, SUPR0SERVICEREQHDR_MAGIC};
use sup_test_key::signed;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::check::{Stop, Verdict, check, same, tests};
use crate::observer::Observer;

tests! { "rust_module":
    packets_come_back_changed,
    the_kits_wrappers_work,
    a_panic_ends_its_call_alone,
}

const FILE: &str = "/lib/echo.r0";
const NAME: &str = "echo";
const HANDLER: &str = "echoServiceReqHandler";

// Operations and packets of `modules/echo`.
const OP_ECHO: u32 = 0;
const OP_SUM: u32 = 1;
const OP_EVENT: u32 = 2;
const OP_TABLE: u32 = 3;
const OP_MEMORY: u32 = 4;
const OP_MANUAL_RESET: u32 = 5;

#[derive(FromBytes, Immutable, IntoBytes, KnownLayout)]
#[repr(C)]
struct Echo {
    header: SUPR0SERVICEREQHDR,
    length: u32,
    padding: u32,
    count: u64,
    text: [u8; 64],
}

fn header(bytes: usize) -> SUPR0SERVICEREQHDR {
    SUPR0SERVICEREQHDR { u32Magic: SUPR0SERVICEREQHDR_MAGIC, cbReq: bytes as u32 }
}

fn image() -> Verdict<Vec<u8>> {
    match fs::read(FILE) {
        Ok(image) => Ok(image),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(Stop::Skipped(format!("no {FILE}, which `supctl module build modules/echo` makes")))
        }
        Err(error) => Err(error.into()),
    }
}

fn load(session: &Session) -> Verdict<ServiceModule> {
    Ok(session.load_service_image(&signed(&image()?, NAME), NAME, HANDLER)?)
}

fn packets_come_back_changed(_observer: &Observer) -> Verdict {
    let session = Session::open_in(Kind::Kernel)?;
    let echo = load(&session)?;
    for count in 1..=3 {
        let mut text = [0; 64];
        text[..8].copy_from_slice(b"ring 0 !");
        let mut packet =
            Echo { header: header(size_of::<Echo>()), length: 6, padding: 0, count: 0, text };
        same!(echo.call_with(OP_ECHO, 0, &mut packet)?, Status::VINF_SUCCESS);
        same!(packet.count, count);
        same!(&packet.text[..8], b"RING 0 !");
    }
    let mut sum = [0_u64; 5];
    sum[0] = u64::from(SUPR0SERVICEREQHDR_MAGIC) | (size_of_val(&sum) as u64) << 32;
    sum[2..].copy_from_slice(&[1, 2, u64::MAX]);
    same!(echo.call_with(OP_SUM, 0, &mut sum)?, Status::VINF_SUCCESS);
    same!(sum[1], 2);
    let mut short = header(size_of::<SUPR0SERVICEREQHDR>());
    let refused = echo.call_with(OP_ECHO, 0, &mut short);
    check!(refused.is_err(), "a packet without room for an echo was taken");
    Ok(())
}

fn the_kits_wrappers_work(_observer: &Observer) -> Verdict {
    let session = Session::open_in(Kind::Kernel)?;
    let echo = load(&session)?;
    for operation in [OP_EVENT, OP_MEMORY, OP_MANUAL_RESET] {
        let status = echo.call(operation, 0x1122_3344_5566_7788)?;
        same!(status, Status::VINF_SUCCESS, "operation {operation}");
    }
    Ok(())
}

/// `modules/echo` looks its argument up in a table of 8, unchecked: Rust panics, in ring 0.
fn a_panic_ends_its_call_alone(_observer: &Observer) -> Verdict {
    let session = Session::open_in(Kind::Kernel)?;
    let echo = load(&session)?;
    for _ in 0..3 {
        let ended = echo.call(OP_TABLE, 9).map_err(|error| error.status());
        same!(ended, Err(Status::VERR_INTERNAL_ERROR));
        same!(echo.call(OP_TABLE, 7)?.raw(), 49, "it serves on");
    }
    Ok(echo.free()?)
}
