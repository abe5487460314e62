//! One guest from its preparation to its end, and what is to be said about it.

use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::args::{Extra, GuestArgs};
use super::initramfs;
use super::job::Job;
use super::log;
use super::machine::Machine;
use super::programs;
use super::record::{Piece, Record, Splitter};
use super::system;
use crate::kernel::Kernel;
use crate::kmod;
use crate::project::Project;
use crate::report;

/// Whether the guest gets the kernel's driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Driver {
    Included,
    LeftOut,
}

/// Builds everything a guest needs: the programs, the driver, and the file system with the job.
///
/// # Errors
/// Something is missing and cannot be installed, does not build, or cannot be written.
pub(super) fn prepare(
    project: &Project,
    args: &GuestArgs,
    driver: Driver,
    job: &Job,
) -> Result<Machine> {
    programs::require(project)?;
    let kernel = Kernel::find(project, &args.kernel)?;
    let mut programs = programs::build(project)?;
    programs.push(programs::busybox(project)?);
    let mut files = Vec::new();
    if args.extras.contains(&Extra::CPrograms) {
        programs.extend(programs::in_c(project)?);
        files.extend(programs::starts(project)?);
    }
    if args.extras.contains(&Extra::System) {
        files.extend(system::kvm(&kernel));
        files.extend(system::udev(project)?);
    }
    let module = match (driver, &args.module) {
        (Driver::Included, None) => {
            let module = |name| programs::rust_module(project, &programs, name);
            files.push(("lib/echo.r0".to_owned(), module("echo")?));
            files.push(("lib/ringtrace.r0".to_owned(), module("ringtrace")?));
            let module = kmod::build(project, &kernel)?;
            files.push(("lib/supdrv_client.ko".to_owned(), kmod::client(project, &kernel)?));
            Some(module)
        }
        (Driver::Included, Some(module)) => Some(module.clone()),
        (Driver::LeftOut, _) => None,
    };

    let folder = project.target.join("vm").join(kernel.label());
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let lock = lock(&folder)?;
    let initramfs = folder.join("initramfs.cpio");
    files.extend(module.map(|module| ("lib/supdrv.ko".to_owned(), module)));
    // The same library may be asked for twice.
    files.sort();
    files.dedup_by(|one, other| one.0 == other.0);
    let archive = initramfs::build(project, &programs, &files, job)?;
    fs::write(&initramfs, archive)
        .with_context(|| format!("cannot write {}", initramfs.display()))?;
    let log = folder.join("kernel.log");
    // Empty, so that a guest that writes nothing is not judged by the log of an earlier one.
    fs::write(&log, "").with_context(|| format!("cannot write {}", log.display()))?;
    Ok(Machine { kernel: kernel.image()?, initramfs, log, args: args.clone(), _lock: lock })
}

/// Waits until no other guest uses the folder.
fn lock(folder: &Path) -> Result<File> {
    let path = folder.join("lock");
    let lock = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    if lock.try_lock().is_err() {
        report::note(format_args!("waiting for another guest that uses {}", folder.display()));
        lock.lock().with_context(|| format!("cannot lock {}", path.display()))?;
    }
    Ok(lock)
}

/// A program's run in the guest.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) name: String,
    pub(super) output: Vec<u8>,
    /// None while it runs; a guest that dies leaves it so.
    pub(super) status: Option<u8>,
    pub(super) elapsed: Duration,
}

/// What a guest did.
#[derive(Debug, Default)]
pub(super) struct Account {
    /// The kernel's, as the guest says.
    pub(super) release: String,
    pub(super) runs: Vec<Run>,
    /// Whether the job was done to its end.
    is_finished: bool,
    /// What went wrong beside the programs, a sentence and often a part of the log each.
    pub(super) problems: Vec<String>,
}

impl Account {
    pub(super) fn run(&self, name: &str) -> Option<&Run> {
        self.runs.iter().find(|run| run.name == name)
    }

    fn text(&mut self, text: &[u8]) {
        // Output behind the end of a run is that of a process it left: the last run's.
        if let Some(run) = self.runs.last_mut() {
            run.output.extend_from_slice(text);
        }
    }

    fn record(&mut self, record: Record, started: &mut Instant) {
        match record {
            Record::Booted(release) => self.release = release,
            Record::Begin(name) => {
                *started = Instant::now();
                let run = Run { name, output: Vec::new(), status: None, elapsed: Duration::ZERO };
                self.runs.push(run);
            }
            Record::End(status) => {
                if let Some(run) = self.runs.last_mut() {
                    run.status = Some(status);
                    run.elapsed = started.elapsed();
                }
            }
            Record::LeftBehind(processes) => self.problems.push(format!(
                "a program ended and left processes behind, which were killed: {processes}"
            )),
            Record::ModuleRefused(reason) => {
                self.problems.push(format!("the kernel did not take supdrv.ko: {reason}"));
            }
            Record::NoDevice => self.problems.push(
                "supdrv.ko was inserted, but its device /dev/supdrv did not appear within 5 s"
                    .to_owned(),
            ),
            Record::ModuleStays(reason) => {
                self.problems.push(format!("supdrv.ko could not be removed: {reason}"));
            }
            Record::Leaks(count @ 1..) => self.problems.push(format!(
                "kmemleak found {count} objects that nobody refers to after supdrv.ko was removed; \
                 they stand at the end of the log"
            )),
            Record::Finished => self.is_finished = true,
            Record::ModuleInserted | Record::ModuleRemoved | Record::Leaks(0) => {}
        }
    }

    /// Adds what the kernel's log says, and that the job was not finished. Each run in `oopses` has to have caused
    /// one.
    fn close(&mut self, machine: &Machine, oopses: &[&str]) -> Result<()> {
        let mut log = machine.read_log()?;
        for run in oopses {
            match log::without_oops(&log, run) {
                Ok(rest) => log = rest,
                Err(error) => self.problems.push(format!("{error:#}")),
            }
        }
        let path = machine.log.display();
        if let Some(log::Complaint { line, excerpt, count }) = log::complaint(&log) {
            let problem = format!("the kernel's log complains ({count} lines): {line}\n{excerpt}");
            self.problems.push(format!("{problem}\nThe whole log: {path}"));
        }
        if !self.is_finished && self.problems.is_empty() {
            let tail = log::tail(&log);
            self.problems.push(format!(
                "the guest ended before its job. The end of its log {path}:\n{tail}"
            ));
        }
        Ok(())
    }
}

/// Runs a prepared guest to its end, and hands on what comes from it as it comes. The runs named in `oopses` cause
/// an oops of the kernel, exactly one each.
///
/// # Errors
/// The log cannot be read. What the guest did wrong is in the account.
pub(super) fn run(
    machine: &Machine,
    oopses: &[&str],
    mut show: impl FnMut(&Piece),
) -> Result<Account> {
    let mut account = Account::default();
    let mut splitter = Splitter::default();
    let mut started = Instant::now();
    let ended = machine.run(|bytes| {
        for piece in splitter.push(bytes)? {
            show(&piece);
            match piece {
                Piece::Text(text) => account.text(&text),
                Piece::Record(record) => account.record(record, &mut started),
            }
        }
        Ok(())
    });
    if let Err(error) = ended {
        account.problems.push(format!("{error:#}"));
    }
    account.close(machine, oopses)?;
    show_log_if_wanted(machine)?;
    Ok(account)
}

/// Runs a prepared guest with our own terminal.
///
/// # Errors
/// It does not start, or its kernel complains.
pub(super) fn run_on_terminal(machine: &Machine) -> Result<()> {
    machine.run_on_terminal()?;
    // Leaving with Ctrl-A X is no failure, so only the log is judged.
    let mut account = Account { is_finished: true, ..Account::default() };
    account.close(machine, &[])?;
    show_log_if_wanted(machine)?;
    ensure!(account.problems.is_empty(), "{}", account.problems.join("\n"));
    Ok(())
}

fn show_log_if_wanted(machine: &Machine) -> Result<()> {
    if machine.args.verbose {
        report::note(format_args!("{}", machine.read_log()?.trim_end()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(records: Vec<Record>) -> Account {
        let mut account = Account::default();
        let mut started = Instant::now();
        records.into_iter().for_each(|record| account.record(record, &mut started));
        account
    }

    #[test]
    fn a_run_has_its_own_output_and_status() {
        let mut account = account(vec![Record::Begin("one".to_owned())]);
        account.text(b"a");
        account.record(Record::End(3), &mut Instant::now());
        account.record(Record::Begin("two".to_owned()), &mut Instant::now());
        account.text(b"b");
        let run = |name| account.run(name).map(|run| (run.output.as_slice(), run.status));
        assert_eq!(run("one"), Some((&b"a"[..], Some(3))));
        assert_eq!(run("two"), Some((&b"b"[..], None)));
        assert_eq!(run("three"), None);
    }

    #[test]
    fn whatever_goes_wrong_with_the_driver_is_a_problem() {
        let reason = || "why".to_owned();
        for record in [
            Record::LeftBehind(reason()),
            Record::ModuleRefused(reason()),
            Record::NoDevice,
            Record::ModuleStays(reason()),
            Record::Leaks(1),
        ] {
            assert_eq!(account(vec![record.clone()]).problems.len(), 1, "{record:?}");
        }
        let good = vec![Record::ModuleInserted, Record::ModuleRemoved, Record::Leaks(0)];
        assert!(account(good).problems.is_empty());
    }
}
