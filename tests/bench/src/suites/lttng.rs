//! [`Lttng`]: the probe of `tests/bench/lttng`, fired in a program of its own into the rings of LTTng-UST.
//!
//! The session is a flight recorder: rings that overwrite and that nobody reads, as ours are meanwhile. Its daemon is
//! ours, unless one runs already. Neighbours: `ringtrace.rs` compares. Invariant: session, program and daemon are gone
//! when it is dropped.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/lttng");
const SESSION: &str = "supdrv-bench";
/// What a ring has of bytes: as ours, 32 768 records of 64 bytes in two parts.
const RING: [&str; 3] = ["--overwrite", "--subbuf-size=1M", "--num-subbuf=2"];

/// What is missing for it, if anything.
pub(super) fn missing() -> Option<String> {
    let can =
        |program: &str, arguments: &[&str]| run(Command::new(program).args(arguments)).is_ok();
    let header = ["-E", "-include", "lttng/tracepoint.h", "-x", "c", "/dev/null"];
    let is_there = can("lttng", &["--version"]) && can("cc", &header);
    (!is_there).then(|| {
        "not measured: LTTng is missing; on Debian `apt-get install lttng-tools liblttng-ust-dev`"
            .to_owned()
    })
}

/// A program that is traced.
pub(super) struct Lttng {
    program: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    daemon: Option<Child>,
    home: TempDir,
}

impl Lttng {
    /// Compiles the program, starts the session and then the program.
    ///
    /// # Errors
    /// A tool fails.
    pub(super) fn start() -> Result<Self> {
        let home = tempfile::tempdir()?;
        let program = home.path().join("hit");
        let mut compiler = Command::new("cc");
        compiler.args(["-O2", "-Wall", "-Werror", "-I", SOURCES, "-o"]).arg(&program);
        compiler.arg(format!("{SOURCES}/hit.c")).args(["-llttng-ust", "-ldl"]);
        run(&mut compiler)?;
        let daemon = start_daemon(home.path())?;
        let tell =
            |words: &[&str]| run(Command::new("lttng").args(words).env("LTTNG_HOME", home.path()));
        tell(&["create", SESSION, "--snapshot"])?;
        tell(&[&["enable-channel", "-u", "-s", SESSION][..], &RING, &["rings"]].concat())?;
        tell(&["enable-event", "-u", "-s", SESSION, "-c", "rings", "supbench:hit"])?;
        tell(&["start", SESSION])?;
        let mut program = Command::new(program)
            .env("LTTNG_HOME", home.path())
            // Until the daemon has told it what to trace.
            .env("LTTNG_UST_REGISTER_TIMEOUT", "-1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let input = program.stdin.take().context("no standard input")?;
        let output = BufReader::new(program.stdout.take().context("no standard output")?);
        Ok(Self { program, input, output, daemon, home })
    }

    /// Fires so many times.
    ///
    /// # Errors
    /// The program has ended.
    pub(super) fn fire(&mut self, count: u64) -> Result<Duration> {
        writeln!(self.input, "{count}")?;
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        Ok(Duration::from_nanos(line.trim().parse().context("no answer")?))
    }
}

impl Drop for Lttng {
    fn drop(&mut self) {
        // What fails here leaves something behind that the next run takes down.
        let _ = self.program.kill();
        let _ = self.program.wait();
        let mut destroy = Command::new("lttng");
        let _ = run(destroy.args(["destroy", SESSION]).env("LTTNG_HOME", self.home.path()));
        if let Some(daemon) = &mut self.daemon {
            let asked = Command::new("kill").arg(daemon.id().to_string()).status();
            if asked.is_err() {
                let _ = daemon.kill();
            }
            let _ = daemon.wait();
        }
    }
}

/// Starts the daemon, and waits until it answers; `None` if one does already.
fn start_daemon(home: &Path) -> Result<Option<Child>> {
    let answers = || {
        let mut list = Command::new("lttng");
        list.args(["--no-sessiond", "list"]).env("LTTNG_HOME", home);
        run(&mut list).is_ok()
    };
    if answers() {
        return Ok(None);
    }
    let mut command = Command::new("lttng-sessiond");
    command.arg("--no-kernel").env("LTTNG_HOME", home);
    let mut daemon = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let end = Instant::now() + Duration::from_secs(10);
    while !answers() {
        if Instant::now() > end {
            let _ = daemon.kill();
            let _ = daemon.wait();
            bail!("lttng-sessiond does not answer");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(Some(daemon))
}

fn run(command: &mut Command) -> Result<()> {
    let done = command.output().with_context(|| format!("cannot run {command:?}"))?;
    let text = [&done.stdout[..], &done.stderr].concat();
    ensure!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&text));
    Ok(())
}
