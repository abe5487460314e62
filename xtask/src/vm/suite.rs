//! The conformance suite in a guest: with the driver in the process, and with the kernel's.

use std::time::Duration;

use anyhow::{Error, Result, bail};

use super::args::{Backend, GuestArgs, Variable};
use super::guest::{self, Account, Driver};
use super::job::Job;
use super::record::{Piece, Record};
use super::results::{Counts, Results};
use crate::project::Project;
use crate::report;

const SUITE: &str = "sup-conformance";

/// The suite's results with one driver.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) backend: Backend,
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
        for Row { backend, counts, .. } in &self.rows {
            if let Err(error) = counts {
                bail!("{} backend: {error:#}", backend.name());
            }
        }
        Ok(())
    }
}

/// Runs the suite with each of `backends` in one guest, and shows it: each case as it ends, the sums.
///
/// # Errors
/// The guest cannot be prepared. What fails in it is in the outcome.
pub(crate) fn run(
    project: &Project,
    args: &GuestArgs,
    filter: Option<&str>,
    backends: &[Backend],
) -> Result<Outcome> {
    let mut job = Job::default();
    let mut command = vec![SUITE.to_owned()];
    command
        .extend(filter.into_iter().flat_map(|filter| ["--filter".to_owned(), filter.to_owned()]));
    for backend in backends {
        let name = backend.name();
        let mut variables = args.variables.clone();
        variables.push(Variable { name: "SUP_BACKEND".to_owned(), value: name.to_owned() });
        match backend {
            Backend::Embedded => job.run(name, &variables, &command),
            Backend::Kernel => job.run_with_module(name, &variables, &command),
        }
    }
    let needs_driver = backends.contains(&Backend::Kernel);
    let driver = if needs_driver { Driver::Included } else { Driver::LeftOut };
    let machine = guest::prepare(project, args, driver, &job)?;
    let account = guest::run(&machine, |piece| match piece {
        Piece::Record(Record::Begin(name)) => {
            report::line(format_args!("{SUITE} with the {name} backend, Linux {}:", args.kernel));
        }
        Piece::Record(_) => {}
        Piece::Text(text) => report::bytes(text),
    })?;
    let outcome = Outcome {
        rows: backends.iter().map(|&backend| row(backend, &account)).collect(),
        release: account.release,
        problems: account.problems,
    };
    report::suite(&outcome);
    Ok(outcome)
}

fn row(backend: Backend, account: &Account) -> Row {
    let Some(run) = account.run(backend.name()) else {
        let counts = Err(Error::msg("the suite was not run"));
        return Row { backend, counts, elapsed: Duration::ZERO };
    };
    let results = Results::parse(&String::from_utf8_lossy(&run.output));
    let counts = match run.status {
        Some(status) => results.judge(backend.name(), status),
        None => {
            Err(Error::msg(format!("the guest ended during the suite, {}", results.progress())))
        }
    };
    Row { backend, counts, elapsed: run.elapsed }
}
