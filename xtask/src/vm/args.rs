//! The command line of `cargo xtask vm`.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Subcommand, ValueEnum};

/// Run programs in a QEMU guest that has the kernel's driver
///
/// The guest is a stock kernel with a small first file system: busybox, the test programs and
/// supdrv.ko. QEMU emulates the processor, so that no KVM is needed. A warning, an oops or another
/// complaint in the kernel's log fails whatever ran; the log stays in target/vm/KERNEL/kernel.log.
#[derive(Debug, Subcommand)]
pub(crate) enum VmCommand {
    /// Run the conformance suite with the driver in the process, then with the kernel's
    Test(VmTestArgs),
    /// Run one command; its exit status is that of this command
    ///
    /// Both of its outputs come on standard output, and it reads nothing. The programs are those of
    /// busybox, and sup-conformance and supctl.
    Run(VmRunArgs),
    /// Give a prompt in the guest; `exit` or Ctrl-A X leaves it
    Shell(VmShellArgs),
}

#[derive(Debug, Args)]
pub(crate) struct VmTestArgs {
    #[command(flatten)]
    pub(crate) guest: GuestArgs,
    /// Take only the cases whose name contains this
    #[arg(long, value_name = "SUBSTR")]
    pub(crate) filter: Option<String>,
    /// Run the suite with this driver only
    #[arg(long, value_name = "NAME")]
    pub(crate) backend: Option<Backend>,
}

#[derive(Debug, Args)]
pub(crate) struct VmRunArgs {
    #[command(flatten)]
    pub(crate) guest: GuestArgs,
    /// Leave the kernel's driver out
    #[arg(long)]
    pub(crate) without_module: bool,
    /// Fail unless the kernel has an oops meanwhile, exactly one
    #[arg(long)]
    pub(crate) expect_oops: bool,
    /// The command, after `--`
    #[arg(last = true, required = true, value_name = "CMD")]
    pub(crate) command: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct VmShellArgs {
    #[command(flatten)]
    pub(crate) guest: GuestArgs,
    /// Leave the kernel's driver out
    #[arg(long)]
    pub(crate) without_module: bool,
}

/// The machine and its kernel.
#[derive(Debug, Clone, Args)]
pub(crate) struct GuestArgs {
    /// The kernel, as for `cargo xtask kmod`: a series such as 6.12, `debug`, or a folder of headers
    #[arg(long, default_value = "6.1", value_name = "V")]
    pub(crate) kernel: String,
    /// A driver that was built for that kernel already
    #[arg(long, value_name = "SUPDRV.KO")]
    pub(crate) module: Option<PathBuf>,
    /// The number of processors
    #[arg(long, default_value_t = 2, value_name = "N", value_parser = clap::value_parser!(u8).range(1..))]
    pub(crate) cpus: u8,
    /// The guest's memory in MiB
    #[arg(long, default_value_t = 1024, value_name = "N", value_parser = clap::value_parser!(u32).range(128..))]
    pub(crate) memory_mib: u32,
    /// Take something along that only some tests need; may be given more than once
    #[arg(long = "take", value_name = "WHAT")]
    pub(crate) extras: Vec<Extra>,
    /// One processor, and a clock that counts instructions: a nanosecond is one, on any machine
    #[arg(long, conflicts_with = "cpus")]
    pub(crate) icount: bool,
    /// Add to the kernel's command line
    #[arg(long, value_name = "ARGS", allow_hyphen_values = true)]
    pub(crate) append: Option<String>,
    /// Set an environment variable of the programs in the guest; may be given more than once
    #[arg(long = "env", value_name = "NAME=VALUE")]
    pub(crate) variables: Vec<Variable>,
    /// Stop a guest that runs for longer; a prompt may stay
    #[arg(long, default_value_t = 300, value_name = "N")]
    pub(crate) timeout_s: u32,
    /// Show the kernel's log at the end, even if there is nothing wrong with it
    #[arg(long)]
    pub(crate) verbose: bool,
}

impl GuestArgs {
    /// The defaults, with another kernel.
    pub(crate) fn with_kernel(kernel: &str) -> Self {
        Self {
            kernel: kernel.to_owned(),
            module: None,
            cpus: 2,
            memory_mib: 1024,
            extras: Vec::new(),
            icount: false,
            append: None,
            variables: Vec::new(),
            timeout_s: 300,
            verbose: false,
        }
    }
}

/// What a guest has only when asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Extra {
    /// The programs of tests/c, for `sup-kernel-tests programs`, and those for `sup-start-tests`
    CPrograms,
    /// The kernel's own KVM, for `sup-kernel-tests kvm`, and udev, for `sup-kernel-tests install`
    System,
}

impl Extra {
    pub(crate) const ALL: [Self; 2] = [Self::CPrograms, Self::System];
}

/// A driver that the suite can be run with, by the name that `SUP_BACKEND` gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Backend {
    Embedded,
    Kernel,
}

impl Backend {
    pub(crate) const ALL: [Self; 2] = [Self::Embedded, Self::Kernel];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Embedded => "embedded",
            Self::Kernel => "kernel",
        }
    }
}

/// An environment variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Variable {
    pub(crate) name: String,
    pub(crate) value: String,
}

impl FromStr for Variable {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) = text.split_once('=').ok_or("write NAME=VALUE")?;
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if name.is_empty() || !name.chars().all(is_name) {
            return Err(format!("'{name}' is no name of a variable: use letters, digits and _"));
        }
        Ok(Self { name: name.to_owned(), value: value.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(subcommand)]
        command: VmCommand,
    }

    fn parse(words: &[&str]) -> Result<VmCommand, clap::Error> {
        let words = ["vm"].into_iter().chain(words.iter().copied());
        Cli::try_parse_from(words).map(|cli| cli.command)
    }

    #[test]
    fn the_steps_take_the_same_machine_as_the_command_line() {
        let VmCommand::Shell(args) = parse(&["shell", "--kernel", "6.12"]).unwrap() else {
            panic!("another command");
        };
        let wanted = GuestArgs::with_kernel("6.12");
        assert_eq!(format!("{:?}", args.guest), format!("{wanted:?}"));
    }

    #[test]
    fn everything_behind_the_dashes_is_the_guests() {
        let VmCommand::Run(args) = parse(&["run", "--", "ls", "--kernel", "-l"]).unwrap() else {
            panic!("another command");
        };
        assert_eq!(args.command, ["ls", "--kernel", "-l"]);
    }

    #[test]
    fn cannot_ask_for_what_makes_no_guest() {
        for words in [
            &["run"][..],
            &["test", "--cpus", "0"],
            &["test", "--icount", "--cpus", "2"],
            &["test", "--env", "A"],
            &["test", "--env", "A B=1"],
        ] {
            assert!(parse(words).is_err(), "{words:?}");
        }
    }
}
