//! `docs/requests.md` and `docs/statuses.md` are made from the tables; this test makes them again and
//! compares. To write them after a change: `UPDATE_DOCS=1 cargo test -p sup-abi --test documentation`.

use std::fmt::Write;
use std::fs;
use std::path::PathBuf;

use sup_abi::Status;
use sup_abi::request::{HEADER_BYTES, RequestInfo, TABLE, Tail, ioctl};

fn check(name: &str, text: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, text).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(found == text, "docs/{name} is not what the table makes; see this file's introduction");
}

fn size(bytes: usize, tail: Tail) -> String {
    match tail {
        Tail::None => format!("{bytes}"),
        Tail::Bytes => format!("{bytes} + n"),
        Tail::PhysicalAddresses => format!("{bytes} + 8n"),
        Tail::ModuleUses => format!("{bytes} + 16n"),
    }
}

/// The number of the `ioctl` that a request is, if its packet has one size.
fn ioctl_number(row: &RequestInfo) -> String {
    match (row.tail_in, row.tail_out) {
        (Tail::None, Tail::None) => {
            let bytes = row.bytes_in.max(row.bytes_out);
            format!("`{:#010x}`", ioctl::number(row.function.into(), bytes))
        }
        _ => "by its size".to_owned(),
    }
}

#[test]
fn requests_are_documented() {
    let mut text = format!(
        "# The requests\n\n\
         Made from the table in `crates/sup-abi/src/request/table.rs`; the packets are in \
         `packets.rs` beside it.\nSizes are in bytes and include the header of {HEADER_BYTES}.\n\
         The last number is that of the `ioctl` on `/dev/supdrv`, with a buffer as long as the larger \
         of the two sizes; see `ioctl.rs` beside the table.\n\n\
         | number | request | in | out | what it does | ioctl |\n|---|---|---|---|---|---|\n"
    );
    for row in TABLE {
        let number: u32 = row.function.into();
        let (input, output) = (size(row.bytes_in, row.tail_in), size(row.bytes_out, row.tail_out));
        let (name, about, ioctl) = (row.name, row.about, ioctl_number(row));
        writeln!(text, "| {number} | `{name}` | {input} | {output} | {about} | {ioctl} |").unwrap();
    }
    check("requests.md", &text);
}

#[test]
fn statuses_are_documented() {
    let mut text =
        "# The statuses\n\nMade from the table in `crates/sup-abi/src/status/table.rs`. \
                    `supctl status NAME-OR-NUMBER` explains one.\n\n\
                    | number | name | meaning |\n|---|---|---|\n"
            .to_owned();
    for (status, name, meaning) in Status::ALL {
        writeln!(text, "| {} | `{name}` | {meaning} |", status.raw()).unwrap();
    }
    check("statuses.md", &text);
}
