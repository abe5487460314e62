//! Suites in a guest: the conformance suite with the driver in the process and with the kernel's, and
//! the kernel driver's own tests.

use std::time::Duration;

use anyhow::{Error, Result, bail};

use super::args::{Backend, GuestArgs, Variable};
use super::guest::{self, Account, Driver};
use super::job::Job;
use super::record::{Piece, Record};
use super::results::{Counts, Results};
use crate::project::Project;
use crate::report;

/// A program that tests, with the driver that it is to test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Suite {
    pub(crate) name: String,
    backend: Backend,
    /// Whether the driver is in the kernel before the program starts.
    is_inserted: bool,
    /// Whether the kernel has to have an oops meanwhile, exactly one.
    has_oops: bool,
    command: Vec<String>,
}

impl Suite {
    /// The cases that every backend has to pass, or those whose name contains `filter`.
    pub(crate) fn conformance(backend: Backend, filter: Option<&str>) -> Self {
        let mut command = vec!["sup-conformance".to_owned()];
        command.extend(filter.into_iter().flat_map(|f| ["--filter".to_owned(), f.to_owned()]));
        let is_inserted = backend == Backend::Kernel;
        let name = backend.name().to_owned();
        Self { name, backend, is_inserted, has_oops: false, command }
    }

    /// A subcommand of `sup-kernel-tests`, so many times if it counts.
    pub(crate) fn kernel(subcommand: &str, count: Option<u32>) -> Self {
        let mut command = vec!["sup-kernel-tests".to_owned(), subcommand.to_owned()];
        command.extend(count.into_iter().flat_map(|n| ["--count".to_owned(), n.to_string()]));
        let name = subcommand.to_owned();
        Self { name, backend: Backend::Kernel, is_inserted: true, has_oops: false, command }
    }

    /// Has a module fault in this way: `write`, `call`, `divide` or `undefined`.
    pub(crate) fn oops(fault: &str) -> Self {
        let mut suite = Self { has_oops: true, ..Self::kernel("oops", None) };
        suite.name = format!("oops-{fault}");
        suite.command.extend(["--fault".to_owned(), fault.to_owned()]);
        suite
    }

    /// Starts programs with privileges, which takes a guest with the programs of `tests/c`.
    pub(crate) fn start() -> Self {
        let command = ["sup-start-tests", "/start", "--guest"].map(str::to_owned).into();
        Self { name: "start".to_owned(), command, ..Self::kernel("start", None) }
    }

    /// Takes a processor off line and on again, with drivers that it inserts itself.
    pub(crate) fn hotplug() -> Self {
        Self { is_inserted: false, ..Self::kernel("hotplug", None) }
    }

    /// Inserts a client of the driver, with drivers that it inserts itself.
    pub(crate) fn client() -> Self {
        Self { is_inserted: false, ..Self::kernel("client", None) }
    }

    /// Installs and uninstalls the driver.
    pub(crate) fn install() -> Self {
        Self { is_inserted: false, ..Self::kernel("install", None) }
    }

    /// Uses the driver beside KVM, with drivers that it inserts itself.
    pub(crate) fn kvm() -> Self {
        Self { is_inserted: false, ..Self::kernel("kvm", None) }
    }

    /// Inserts and removes the driver itself, so many times.
    pub(crate) fn cycles(count: u32) -> Self {
        Self { is_inserted: false, ..Self::kernel("cycles", Some(count)) }
    }
}

/// The results of one suite.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) name: String,
    /// An error is a suite that did not run to its end, or that is not to be believed.
    pub(crate) counts: Result<Counts>,
    pub(crate) elapsed: Duration,
}

/// All that a guest's run of the suite showed.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// The kernel's, as `uname -r` in the guest says.
    pub(crate) release: String,
    pub(crate) rows: Vec<Row>,
    /// What went wrong beside the suite, a sentence and often a part of the log each.
    pub(crate) problems: Vec<String>,
}

impl Outcome {
    /// # Errors
    /// Something failed. The message is a line; what is behind it stands in the outcome.
    pub(crate) fn judge(&self) -> Result<()> {
        if let Some(problem) = self.problems.first() {
            let line = problem.lines().next().unwrap_or_default();
            bail!("{line}");
        }
        for Row { name, counts, .. } in &self.rows {
            if let Err(error) = counts {
                bail!("{name}: {error:#}");
            }
        }
        Ok(())
    }
}

/// Runs `suites` one after the other in one guest, and shows them: each case as it ends, the sums.
///
/// # Errors
/// The guest cannot be prepared. What fails in it is in the outcome.
pub(crate) fn run(project: &Project, args: &GuestArgs, suites: &[Suite]) -> Result<Outcome> {
    let mut job = Job::default();
    for Suite { name, backend, is_inserted, command, .. } in suites {
        let value = backend.name().to_owned();
        let mut variables = args.variables.clone();
        variables.push(Variable { name: "SUP_BACKEND".to_owned(), value });
        if command.iter().any(|word| word == "sup-conformance") {
            variables.push(Variable { name: "CHECK_FEW".to_owned(), value: "1".to_owned() });
        }
        if *is_inserted {
            job.run_with_module(name, &variables, command);
        } else {
            job.run(name, &variables, command);
        }
    }
    let needs_driver = suites.iter().any(|suite| suite.backend == Backend::Kernel);
    let driver = if needs_driver { Driver::Included } else { Driver::LeftOut };
    let machine = guest::prepare(project, args, driver, &job)?;
    let oopses: Vec<&str> =
        suites.iter().filter(|suite| suite.has_oops).map(|suite| &*suite.name).collect();
    let account = guest::run(&machine, &oopses, |piece| match piece {
        Piece::Record(Record::Begin(name)) => {
            report::line(format_args!("{name}, Linux {}:", args.kernel));
        }
        Piece::Record(_) => {}
        Piece::Text(text) => report::bytes(text),
    })?;
    let outcome = Outcome {
        rows: suites.iter().map(|suite| row(suite, &account)).collect(),
        release: account.release,
        problems: account.problems,
    };
    report::suite(&outcome);
    Ok(outcome)
}

fn row(suite: &Suite, account: &Account) -> Row {
    let name = suite.name.clone();
    let Some(run) = account.run(&name) else {
        let counts = Err(Error::msg("the suite was not run"));
        return Row { name, counts, elapsed: Duration::ZERO };
    };
    let results = Results::parse(&String::from_utf8_lossy(&run.output));
    let counts = match run.status {
        Some(status) => results.judge(suite.backend.name(), status),
        None => {
            Err(Error::msg(format!("the guest ended during the suite, {}", results.progress())))
        }
    };
    Row { name, counts, elapsed: run.elapsed }
}
