//! `docs/requests.md` and `docs/statuses.md` are made from the tables; this test makes them again and
//! compares. To write them after a change: `UPDATE_DOCS=1 cargo test -p sup-abi --test documentation`.

use std::fmt::Write;
use std::fs;
use std::path::PathBuf;

use sup_abi::Status;
use sup_abi::request::{HEADER_BYTES, TABLE, Tail};

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
    }
}

#[test]
fn requests_are_documented() {
    let mut text = format!(
        "# The requests\n\n\
         Made from the table in `crates/sup-abi/src/request/table.rs`; the packets are in \
         `packets.rs` beside it.\nSizes are in bytes and include the header of {HEADER_BYTES}.\n\n\
         | number | request | in | out | what it does |\n|---|---|---|---|---|\n"
    );
    for row in TABLE {
        let number: u32 = row.function.into();
        let (input, output) = (size(row.bytes_in, row.tail_in), size(row.bytes_out, row.tail_out));
        writeln!(text, "| {number} | `{}` | {input} | {output} | {} |", row.name, row.about)
            .unwrap();
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
