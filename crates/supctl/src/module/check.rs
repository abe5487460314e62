//! `supctl module check`: says rule by rule whether and where a module would load. Nothing of it runs.
//!
//! The rules are the loader's own: its parser looks at the file, and imports are looked up in the
//! driver's own table. What only a processor's eye can see (vector registers, the red zone) is the
//! signer's to check.
//!
//! Neighbours: `sup-ring0/src/elf` has the rules. Invariant: each rule is one line, and the command fails
//! if one of them is broken.

use std::fs;

use sup_embedded::EmbeddedHost;
use sup_ring0::elf::{Elf, Protection};
use sup_ring0::exports::{exports, find};

use crate::cli::CheckArgs;
use crate::failure::Failure;
use crate::output::{self, Finding};

/// The entries that VMMR0.r0 has to have.
const VMM_ENTRIES: [&str; 3] = ["VMMR0EntryInt", "VMMR0EntryFast", "VMMR0EntryEx"];
/// How the name of a request handler ends, by custom.
const HANDLER_SUFFIX: &str = "ServiceReqHandler";

pub(super) fn check(args: &CheckArgs) -> Result<(), Failure> {
    let file = fs::read(&args.file).map_err(Failure::of_file(&args.file))?;
    let findings = examine(&file);
    let broken = findings.iter().filter(|finding| !finding.is_kept).count();
    output::findings(&findings)?;
    match broken {
        0 => Ok(()),
        _ => Err(Failure::Broken { path: args.file.clone(), rules: broken }),
    }
}

/// What there is to say of a file.
fn examine(file: &[u8]) -> Vec<Finding> {
    let elf = match Elf::parse(file) {
        Ok(elf) => elf,
        Err(error) => return vec![Finding::broken("format", error.to_string())],
    };
    let what = "a shared object for x86-64 that needs nothing but the driver";
    let mut findings = vec![Finding::kept("format", format!("{what}, {} bytes", file.len()))];
    findings.push(pages(&elf));
    findings.extend(entries(&elf));
    findings.extend(imports(&elf));
    if findings.iter().all(|finding| finding.is_kept) {
        findings.push(Finding::kept("embedded", "would load in a process".into()));
        findings.push(Finding::kept(
            "kernel",
            "would load for a caller with CAP_SYS_MODULE, if the driver's policy takes its signature"
                .into(),
        ));
    }
    findings
}

/// The parser refuses pages that are writable and executable, so this one is kept whenever it is asked.
fn pages(elf: &Elf<'_>) -> Finding {
    let of = |protection| {
        let segments = elf.segments().filter(|segment| segment.protection == protection);
        segments.map(|segment| segment.pages.len()).sum::<usize>()
    };
    Finding::kept(
        "pages",
        format!(
            "{} bytes of code, {} read-only, {} writable; none writable and executable",
            of(Protection::ReadExecute),
            of(Protection::Read),
            of(Protection::ReadWrite)
        ),
    )
}

/// The functions that the driver would call.
fn entries(elf: &Elf<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut entry = |name: &str| {
        let Some(symbol) = elf.find_symbol(name) else { return false };
        findings.push(match elf.is_executable(symbol.offset) {
            true => Finding::kept("entry", format!("{name} at offset {:#x}", symbol.offset)),
            false => Finding::broken("entry", format!("{name} does not lie in code")),
        });
        true
    };
    entry("ModuleInit");
    entry("ModuleTerm");
    let vmm = VMM_ENTRIES.iter().filter(|name| entry(name)).count();
    let mut handlers = 0;
    for symbol in elf.symbols().filter(|symbol| symbol.name.ends_with(HANDLER_SUFFIX)) {
        handlers += usize::from(entry(symbol.name));
    }
    if vmm != 0 && vmm != VMM_ENTRIES.len() {
        let sentence = format!("VMMR0.r0 needs all of {}", VMM_ENTRIES.join(", "));
        findings.push(Finding::broken("entry", sentence));
    } else if vmm == 0 && handlers == 0 {
        let sentence = format!("no name ends with {HANDLER_SUFFIX}: it loads, and serves nobody");
        findings.push(Finding::kept("entry", sentence));
    }
    findings
}

/// What the module wants from the driver.
fn imports(elf: &Elf<'_>) -> Vec<Finding> {
    let table = exports::<EmbeddedHost>();
    let mut bound = Vec::new();
    let mut findings = Vec::new();
    for import in elf.imports() {
        match (find(table, import.name), import.is_weak) {
            (Some(_), _) => bound.push(import.name),
            (None, true) => findings.push(Finding::kept(
                "import",
                format!("{} is weak and the driver has none: it is 0", import.name),
            )),
            (None, false) => findings.push(Finding::broken(
                "import",
                format!("{} is nothing that the driver exports", import.name),
            )),
        }
    }
    if !bound.is_empty() {
        findings.insert(0, Finding::kept("imports", bound.join(" ")));
    }
    findings
}

#[cfg(test)]
mod tests {
    use sup_modules::{HELLO, HELLO_SHARED_OBJECT};

    use super::*;

    #[test]
    fn hello_keeps_every_rule() {
        let findings = examine(HELLO.image);
        assert!(findings.iter().all(|finding| finding.is_kept), "{findings:?}");
        assert!(findings.iter().any(|finding| finding.sentence.contains("helloServiceReqHandler")));
        assert_eq!(findings.last().map(|finding| finding.rule), Some("kernel"));
    }

    #[test]
    fn cannot_bind_an_unknown_import() {
        let mut image = HELLO.image.to_vec();
        let name = b"SUPR0Printf\0";
        let place = image.windows(name.len()).position(|bytes| bytes == name);
        image[place.expect("hello prints")] = b'X';
        let findings = examine(&image);
        let broken: Vec<_> = findings.iter().filter(|finding| !finding.is_kept).collect();
        assert_eq!(broken.len(), 1, "{findings:?}");
        assert!(broken[0].sentence.starts_with("XUPR0Printf"), "{broken:?}");
        assert!(!findings.iter().any(|finding| finding.rule == "kernel"));
    }

    #[test]
    fn cannot_be_a_plain_shared_object() {
        let findings = examine(HELLO_SHARED_OBJECT);
        assert!(matches!(findings.as_slice(), [only] if !only.is_kept), "{findings:?}");
    }
}
