//! The programs in C and C++ (`tests/c`), against the header of the tree and the one that it has to be; and
//! whether the header's functions are all there.
//!
//! Each is compiled without a warning and run with the driver in the process: once with the shared library
//! and `include/`, and once with the static one and the seed's header, on machines that have the seed.

use std::path::{Path, PathBuf};

use anyhow::Result;
use xshell::cmd;

use super::Verdict;
use crate::capi::{self, Linkage, OURS, SEED};
use crate::project::Project;
use crate::{api, install, modules, report, require, start};

pub(super) fn run(project: &Project) -> Result<Verdict> {
    capi::require(project)?;
    let library = capi::build(project)?;
    let modules = modules::build(project)?;
    let has_seed = project.root.join(SEED).is_dir();
    let passes = [(OURS, Linkage::Shared), (if has_seed { SEED } else { OURS }, Linkage::Static)];
    let sources = capi::programs(project)?;
    for (include, linkage) in passes {
        let folder = library.folder.join(format!("{linkage:?}").to_lowercase());
        project.sh.create_dir(&folder)?;
        for source in &sources {
            let include = project.root.join(include);
            let program = capi::program(project, &library, source, &include, linkage, &folder)?;
            report::line(format_args!("{}", program.display()));
            cmd!(project.sh, "{program} {modules}").env("SUP_BACKEND", "embedded").quiet().run()?;
        }
    }
    installed(project, &library.folder.join("install"))?;
    let seed = if has_seed { "" } else { "; the seed's header is not on this machine" };
    Verdict::passed_with(format!("{} programs, both libraries{seed}", sources.len()))
}

/// Installs the libraries, and makes a module, a program that loads it and a start program with what `pkg-config`
/// says.
fn installed(project: &Project, prefix: &Path) -> Result<()> {
    require::program(project, "pkg-config", "pkg-config")?;
    let sh = &project.sh;
    install::library(project, prefix)?;
    let flags = |package: &str| {
        cmd!(sh, "pkg-config --cflags --libs {package}")
            .env("PKG_CONFIG_PATH", prefix.join("lib/pkgconfig"))
            .quiet()
            .read()
    };
    let (module, of_modules) = (prefix.join("hello.r0"), flags("sup-module")?);
    let of_modules = of_modules.split_whitespace();
    cmd!(sh, "cc {of_modules...} -Werror -o {module} modules/hello/hello.c").run()?;
    install::start(project, prefix)?;
    let (program, of_starts) = (prefix.join("start-c"), flags("sup-hardened")?);
    let (source, of_starts) =
        (format!("{}/start/main.c", capi::PROGRAMS), of_starts.split_whitespace());
    cmd!(sh, "cc -Wall -Wextra -Werror {source} -o {program} {of_starts...}").run()?;
    start::judge(&program)?;
    let (program, of_programs) = (prefix.join("modules"), flags("sup")?);
    let (source, of_programs) =
        (format!("{}/modules.c", capi::PROGRAMS), of_programs.split_whitespace());
    cmd!(
        sh,
        "cc -std=gnu11 -Wall -Wextra -Werror -Imodules/hello {source} -o {program} {of_programs...}"
    )
    .run()?;
    cmd!(sh, "{program} {prefix}")
        .env("SUP_BACKEND", "embedded")
        .env("LD_LIBRARY_PATH", prefix.join("lib"))
        .run()?;
    Ok(())
}

/// Runs the programs under memcheck, with the shared library.
pub(super) fn valgrind(project: &Project) -> Result<Verdict> {
    capi::require(project)?;
    require::program(project, "valgrind", "valgrind")?;
    let library = capi::build(project)?;
    let modules: PathBuf = modules::build(project)?;
    let folder = library.folder.join("valgrind");
    project.sh.create_dir(&folder)?;
    let include = project.root.join(OURS);
    let sources = capi::programs(project)?;
    for source in &sources {
        let program = capi::program(project, &library, source, &include, Linkage::Shared, &folder)?;
        report::line(format_args!("{}", program.display()));
        // Valgrind runs one thread at a time, and does not switch from one that spins.
        cmd!(project.sh, "valgrind --quiet --fair-sched=yes --leak-check=full --show-leak-kinds=definite --errors-for-leak-kinds=definite --error-exitcode=1 {program} {modules}")
            .env("SUP_BACKEND", "embedded")
            .env("CHECK_FEW", "1")
            .quiet()
            .run()?;
    }
    Verdict::passed_with(format!("{} programs", sources.len()))
}

/// Compares the header's functions with what is exported and called.
pub(super) fn api(project: &Project) -> Result<Verdict> {
    let findings = api::check(project)?;
    let there = findings.functions - findings.gaps;
    let rest = if findings.gaps == 0 { "" } else { ", the rest known gaps" };
    Verdict::passed_with(format!("{there} of {} functions{rest}", findings.functions))
}
