//! An installation as a packager makes it: `cargo xtask install --destdir --prefix --key`. `supctl installation
//! verify` accepts it, and has to refuse every file that is not as it was packed.
//!
//! Neighbours: `install.rs` installs; `supctl/tests/installation.rs` tries the command on small files, without a
//! build. Invariant: each trial begins with a whole installation, and nothing outside the target folder is changed.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use rustix::fs::Mode;
use rustix::process::umask;
use xshell::cmd;

use super::Verdict;
use crate::install::{self, InstallArgs};
use crate::project::Project;

/// Where it will be. All builds of this step know it, so that there is one.
const PREFIX: &str = "/usr";
/// Not root.
const USER: u32 = 65_534;

/// What somebody does to an installed file.
type Change = fn(&Path) -> std::io::Result<()>;

/// A change, to which file, and what the refusal says.
const CHANGES: [(&str, Change, &str); 8] = [
    ("bin/supctl", grow, "its digest differs"),
    // Owner and mode are right.
    ("lib/libsup.so.0", replace, "its digest differs"),
    ("lib/libsup.so.0", give_away, "does not belong to root"),
    ("bin/supctl", open_to_group, "may be written by others"),
    ("lib", open_to_group, "may be written by others"),
    ("lib/libsup.so.0", remove, "cannot be opened"),
    ("lib/supdrv/MANIFEST", change_a_letter, "is not what was signed"),
    ("lib/supdrv/MANIFEST", remove, "cannot be opened"),
];

pub(super) fn run(project: &Project) -> Result<Verdict> {
    let scratch = project.target.join("install");
    project.sh.remove_path(&scratch)?;
    project.sh.create_dir(&scratch)?;
    let ours = key(project, &scratch, "ours")?;
    let theirs = key(project, &scratch, "theirs")?;
    let args = InstallArgs {
        prefix: PREFIX.into(),
        destdir: Some(scratch.join("root")),
        key: Some(ours.secret),
    };
    // A packager whose files are his group's too: what is installed is nobody's but root's.
    let before = umask(Mode::from_raw_mode(0o002));
    let installed = install::run(project, &args);
    umask(before);
    installed?;
    let prefix = scratch.join("root/usr");
    let trial = Trial { project, prefix, key: ours.public };
    if !rustix::process::geteuid().is_root() {
        let refused = trial.verify(&trial.key)?;
        ensure!(refused.contains("does not belong to root"), "a user's files passed: {refused}");
        return Verdict::skipped("only files of root's pass, and they take root: run it as root");
    }
    trial.run(&theirs.secret, &theirs.public)?;
    Verdict::passed_with(format!("{} changes refused", CHANGES.len() + 2))
}

struct Key {
    secret: PathBuf,
    public: PathBuf,
}

/// Makes a key as a packager does.
fn key(project: &Project, scratch: &Path, name: &str) -> Result<Key> {
    let secret = scratch.join(format!("{name}.key"));
    let told = cmd!(
        project.sh,
        "cargo run --quiet --release --package supctl -- module keygen --output {secret}"
    )
    .env("SUP_PREFIX", PREFIX)
    .read()?;
    let public = told.lines().find_map(|line| line.strip_prefix("public"));
    let path = scratch.join(format!("{name}.pub"));
    project.sh.write_file(&path, public.context("no public half was printed")?.trim())?;
    Ok(Key { secret, public: path })
}

struct Trial<'a> {
    project: &'a Project,
    prefix: PathBuf,
    key: PathBuf,
}

impl Trial<'_> {
    fn run(&self, other_secret: &Path, other_key: &Path) -> Result<()> {
        self.accepts(&self.key)?;
        self.refuses("another trusted key", "no trusted key", other_key)?;
        let kept = self.prefix.with_file_name("kept");
        let (sh, prefix) = (&self.project.sh, &self.prefix);
        cmd!(sh, "cp --archive {prefix} {kept}").run()?;
        for (name, change, sentence) in CHANGES {
            change(&prefix.join(name)).with_context(|| name.to_owned())?;
            self.refuses(name, sentence, &self.key)?;
            sh.remove_path(prefix)?;
            cmd!(sh, "cp --archive {kept} {prefix}").quiet().run()?;
            self.accepts(&self.key)?;
        }
        let supctl = prefix.join("bin/supctl");
        cmd!(sh, "{supctl} installation sign --prefix {prefix} --key {other_secret}").run()?;
        self.refuses("a manifest by another key", "no trusted key", &self.key)?;
        self.accepts(other_key)
    }

    fn accepts(&self, key: &Path) -> Result<()> {
        let refused = self.verify(key)?;
        ensure!(refused.is_empty(), "a good installation is refused: {refused}");
        Ok(())
    }

    fn refuses(&self, what: &str, sentence: &str, key: &Path) -> Result<()> {
        let refused = self.verify(key)?;
        ensure!(refused.contains(sentence), "{what}: '{sentence}' is not in '{refused}'");
        Ok(())
    }

    /// What the verification refuses, and empty if it accepts.
    fn verify(&self, key: &Path) -> Result<String> {
        let prefix = &self.prefix;
        // Not the installed one, which somebody may have changed.
        let supctl = self.project.target.join("release/supctl");
        let sh = &self.project.sh;
        let verify = cmd!(sh, "{supctl} installation verify --prefix {prefix} --key {key}");
        let output = verify.quiet().ignore_status().output()?;
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(output.status.success() == told.is_empty(), "{}: '{told}'", output.status);
        Ok(told)
    }
}

fn grow(path: &Path) -> std::io::Result<()> {
    let mut bytes = fs::read(path)?;
    bytes.push(0);
    fs::write(path, bytes)
}

fn replace(path: &Path) -> std::io::Result<()> {
    let mode = fs::metadata(path)?.permissions();
    fs::remove_file(path)?;
    fs::write(path, "of root's, and not what was packed")?;
    fs::set_permissions(path, mode)
}

fn give_away(path: &Path) -> std::io::Result<()> {
    chown(path, Some(USER), None)
}

fn open_to_group(path: &Path) -> std::io::Result<()> {
    let mode = fs::metadata(path)?.permissions().mode();
    fs::set_permissions(path, Permissions::from_mode(mode | 0o020))
}

fn remove(path: &Path) -> std::io::Result<()> {
    fs::remove_file(path)
}

/// The first of its first line, which is a digest's.
fn change_a_letter(path: &Path) -> std::io::Result<()> {
    let mut bytes = fs::read(path)?;
    if let Some(first) = bytes.first_mut() {
        *first = if *first == b'0' { b'1' } else { b'0' };
    }
    fs::write(path, bytes)
}
