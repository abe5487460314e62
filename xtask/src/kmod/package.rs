//! `cargo xtask kmod --source-package`: what DKMS builds on a user's machine, without a network.
//!
//! A folder `supdrv-VERSION` for /usr/src, also as an archive: the crates of ring 0 as a workspace of
//! their own, every crate that they and the core library need, `kmod/`, and the Makefile that DKMS
//! calls. The flags are those of [`super::object`].

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use xshell::cmd;

use super::toolchain::Toolchain;
use super::{kbuild, object};
use crate::project::Project;
use crate::report;
use crate::rules::RING0_CRATES;

const LICENSES: [&str; 2] = ["LICENSE-GPL-2.0", "LICENSE-MIT"];

/// The crate that is the module; the others are there for it.
const MODULE: &str = "sup-kmod";

/// Our crates that the module needs and the package leaves out; a sentence each.
///
/// # Errors
/// A manifest cannot be read.
pub(super) fn missing(project: &Project) -> Result<Vec<String>> {
    let mut seen = vec![MODULE.to_owned()];
    let mut next = 0;
    while let Some(name) = seen.get(next) {
        let manifest = project.sh.read_file(format!("crates/{name}/Cargo.toml"))?;
        next += 1;
        for needed in ours(&without_tests(&manifest)) {
            if !seen.iter().any(|name| name == needed) {
                seen.push(needed.to_owned());
            }
        }
    }
    let left_out = seen.iter().filter(|name| !RING0_CRATES.contains(&name.as_str()));
    Ok(left_out
        .map(|name| {
            format!("the module needs {name}, which is none of RING0_CRATES, so DKMS has not")
        })
        .collect())
}

/// The crates of this workspace among what a manifest without tests depends on.
fn ours(manifest: &str) -> Vec<&str> {
    let mut is_dependency = false;
    let names = manifest.lines().filter_map(|line| {
        if line.starts_with('[') {
            is_dependency = line.ends_with("dependencies]");
        }
        let name = line.split(['.', ' ', '=']).next().filter(|name| name.starts_with("sup-"));
        name.filter(|_| is_dependency)
    });
    names.collect()
}

/// Makes the package and tells the path of its archive.
pub(super) fn make(project: &Project) -> Result<PathBuf> {
    let missing = missing(project)?;
    ensure!(missing.is_empty(), "{}", missing.join("\n"));
    let toolchain = Toolchain::find(project)?;
    let sh = &project.sh;
    let manifest = sh.read_file("Cargo.toml")?;
    let version = version(&manifest).context("Cargo.toml tells no version")?;
    let name = format!("supdrv-{version}");
    let packages = project.target.join("package");
    let folder = packages.join(&name);
    sh.remove_path(&folder)?;

    report::progress(format_args!("collecting {name} and the crates that it needs"));
    sh.write_file(folder.join("Cargo.toml"), workspace(&manifest))?;
    sh.copy_file("Cargo.lock", folder.join("Cargo.lock"))?;
    for name in RING0_CRATES {
        let from = project.root.join("crates").join(name);
        let to = folder.join("crates").join(name);
        copy_folder(&from.join("src"), &to.join("src"))?;
        sh.write_file(
            to.join("Cargo.toml"),
            without_tests(&sh.read_file(from.join("Cargo.toml"))?),
        )?;
    }
    sh.create_dir(folder.join("kmod"))?;
    for source in kbuild::sources(project) {
        sh.copy_file(&source, folder.join("kmod"))?;
    }
    sh.copy_file("kmod/60-supdrv.rules", folder.join("kmod"))?;
    let dkms = sh.read_file("kmod/dkms.conf")?.replace("@VERSION@", version);
    sh.write_file(folder.join("dkms.conf"), dkms)?;
    sh.copy_file("packaging/dkms/Makefile", folder.join("Makefile"))?;
    sh.copy_file("packaging/supdrv.sysusers", folder.join("supdrv.sysusers"))?;
    for license in LICENSES {
        sh.copy_file(license, folder.join(license))?;
    }
    vendor(project, &toolchain, &folder)?;

    let archive = packages.join(format!("{name}.tar.gz"));
    // The same tree gives the same archive.
    cmd!(sh, "tar --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 -C {packages} -czf {archive} {name}")
        .run()?;
    Ok(archive)
}

/// Puts all crates in, and says in cargo's configuration that they are there.
fn vendor(project: &Project, toolchain: &Toolchain, folder: &Path) -> Result<()> {
    let Toolchain { cargo, rustc, library } = toolchain;
    let sh = &project.sh;
    let _in_folder = sh.push_dir(folder);
    // Names with versions, because those of the core library's crates are looked for by them.
    cmd!(sh, "{cargo} vendor --quiet --versioned-dirs --sync")
        .arg(library.join("Cargo.toml"))
        .arg("vendor")
        .env("RUSTC", rustc)
        .env("RUSTC_BOOTSTRAP", "1")
        .ignore_stdout()
        .run()?;
    sh.write_file("rustc-version", cmd!(sh, "{rustc} --version").read()?)?;
    let sources = "[source.crates-io]\nreplace-with = \"vendored\"\n\n\
        [source.vendored]\ndirectory = \"vendor\"\n\n";
    sh.write_file(".cargo/config.toml", format!("{sources}{}", object::cargo_config()))?;
    Ok(())
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from).with_context(|| from.display().to_string())? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &to)?;
        } else {
            fs::copy(entry.path(), &to).with_context(|| to.display().to_string())?;
        }
    }
    Ok(())
}

fn version(manifest: &str) -> Option<&str> {
    manifest.lines().find_map(|line| line.strip_prefix("version = \""))?.strip_suffix('"')
}

/// The workspace's manifest with no members but the crates that are in the package.
fn workspace(manifest: &str) -> String {
    let lines = manifest.lines().filter_map(|line| match line.split_once(" = ") {
        Some(("members", _)) => Some("members = [\"crates/*\"]"),
        Some(("exclude" | "default-members", _)) => None,
        _ => Some(line),
    });
    lines.flat_map(|line| [line, "\n"]).collect()
}

/// A crate's manifest without what only tests need: it would have to be in the package too.
fn without_tests(manifest: &str) -> String {
    let mut is_kept = true;
    let lines = manifest.lines().filter(|line| {
        if line.starts_with('[') {
            is_kept =
                !line.starts_with("[dev-dependencies") && !line.starts_with("[target.'cfg(loom)'");
        }
        is_kept
    });
    lines.flat_map(|line| [line, "\n"]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_crates_in_the_package_are_members() {
        let manifest = "[workspace]\nmembers = [\"crates/*\", \"xtask\"]\nexclude = [\"a\"]\n\
            default-members = [\"b\"]\n\n[workspace.package]\nversion = \"0.1.0\"\n";
        let wanted =
            "[workspace]\nmembers = [\"crates/*\"]\n\n[workspace.package]\nversion = \"0.1.0\"\n";
        assert_eq!(workspace(manifest), wanted);
        assert_eq!(version(manifest), Some("0.1.0"));
    }

    #[test]
    fn the_module_says_the_version_of_the_workspace() {
        let manifest = include_str!("../../../Cargo.toml");
        let version = version(manifest).unwrap();
        let shim = include_str!("../../../kmod/shim.c");
        assert!(shim.contains(&format!("MODULE_VERSION(\"{version}\");")), "{version}");
    }

    #[test]
    fn the_package_has_every_crate_that_the_module_needs() {
        let project = Project::open().unwrap();
        assert_eq!(missing(&project).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn our_crates_are_found_in_every_table_of_dependencies() {
        let manifest = "[package]\nname = \"sup-a\"\n\n[dependencies]\nlock_api = \"1\"\n\
            sup-b.workspace = true\nsup-c = { workspace = true }\n\n[target.'cfg(unix)'.dependencies]\n\
            sup-d = \"1\"\n\n[features]\nsup-e = []\n";
        assert_eq!(ours(manifest), ["sup-b", "sup-c", "sup-d"]);
    }

    #[test]
    fn a_crate_leaves_its_tests_behind() {
        let manifest = "[dependencies]\na = \"1\"\n\n[dev-dependencies]\nb = \"1\"\n\n\
            [target.'cfg(loom)'.dependencies]\nc = \"1\"\n\n[features]\nd = []\n";
        assert_eq!(without_tests(manifest), "[dependencies]\na = \"1\"\n\n[features]\nd = []\n");
    }
}
