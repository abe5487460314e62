//! `cargo xtask modules`: the ring-0 modules of the tree as files, for `supctl module load`.
//!
//! The build script of `sup-modules` leaves each one in its output folder, whose name cargo tells.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use xshell::cmd;

use crate::project::Project;
use crate::{report, require};

const PACKAGE: &str = "sup-modules";

/// Writes the modules, and prints their paths.
pub(crate) fn write(project: &Project) -> Result<ExitCode> {
    for image in project.files_in(&build(project)?.to_string_lossy(), "r0") {
        report::line(format_args!("{}", image.display()));
    }
    Ok(ExitCode::SUCCESS)
}

/// Those in Rust, which `supctl` compiles.
const IN_RUST: [&str; 2] = ["echo", "ringtrace"];

/// Compiles the modules in Rust into `target/r0`, so that tests find those of this tree. What keeps that from
/// being done, if something does: their tests are skipped then.
pub(crate) fn in_rust(project: &Project) -> Option<String> {
    for name in IN_RUST {
        let folder = project.root.join("modules").join(name);
        let built = cmd!(project.sh, "cargo run --quiet --package supctl -- module build {folder}");
        if let Err(error) = built.quiet().read() {
            // An old one would be tested in its place.
            let stale = project.target.join("r0").join(format!("{name}.r0"));
            let _ = project.sh.remove_path(stale);
            return Some(format!("no {name}.r0: {error}"));
        }
    }
    None
}

/// Writes `target/modules/NAME.r0` for each module, and returns the folder.
///
/// # Errors
/// They do not build, or the folder cannot be written.
pub(crate) fn build(project: &Project) -> Result<PathBuf> {
    require::program(project, "cc", "gcc")?;
    let sh = &project.sh;
    let messages =
        cmd!(sh, "cargo build --package {PACKAGE} --message-format json-render-diagnostics")
            .read()?;
    let built = output_folder(&messages).context("cargo did not tell where the modules are")?;
    let images = project.files_in(&built.to_string_lossy(), "r0");
    ensure!(!images.is_empty(), "{PACKAGE} built no module in {}", built.display());

    let folder = project.target.join("modules");
    sh.create_dir(&folder)?;
    for image in images {
        let copy = folder.join(image.file_name().context("a module without a name")?);
        sh.copy_file(&image, &copy)?;
    }
    Ok(folder)
}

/// The part of cargo's `build-script-executed` message that is of use.
#[derive(Deserialize)]
struct BuildScript {
    reason: String,
    package_id: String,
    out_dir: PathBuf,
}

/// Finds the build script's output folder among cargo's messages, one JSON object a line.
fn output_folder(messages: &str) -> Option<PathBuf> {
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<BuildScript>(line).ok())
        .find(|script| script.reason == "build-script-executed" && is_ours(&script.package_id))
        .map(|script| script.out_dir)
}

/// An id is `path+file:///tree/modules#sup-modules@0.1.0`.
fn is_ours(package_id: &str) -> bool {
    package_id
        .rsplit_once('#')
        .and_then(|(_, package)| package.split_once('@'))
        .is_some_and(|(name, _)| name == PACKAGE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_folder_of_our_own_build_script() {
        let messages = concat!(
            r#"{"reason":"build-script-executed","package_id":"registry#rustix@1.0.0","out_dir":"/a"}"#,
            "\n",
            r#"{"reason":"compiler-artifact","package_id":"path#sup-modules@0.1.0"}"#,
            "\n",
            r#"{"reason":"build-script-executed","package_id":"path#sup-modules@0.1.0","out_dir":"/b"}"#,
        );
        assert_eq!(output_folder(messages), Some(PathBuf::from("/b")));
        assert_eq!(output_folder(""), None);
    }
}
