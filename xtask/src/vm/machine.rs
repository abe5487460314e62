//! The virtual machine: QEMU's command line, its life and its end.
//!
//! QEMU dies with us, whatever ends us: `setpriv` asks the kernel for that before it becomes QEMU. Its
//! SIGTERM leaves the terminal as it was, which SIGKILL would not.

use std::fs::{self, File};
use std::io::Read;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::args::GuestArgs;
use super::log;

/// What the kernel is told: its log goes to the first line, whole, and it ends instead of hanging
/// when it cannot go on. Programs may write into the log as fast as they like. Random numbers come from
/// the processor at once: a guest in which nothing else happens would wait for them for ever.
const KERNEL_ARGUMENTS: &str =
    "console=ttyS0 ignore_loglevel printk.devkmsg=on panic=-1 random.trust_cpu=on rdinit=/init";

/// A machine that can be switched on.
#[derive(Debug)]
pub(super) struct Machine {
    pub(super) kernel: PathBuf,
    pub(super) initramfs: PathBuf,
    /// The kernel's log; what an earlier guest left is overwritten.
    pub(super) log: PathBuf,
    pub(super) args: GuestArgs,
    /// Held while the machine may run, so that two do not share these files.
    pub(super) _lock: File,
}

impl Machine {
    /// Runs it to its end, and hands what comes over its second line to `sink`.
    ///
    /// # Errors
    /// It does not start, does not end in time or does not end well, or `sink` fails.
    pub(super) fn run(&self, mut sink: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let mut child = self
            .command(&["-serial", "stdio"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot run setpriv for qemu-system-x86_64")?;
        let output = chunks(child.stdout.take().context("QEMU has no standard output")?);
        let complaints = chunks(child.stderr.take().context("QEMU has no standard error")?);
        let mut qemu = Qemu(child);

        let timeout = Duration::from_secs(self.args.timeout_s.into());
        let deadline = Instant::now() + timeout;
        loop {
            match output.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(bytes) => sink(&bytes)?,
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => bail!(
                    "the guest did not end within {} s and was stopped; `--timeout-s` gives it \
                     longer. The end of its log {}:\n{}",
                    timeout.as_secs(),
                    self.log.display(),
                    log::tail(&self.read_log()?)
                ),
            }
        }
        let status = qemu.0.wait().context("cannot wait for QEMU")?;
        let complaints: Vec<u8> = complaints.iter().flatten().collect();
        ensure!(
            status.success(),
            "QEMU ended with {status}: {}",
            String::from_utf8_lossy(&complaints).trim_end()
        );
        Ok(())
    }

    /// Runs it with our own terminal as its second line.
    ///
    /// # Errors
    /// It does not start.
    pub(super) fn run_on_terminal(&self) -> Result<()> {
        // With a monitor beside it, which takes Ctrl-A X; Ctrl-C goes to the guest.
        let child = self
            .command(&["-serial", "mon:stdio"])
            .spawn()
            .context("cannot run setpriv for qemu-system-x86_64")?;
        let status = Qemu(child).0.wait().context("cannot wait for QEMU")?;
        ensure!(status.success(), "QEMU ended with {status}");
        Ok(())
    }

    /// The kernel's log so far.
    pub(super) fn read_log(&self) -> Result<String> {
        let bytes = fs::read(&self.log)
            .with_context(|| format!("cannot read the kernel's log {}", self.log.display()))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn command(&self, second_line: &[&str]) -> Command {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "TERM", "qemu-system-x86_64"]);
        command.args(arguments(&self.args));
        command.arg("-kernel").arg(&self.kernel).arg("-initrd").arg(&self.initramfs);
        command.arg("-serial").arg(format!("file:{}", self.log.display()));
        command.args(second_line);
        command
    }
}

/// The machine's part of QEMU's command line.
fn arguments(args: &GuestArgs) -> Vec<String> {
    let (accelerator, cpus) =
        if args.icount { ("tcg,thread=single", 1) } else { ("tcg,thread=multi", args.cpus) };
    let append = args.append.as_deref().unwrap_or_default();
    let mut words = vec!["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"];
    words.extend(["-machine", "q35", "-cpu", "max", "-accel", accelerator]);
    let mut words: Vec<String> = words.into_iter().map(str::to_owned).collect();
    words.extend(["-smp".to_owned(), cpus.to_string()]);
    words.extend(["-m".to_owned(), args.memory_mib.to_string()]);
    words.extend([
        "-append".to_owned(),
        format!("{KERNEL_ARGUMENTS} {append}").trim_end().to_owned(),
    ]);
    if args.icount {
        words.extend(["-icount".to_owned(), "shift=0".to_owned()]);
    }
    words
}

/// A running QEMU, which does not outlive this.
#[derive(Debug)]
struct Qemu(Child);

impl Drop for Qemu {
    fn drop(&mut self) {
        // It may have ended by itself; then both do nothing.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Reads in a thread of its own, so that the reader of the chunks can give up waiting.
fn chunks(mut stream: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        // An end and an error are the same here: QEMU's status tells which.
        while let Ok(count @ 1..) = stream.read(&mut buffer) {
            if sender.send(buffer[..count].to_vec()).is_err() {
                break;
            }
        }
    });
    receiver
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        args: GuestArgs,
    }

    fn arguments_for(words: &[&str]) -> Vec<String> {
        arguments(&Cli::parse_from(["vm"].iter().chain(words)).args)
    }

    #[test]
    fn counting_instructions_takes_one_processor() {
        let words = arguments_for(&["--icount"]).join(" ");
        assert!(words.contains("-accel tcg,thread=single -smp 1"), "{words}");
        assert!(words.ends_with("-icount shift=0"), "{words}");
    }

    #[test]
    fn what_is_appended_comes_behind_our_own_arguments() {
        let wanted = format!("{KERNEL_ARGUMENTS} nokaslr kasan_multi_shot");
        assert!(arguments_for(&["--append", "nokaslr kasan_multi_shot"]).contains(&wanted));
    }
}
