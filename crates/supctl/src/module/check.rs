//! `supctl module check`: says rule by rule whether and where a module would load. Nothing of it runs.
//!
//! The rules are the loader's own: its parser looks at the file, and imports are looked up in the
//! driver's own table. What the kernel's driver demands beyond that (code that keeps the kernel's rules,
//! and a signature that says so) decides over the last line alone: a process takes the module without.
//!
//! Neighbours: `sup-ring0/src/elf` has the rules, `code` looks at the instructions. Invariant: each rule is one line, and the command fails
//! if one of them is broken.

use sup_embedded::EmbeddedHost;
use sup_ring0::absolute::Segments;
use sup_ring0::elf::{Elf, Protection};
use sup_ring0::exports::{exports, find};
use sup_signature::{ContentHash, DriverVersion, KERNEL_GRADE, Signed, split};

use super::code::Code64;
use super::sign::declaration;
use crate::cli::CheckArgs;
use crate::failure::Failure;
use crate::output::{self, Finding};

/// The entries that VMMR0.r0 has to have.
const VMM_ENTRIES: [&str; 3] = ["VMMR0EntryInt", "VMMR0EntryFast", "VMMR0EntryEx"];
/// How the name of a request handler ends, by custom.
const HANDLER_SUFFIX: &str = "ServiceReqHandler";

pub(super) fn check(args: &CheckArgs) -> Result<(), Failure> {
    let file = sup::read_signed(&args.file).map_err(Failure::of_file(&args.file))?;
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
    let signed = match split(file) {
        Ok(signed) => signed,
        Err(refusal) => return vec![Finding::broken("signature", refusal.to_string())],
    };
    let elf = match Elf::parse(signed.content) {
        Ok(elf) => elf,
        Err(error) => return vec![Finding::broken("format", error.to_string())],
    };
    let what = "a shared object for x86-64 that needs nothing but the driver";
    let mut findings =
        vec![Finding::kept("format", format!("{what}, {} bytes", signed.content.len()))];
    findings.push(pages(&elf));
    findings.extend(entries(&elf));
    findings.extend(imports(&elf));
    findings.push(signature(&signed));
    if findings.iter().all(|finding| finding.is_kept) {
        findings.push(Finding::kept("embedded", "would load in a process".into()));
        findings.push(kernel(&signed));
    }
    findings
}

/// What is signed, and what the signer declares. A module may be unsigned.
fn signature(signed: &Signed<'_>) -> Finding {
    let Some(block) = signed.block else {
        return Finding::kept("signature", "none; `supctl module sign` makes one".into());
    };
    let statement = &block.statement;
    let about = (signed.content.len(), ContentHash::of(signed.content));
    // Under which name it is loaded is not known here; `verify` is told.
    let holds = block.check_signature().and_then(|()| {
        statement.check_match(about.0, &about.1, statement.name(), DriverVersion::CURRENT)
    });
    match holds {
        Err(refusal) => Finding::broken("signature", refusal.to_string()),
        Ok(()) => {
            let (name, key, declared) = (statement.name(), statement.signer, declaration(block));
            Finding::kept("signature", format!("for '{name}', by {key}; declared: {declared}"))
        }
    }
}

/// Whether the kernel's driver would take what a process takes. That it would not breaks no rule.
fn kernel(signed: &Signed<'_>) -> Finding {
    let is_declared = signed.block.is_some_and(|block| block.statement.declares(KERNEL_GRADE));
    let sentence = match Code64::of(signed.content).map(|code| code.kernel_grade_findings()) {
        Err(error) => format!("would not load: {error}"),
        Ok(findings) if !findings.is_empty() => format!("would not load: {}", findings.join("; ")),
        Ok(_) if is_declared => {
            "would load for a caller with CAP_SYS_MODULE, if the driver trusts the signer".into()
        }
        Ok(_) => "fit for it, and would load once it is signed with --kernel-grade".into(),
    };
    Finding::kept("kernel", sentence)
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
        match (find(table, Segments::OF_LINUX, import.name), import.is_weak) {
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
        let last = findings.last().expect("there is a last line");
        assert!(last.rule == "kernel" && last.sentence.contains("once it is signed"), "{last:?}");
    }

    #[test]
    fn signed_module_is_known_by_what_its_signer_says() {
        let signed = sup_test_key::signed(HELLO.image, HELLO.name);
        let findings = examine(&signed);
        assert!(findings.iter().all(|finding| finding.is_kept), "{findings:?}");
        let last = findings.last().expect("there is a last line");
        assert!(last.sentence.contains("if the driver trusts the signer"), "{last:?}");
        let mut damaged = signed;
        damaged[0x40] ^= 1;
        let findings = examine(&damaged);
        assert!(findings.iter().any(|finding| !finding.is_kept), "{findings:?}");
    }

    #[test]
    fn code_with_vectors_is_for_a_process_only() {
        let mut image = HELLO.image.to_vec();
        let elf = Elf::parse(HELLO.image).expect("hello is a module");
        let entry = elf.find_symbol("ModuleInit").expect("hello has one").offset;
        // Behind its endbr64: xorps xmm0, xmm0. The file has its code where the image has it.
        image[entry + 4..][..3].copy_from_slice(&[0x0f, 0x57, 0xc0]);
        let findings = examine(&image);
        let last = findings.last().expect("there is a last line");
        assert!(last.sentence.starts_with("would not load: ModuleInit+0x4"), "{findings:?}");
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
