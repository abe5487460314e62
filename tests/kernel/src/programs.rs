//! The programs in C and C++ of `tests/c`, with the kernel's driver.
//!
//! The guest has them under [`FOLDER`]: linked statically, in one folder for each header that they were
//! compiled against. Each is a process of its own, gets signed copies of the modules that it loads, and
//! leaves nothing in the driver.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use sup_modules::{HELLO, VMMR0};
use sup_test_key::signed;

use crate::check::{Outcome, Report, Stop, Verdict};
use crate::observer::Observer;

/// What to run.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where the folders with the programs are
    #[arg(long, default_value = FOLDER, value_name = "FOLDER")]
    folder: PathBuf,
}

const FOLDER: &str = "/bin/c";
/// Where the programs find the modules.
const MODULES: &str = "/tmp/programs";

/// # Errors
/// There is no driver, there are no programs, or standard output is gone.
pub(crate) fn run(args: &Args) -> io::Result<ExitCode> {
    let observer = Observer::open()?;
    let mut report = Report::start()?;
    fs::create_dir_all(MODULES)?;
    for (file, module) in [("hello.r0", HELLO), ("vmmr0.r0", VMMR0)] {
        fs::write(Path::new(MODULES).join(file), signed(module.image, module.name))?;
    }
    let mut missing = true;
    for folder in sorted(&args.folder)? {
        for program in sorted(&folder)? {
            missing = false;
            let [header, name] = [&folder, &program]
                .map(|path| path.file_name().unwrap_or_default().to_string_lossy());
            report.note(&format!("{name}::with_{header}"), &outcome(&observer, &program))?;
        }
    }
    if missing {
        let why = format!(
            "no programs in {}; `cargo xtask vm run` takes `--take c-programs`",
            args.folder.display()
        );
        return Err(io::Error::new(io::ErrorKind::NotFound, why));
    }
    report.end()
}

fn sorted(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder)
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", folder.display())))?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

fn outcome(observer: &Observer, program: &Path) -> Outcome {
    let verdict = observer.look().and_then(|before| {
        run_one(program.as_os_str())?;
        observer.wait_for(&before)
    });
    verdict.into()
}

fn run_one(program: &OsStr) -> Verdict {
    let done = Command::new(program).arg(MODULES).env("SUP_BACKEND", "kernel").output()?;
    if done.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&done.stderr);
    // One line is one result.
    let told = text.lines().collect::<Vec<_>>().join(" | ");
    Err(Stop::Failed(format!("{}: {told}", done.status)))
}
