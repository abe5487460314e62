//! [`Start`]: a user starts a program, in a way of the test's choice; and [`Report`], what came of it.

use std::fs;
use std::os::unix::process::CommandExt;
use std::process::Command;

use sup_verdict::{Verdict, check};

use crate::machine::{SCRATCH, USER};

/// How a program is started.
#[derive(Debug, Default)]
pub(crate) struct Start<'a> {
    pub(crate) program: &'a str,
    pub(crate) arguments: &'a [&'a str],
    /// Variables, as `NAME=VALUE`.
    pub(crate) environment: &'a [&'a str],
    /// What the shell does before, as `ulimit -n 4;`.
    pub(crate) before: &'a str,
    /// What the shell does with descriptors, as `3</dev/null 2>&-`.
    pub(crate) descriptors: &'a str,
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) exit: Option<i32>,
    pub(crate) stderr: String,
    /// What the program wrote down.
    pub(crate) text: String,
}

impl Start<'_> {
    /// As the user, who is in other groups too.
    pub(crate) fn by_user(&self) -> Verdict<Report> {
        let user = [format!("--reuid={USER}"), format!("--regid={USER}")];
        let mut command = Command::new("setpriv");
        command.args(user).args(["--groups=1000,4,24", "--", "sh"]);
        if !has_setpriv() {
            // A guest has busybox: the user is in no other group there.
            command = Command::new("sh");
            command.uid(USER).gid(USER);
        }
        self.run(command)
    }

    /// As root.
    pub(crate) fn by_root(&self) -> Verdict<Report> {
        self.run(Command::new("sh"))
    }

    fn run(&self, mut command: Command) -> Verdict<Report> {
        let file = format!("{SCRATCH}/reports/report");
        if fs::exists(&file)? {
            fs::remove_file(&file)?;
        }
        let (before, descriptors) = (self.before, self.descriptors);
        // The variables are for the program alone, and not for those that lead to it.
        let script = format!("{before} exec env \"$@\" {descriptors}");
        command.args(["-c", &script, "sh"]).args(self.environment).arg(self.program);
        command.arg(format!("report={file}")).args(self.arguments);
        let output = command.env_clear().env("PATH", "/usr/bin:/bin").output()?;
        Ok(Report {
            exit: output.status.code(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            text: fs::read_to_string(&file).unwrap_or_default(),
        })
    }
}

/// Whether there is the one of util-linux; busybox has another.
fn has_setpriv() -> bool {
    let told = Command::new("setpriv").arg("--version").output();
    told.is_ok_and(|told| String::from_utf8_lossy(&told.stdout).contains("util-linux"))
}

impl Report {
    /// The program ran, and wrote all these lines.
    pub(crate) fn has(&self, lines: &[&str]) -> Verdict {
        check!(self.exit == Some(0), "it ended with {:?}: {}", self.exit, self.stderr);
        for wanted in lines {
            check!(
                self.text.lines().any(|line| line.replace('\t', " ").trim_end() == *wanted),
                "no line '{wanted}' in:\n{}",
                self.text
            );
        }
        Ok(())
    }

    /// The program did not run, and standard error has all these texts.
    pub(crate) fn refused(&self, texts: &[&str]) -> Verdict {
        check!(self.exit == Some(1), "it ended with {:?}: {}", self.exit, self.stderr);
        check!(self.text.is_empty(), "the program ran");
        for wanted in texts {
            check!(self.stderr.contains(wanted), "no '{wanted}' in:\n{}", self.stderr);
        }
        Ok(())
    }

    /// The program was not asked to tell of the failure.
    pub(crate) fn told_nobody(&self) -> Verdict {
        check!(!self.stderr.contains("TrustedError"), "TrustedError ran: {}", self.stderr);
        Ok(())
    }
}
