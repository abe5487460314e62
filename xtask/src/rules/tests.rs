//! Each rule against good and bad samples.

use super::source::Source;
use super::{Finding, crates, ring0, source, text};

type Check = fn(&Source) -> Vec<Finding>;

/// The lines that a rule objects to.
fn lines(check: Check, path: &str, sample: &str) -> Vec<usize> {
    check(&Source::new(path, sample)).iter().map(|finding| finding.line).collect()
}

#[track_caller]
fn good(check: Check, path: &str, sample: &str) {
    assert_eq!(lines(check, path, sample), [0; 0], "{path}: {sample}");
}

#[track_caller]
fn bad(check: Check, path: &str, sample: &str, expected: &[usize]) {
    assert_eq!(lines(check, path, sample), expected, "{path}: {sample}");
}

#[test]
fn rust_syntax() {
    good(source::rust_syntax, "a.rs", "fn f() {}");
    good(source::rust_syntax, "a.md", "fn f( {");
    bad(source::rust_syntax, "a.rs", "\nfn f( {", &[2]);
}

#[test]
fn lints_inherited() {
    let check = crates::lints_inherited;
    good(check, "crates/sup/Cargo.toml", "[package]\n[lints]\nworkspace = true\n");
    good(check, "Cargo.toml", "[workspace]\n");
    bad(check, "crates/sup/Cargo.toml", "[package]\n", &[1]);
    bad(check, "crates/sup/Cargo.toml", "[lints]\n[dependencies]\nworkspace = true\n", &[1]);
}

#[test]
fn ring0_root() {
    let check = crates::ring0_root;
    let lints = "clippy::unwrap_used, clippy::expect_used, clippy::panic, \
                 clippy::indexing_slicing, clippy::arithmetic_side_effects";
    good(check, "crates/sup-core/src/lib.rs", &format!("#![no_std]\n#![deny({lints})]"));
    good(check, "crates/sup-core/src/lib.rs", &format!("#![no_std]\n#![forbid({lints})]"));
    good(check, "crates/sup-abi/src/lib.rs", "#![no_std]");
    good(check, "crates/sup/src/lib.rs", "");
    good(check, "crates/sup-core/src/session.rs", "");
    bad(check, "crates/sup-abi/src/lib.rs", "// #![no_std]", &[1]);
    bad(check, "crates/sup-core/src/lib.rs", "#![no_std]", &[1; 5]);
    bad(check, "crates/sup-core/src/lib.rs", &format!("#![no_std] #![warn({lints})]"), &[1; 5]);
}

#[test]
fn core_safe() {
    let check = crates::core_safe;
    let path = "crates/sup-core/src/lib.rs";
    good(check, path, "#![forbid(unsafe_code)]\n// unsafe\nconst A: &str = \"unsafe {\";");
    good(check, "crates/sup/src/lib.rs", "unsafe {}");
    bad(check, path, "fn f() {}", &[1]);
    bad(check, "crates/sup-core/src/a.rs", "\nfn f() { unsafe {} }", &[2]);
    bad(check, "crates/sup-core/tests/a.rs", "#[unsafe(no_mangle)] fn f() {}", &[1]);
}

#[test]
fn unsafe_glue() {
    let check = crates::unsafe_glue;
    good(check, "crates/sup-ring0/src/lib.rs", "unsafe {}");
    good(check, "crates/supctl/tests/a.rs", "unsafe {}");
    good(check, "tests/conformance/src/lib.rs", "unsafe {}");
    good(check, "crates/sup-abi/src/a.rs", "type F = Option<unsafe extern \"C\" fn(u32)>;");
    good(check, "crates/sup-abi/src/a.rs", "type F = unsafe fn(u32);");
    bad(
        check,
        "crates/sup-abi/src/a.rs",
        "unsafe extern \"C\" fn f() {}\nunsafe fn g() {}",
        &[1, 2],
    );
    bad(check, "crates/supctl/src/main.rs", "unsafe {}", &[1]);
    bad(check, "modules/src/lib.rs", "\nunsafe extern \"C\" {}", &[2]);
}

#[test]
fn unsafe_list() {
    let check = crates::unsafe_list;
    let list = |crates: &str| {
        format!("# supdrv\n<!-- unsafe-crates -->\n{crates}\n<!-- /unsafe-crates -->\n")
    };
    good(
        check,
        "README.md",
        &list(
            "`sup-alloc`, `sup-ring0`\n`sup-embedded`, `sup-kmod`, `sup-module`, `sup-probe`, `sup-capi`, `sup-start`, `sup-stub` and `sup`, no `unsafe` else",
        ),
    );
    good(check, "ARCHITECTURE.md", "");
    bad(check, "README.md", "# supdrv", &[1]);
    bad(check, "README.md", &list("`sup-alloc`, `sup-ring0`, `sup-embedded`"), &[2]);
    bad(
        check,
        "README.md",
        &list(
            "`sup-alloc` `sup-ring0` `sup-embedded` `sup-kmod` `sup-module` `sup-probe` `sup-capi` `sup-start` `sup-stub` `sup` `supctl`",
        ),
        &[2],
    );
}

#[test]
fn fallible_alloc() {
    let check = ring0::fallible_alloc;
    let path = "crates/sup-core/src/session.rs";
    good(check, path, "fn f() { v.try_push(1)?; }\n// Box::new(1)");
    good(
        check,
        path,
        "fn f() {\n// alloc: a fixed array\nv.push(1);\nw.push(2); // alloc: same\n}",
    );
    good(check, path, "#[cfg(test)]\nmod tests { fn f() { vec![1]; } }");
    good(check, path, "#[cfg(all(test, unix))]\nfn f() { format!(\"\"); }");
    good(check, "crates/sup-core/src/session/tests.rs", "fn f() { vec![1]; }");
    good(check, "crates/sup/src/lib.rs", "fn f() { vec![1]; }");
    bad(check, path, "fn f() { Box::new(1);\nv\n.push(1);\nx.to_string() }", &[1, 3, 4]);
    bad(check, path, "fn f() { v.push(g(1)?); }", &[1]);
    bad(check, path, "macro_rules! m { () => { Arc::new(1) } }", &[1]);
    bad(check, path, "#[cfg(test)]\nmod tests {}\nfn f() { vec![1]; }", &[3]);
    bad(check, path, "#[cfg(test)]\nmod tests;\nfn f() { vec![1]; }", &[3]);
    bad(check, path, "#[cfg(not(test))]\nfn f() { vec![1]; }", &[2]);
    bad(check, path, "fn f() {\nv.push(1); // alloc: \n}", &[2]);
}

#[test]
fn file_docs() {
    good(text::file_docs, "crates/sup/src/gip.rs", "//! The clock page.\n");
    good(text::file_docs, "modules/hello/hello.c", "int i;");
    bad(text::file_docs, "crates/sup/src/gip.rs", "use a;\n//! Late.", &[1]);
    bad(text::file_docs, "crates/sup/src/gip.rs", "", &[1]);
}

#[test]
fn no_allow() {
    good(text::no_allow, "a.rs", "#[expect(dead_code, reason = \"#[allow(\")] fn f() {}");
    good(text::no_allow, "crates/sup-probe/src/object.rs", "#[allow(dead_code)] mod m {}");
    bad(text::no_allow, "a.rs", "\n#[allow(dead_code)] fn f() {}", &[2]);
    bad(text::no_allow, "a.rs", "#![allow(dead_code)]", &[1]);
}

#[test]
fn no_marks() {
    let mark = format!("\n// {}: later", concat!("TO", "DO"));
    good(text::no_marks, "a.rs", "// todo!() and MAXXXL are no marks");
    good(text::no_marks, "notes.md", &mark);
    bad(text::no_marks, "a.rs", &mark, &[2]);
    bad(text::no_marks, "a.c", &mark, &[2]);
}

#[test]
fn file_length() {
    good(text::file_length, "a.rs", &"\n".repeat(600));
    good(text::file_length, "layout.json", &"\n".repeat(601));
    bad(text::file_length, "a.rs", &"\n".repeat(601), &[601]);
}

#[test]
fn trailing_space() {
    good(text::trailing_space, "a.md", "one\n\ntwo\n");
    good(text::trailing_space, "a.tsv", "one\t\n");
    bad(text::trailing_space, "a.md", "one \n\t\ntwo", &[1, 2]);
}

#[test]
fn no_registry() {
    let line = format!("see https://{}", concat!("crates", ".io"));
    good(text::no_registry, "README.md", "see https://example.invalid");
    good(text::no_registry, "Cargo.lock", &line);
    good(text::no_registry, "fuzz/Cargo.lock", &line);
    bad(text::no_registry, "README.md", &line, &[1]);
}
