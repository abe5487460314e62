//! What modules print, and how much of it is told.

use std::fs;

use sup::Status;
use sup::backend::Kind;

use crate::backend::Backend;
use crate::case::{Verdict, cases, check, same};
use crate::client::Client;
use crate::probe::{OWN, PROBE, PROBE_HANDLER, op, probe_request};
use crate::process;
use crate::told::Told;

cases! { Printing {
    each_line_is_told_in_its_form:
        "A text is formatted, and told line by line; 0 comes back (spec 10.5).",
    a_text_ends_after_510_bytes:
        "What is longer is cut (spec 10.5).",
    a_flood_is_cut_and_counted_exactly:
        "A module has a budget of lines, and each line is told or counted (spec 10.5).",
    the_budget_can_be_lifted:
        "By root, for the kernel's driver, or by the environment of the process (spec 10.5).",
}}

/// More lines than are told in the time that printing them takes.
const FLOOD: u64 = 4000;
/// So many are told at once.
const BURST: u64 = 200;

/// The probe under a name of its own, with a budget of its own.
struct Printer<'a> {
    client: &'a Client,
    name: &'static str,
    base: sup::R0Ptr,
}

impl<'a> Printer<'a> {
    fn load(client: &'a Client, name: &'static str) -> Verdict<Self> {
        let base = client.load(PROBE, name, PROBE_HANDLER)?.base;
        Ok(Self { client, name, base })
    }

    /// Prints in one of the probe's ways, so often.
    fn print(&self, way: u64, times: u64) -> Verdict {
        let mut request = probe_request([OWN, way, times]);
        let status = self.client.call_service(self.name, op::PRINT, 0, &mut request)?;
        same!(status, Status::VINF_SUCCESS);
        Ok(())
    }

    fn free(self) -> Verdict {
        same!(self.client.free_module(self.base)?, Status::VINF_SUCCESS);
        Ok(())
    }
}

mod way {
    pub(super) const FORMS: u64 = 0;
    pub(super) const LONG: u64 = 1;
    pub(super) const NUMBERED: u64 = 2;
}

fn each_line_is_told_in_its_form(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let printer = Printer::load(&client, "forms")?;
    let mut told = Told::from_now(backend)?;
    printer.print(way::FORMS, 1)?;
    let lines = told.lines()?;
    for expected in [
        "probe: -7 7 0x00ff text c 100%",
        "probe: VERR_INVALID_PARAMETER (-2) true",
        "probe: 0123456789abcdef",
        "probe: nothing behind it",
    ] {
        check!(lines.iter().any(|line| line == expected), "no line '{expected}': {lines:?}");
    }
    printer.free()
}

fn a_text_ends_after_510_bytes(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let printer = Printer::load(&client, "long")?;
    let mut told = Told::from_now(backend)?;
    printer.print(way::LONG, 1)?;
    let lines = told.lines()?;
    // Seventeen lines of thirty bytes with their ends.
    let whole = lines.iter().filter(|line| line.starts_with("probe: a line of 29 bytes")).count();
    same!(whole, 17, "{lines:?}");
    printer.free()
}

/// How many of the numbered lines were told, and how many were said not to be.
fn count(lines: &[String], name: &str) -> (u64, u64) {
    let about = format!("lines of module '{name}' that were not put out");
    let told = lines.iter().filter(|line| line.starts_with("probe: line ")).count() as u64;
    let untold = lines.iter().filter(|line| line.starts_with(&about));
    let untold = untold.filter_map(|line| line.rsplit_once(": ")?.1.parse::<u64>().ok()).sum();
    (told, untold)
}

fn a_flood_is_cut_and_counted_exactly(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let printer = Printer::load(&client, "flood")?;
    let mut log = Told::from_now(backend)?;
    printer.print(way::NUMBERED, FLOOD)?;
    // The last count is told when it goes.
    printer.free()?;
    let (told, untold) = count(&log.lines()?, "flood");
    check!((BURST..FLOOD).contains(&told), "{told} lines were told");
    same!(told + untold, FLOOD, "{told} were told, {untold} counted");
    Ok(())
}

fn the_budget_can_be_lifted(backend: &dyn Backend) -> Verdict {
    match backend.kind() {
        Kind::Embedded => process::child_with(backend, "print-all", &[("SUP_PRINT_LIMIT", "0")]),
        Kind::Kernel => {
            let before = fs::read_to_string(PARAMETER)?;
            fs::write(PARAMETER, "0")?;
            let result = print_all(backend);
            fs::write(PARAMETER, before)?;
            result
        }
    }
}

/// The kernel module's parameter.
const PARAMETER: &str = "/sys/module/supdrv/parameters/print_limit";

/// Prints more than a budget holds, which there is not.
pub(crate) fn print_all(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let printer = Printer::load(&client, "unlimited")?;
    let mut log = Told::from_now(backend)?;
    printer.print(way::NUMBERED, 3 * BURST)?;
    printer.free()?;
    same!(count(&log.lines()?, "unlimited"), (3 * BURST, 0));
    Ok(())
}
