//! What the guest is to do, as the shell script that its init reads.

use std::fmt::Write;

use crate::vm::args::Variable;

/// Where in the guest it stands.
pub(super) const PATH: &str = "etc/job";

/// A list of commands of tests/guest/init.
#[derive(Debug, Default)]
pub(super) struct Job {
    script: String,
}

impl Job {
    /// Runs a program; `name` tells its run from others.
    pub(super) fn run(&mut self, name: &str, variables: &[Variable], command: &[String]) {
        self.line(&format!("run {}", quote(name)), variables, command);
    }

    /// Runs a program if the driver can be inserted and its device appears, and removes the driver.
    pub(super) fn run_with_module(
        &mut self,
        name: &str,
        variables: &[Variable],
        command: &[String],
    ) {
        self.script.push_str("insert_module && ");
        self.run(name, variables, command);
        self.script.push_str("remove_module\n");
    }

    /// Gives a prompt on a terminal of that size, and its user the driver even if it has no device.
    pub(super) fn shell_with_module(&mut self, size: (u16, u16), variables: &[Variable]) {
        self.script.push_str("insert_module\n");
        self.shell(size, variables);
        self.script.push_str("remove_module\n");
    }

    /// Gives a prompt on a terminal of that size.
    pub(super) fn shell(&mut self, (rows, columns): (u16, u16), variables: &[Variable]) {
        self.line(&format!("shell {rows} {columns}"), variables, &[]);
    }

    pub(super) fn script(&self) -> &[u8] {
        self.script.as_bytes()
    }

    fn line(&mut self, verb: &str, variables: &[Variable], command: &[String]) {
        self.script.push_str(verb);
        for Variable { name, value } in variables {
            // Writing to a string cannot fail.
            let _ = write!(self.script, " {name}={}", quote(value));
        }
        for word in command {
            let _ = write!(self.script, " {}", quote(word));
        }
        self.script.push('\n');
    }
}

/// A word that the shell takes as it is.
fn quote(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn a_shell_reads_the_same_words() {
        let mut job = Job::default();
        let hostile = ["a b", "it's", "$HOME", "`id`", "\\", "", "*", "two\nlines"];
        let variable = Variable { name: "V".to_owned(), value: "a 'b'".to_owned() };
        job.run("first", &[variable], &words(&hostile));
        let script = format!("run() {{ printf '%s|' \"$@\"; }}\n{}", job.script);
        let output = Command::new("sh").args(["-c", &script]).output().unwrap();
        let expected = format!("first|V=a 'b'|{}|", hostile.join("|"));
        assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
    }

    #[test]
    fn a_module_goes_even_if_its_device_did_not_come() {
        let mut job = Job::default();
        job.run_with_module("kernel", &[], &words(&["true"]));
        assert_eq!(job.script, "insert_module && run 'kernel' 'true'\nremove_module\n");
    }
}
