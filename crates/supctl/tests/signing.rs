//! `supctl module keygen | sign | verify`, and what loads afterwards under which policy.

#[expect(dead_code, reason = "each suite of commands uses a part of it")]
mod common;

use std::path::Path;

use common::{Run, command, run};
use sup_modules::HELLO;

/// A home with a module in it, as long as the value lives.
struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        let home = Self(tempfile::tempdir().expect("a temporary folder"));
        std::fs::write(home.module(), HELLO.image).expect("the file takes the bytes");
        home
    }

    fn module(&self) -> std::path::PathBuf {
        self.0.path().join("hello.r0")
    }

    /// Runs `supctl module COMMAND FILE` under a policy, with this home.
    fn module_command(&self, policy: &str, words: &[&str]) -> Run {
        let (verb, options) = words.split_first().expect("a command");
        let mut command = command(&["module", verb]);
        command.arg(self.module()).args(options);
        command.env("XDG_CONFIG_HOME", self.0.path().join("config"));
        command.env("SUP_BACKEND", "embedded").env("SUP_MODULE_POLICY", policy);
        run(&mut command)
    }

    #[track_caller]
    fn succeeds(&self, policy: &str, words: &[&str], word: &str) {
        let run = self.module_command(policy, words);
        assert!(run.exit == Some(0) && run.stdout.contains(word), "{policy} {words:?}: {run:?}");
    }

    #[track_caller]
    fn fails(&self, policy: &str, words: &[&str], word: &str) {
        let run = self.module_command(policy, words);
        assert!(run.exit == Some(1) && run.stderr.contains(word), "{policy} {words:?}: {run:?}");
    }
}

const SIGN: [&str; 3] = ["sign", "--kernel-grade", "--landing-pads"];

#[test]
fn a_key_is_made_on_first_use_and_trusted_by_its_owner() {
    let home = Home::new();
    home.succeeds("unsigned", &["load"], "the module is unsigned");
    for policy in ["signed", "kernel", "nonsense"] {
        home.fails(policy, &["load"], "VERR_ACCESS_DENIED");
    }
    home.fails("unsigned", &["verify"], "the module is not signed");
    home.succeeds("unsigned", &SIGN, "kernel-grade, landing pads");
    home.succeeds("unsigned", &["verify"], "the signature holds, by a trusted key");
    for policy in ["unsigned", "signed", "kernel", "nonsense"] {
        home.succeeds(policy, &["load"], "which this driver trusts");
    }
    // Signing again replaces the signature: it does not pile up.
    let bytes = || std::fs::metadata(home.module()).map(|metadata| metadata.len()).unwrap_or(0);
    let before = bytes();
    home.succeeds("unsigned", &["sign"], "nothing");
    assert_eq!(bytes(), before);
    home.succeeds("signed", &["load"], "which this driver trusts");
    home.fails("kernel", &["load"], "VERR_NOT_SUPPORTED");
}

#[test]
fn a_signature_can_stand_beside_the_file() {
    let home = Home::new();
    home.succeeds("unsigned", &[&SIGN[..], &["--detached"]].concat(), "hello.r0.sig");
    assert_eq!(std::fs::read(home.module()).ok().as_deref(), Some(HELLO.image));
    home.succeeds("kernel", &["verify"], "the signature holds");
    home.succeeds("kernel", &["load"], "which this driver trusts");
}

#[test]
fn cannot_load_under_another_name_or_after_a_change() {
    let home = Home::new();
    home.succeeds("unsigned", &SIGN, "hello");
    home.fails("unsigned", &["load", "--name", "other"], "signed for another name");
    home.fails("unsigned", &["verify", "--name", "other"], "signed for another name");
    let mut file = std::fs::read(home.module()).expect("the module is there");
    file[0x200] ^= 1;
    std::fs::write(home.module(), &file).expect("the file takes the bytes");
    for verb in ["load", "verify"] {
        home.fails("unsigned", &[verb], "is not what was signed");
    }
    std::fs::write(home.module(), &file[..file.len() - 1]).expect("the file takes the bytes");
    for verb in ["load", "verify"] {
        home.fails("unsigned", &[verb], "ends within its signature block");
    }
}

#[test]
fn a_key_of_somebody_else_is_told_and_not_trusted() {
    let home = Home::new();
    let key = home.0.path().join("other.key");
    let key_text = Path::to_str(&key).expect("temporary files have plain names");
    let made = run(&mut command(&["module", "keygen", "--output", key_text]));
    assert_eq!(made.exit, Some(0), "{made:?}");
    let again = run(&mut command(&["module", "keygen", "--output", key_text]));
    assert_eq!(again.exit, Some(1), "a key is never overwritten: {again:?}");
    home.succeeds("unsigned", &["sign", "--key", key_text], "hello");
    home.succeeds("unsigned", &["load"], "which this driver does not trust");
    home.fails("signed", &["load"], "VERR_ACCESS_DENIED");
    home.fails("unsigned", &["verify"], "does not trust");
    assert!(!home.0.path().join("config").exists(), "no key of the user's was needed");
}

#[test]
fn cannot_declare_kernel_grade_what_is_not() {
    let home = Home::new();
    let image = sup_modules::HELLO_SHARED_OBJECT;
    std::fs::write(home.module(), image).expect("the file takes the bytes");
    home.fails("unsigned", &SIGN, "not signed");
    assert_eq!(std::fs::read(home.module()).ok().as_deref(), Some(image), "nothing was written");
}
