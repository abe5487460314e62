//! Bringing the kernel's driver onto a machine, and off it again.
//!
//! [`install`] finds the driver for the running kernel or has DKMS build it, makes the group and the udev
//! rule that give out its device, loads it and waits for the device; [`uninstall`] undoes that. Every step is
//! told as an [`Event`] when it has ended, and before a program runs, which may take minutes. What is there
//! already is left as it is, so that both may be repeated after a failure.
//!
//! [`plan`] decides, by what a [`System`] shows; [`Machine`] is the real one. With [`Mode::DryRun`] nothing is
//! changed, and each step tells what it would do.
//!
//! Neighbours: `sup-capi` (`SUPR3Install`, `SUPR3Uninstall`) and `supctl install` call this; the source
//! package for DKMS is made by `cargo xtask kmod --source-package`. Invariant: only programs in the system's
//! own folders are run, with an environment of their own; nothing is removed that somebody else made.

#![forbid(unsafe_code)]

mod machine;
mod plan;
#[cfg(test)]
mod tests;

pub use machine::Machine;
pub use plan::{install, uninstall};

use std::fmt;
use std::io;
use std::path::Path;

use sup_abi::Status;

/// The name of the module, of its package and of the group.
pub const MODULE: &str = "supdrv";

/// Whether a machine is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// It is.
    ForReal,
    /// Only what would be done is told.
    DryRun,
}

/// A step of either way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Whether this user may do all that.
    Privileges,
    /// The driver for the running kernel.
    Driver,
    /// The group whose members may open the device.
    Group,
    /// The rule by which udev gives it to them.
    Rule,
    /// The driver in the kernel.
    Load,
    /// The device.
    Device,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Privileges => "privileges",
            Self::Driver => "driver",
            Self::Group => "group",
            Self::Rule => "udev rule",
            Self::Load => "load",
            Self::Device => "device",
        })
    }
}

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The machine was changed.
    Done,
    /// There was nothing to do.
    Already,
    /// It would be changed.
    Planned,
    /// It was left out, for a reason that does not keep the rest from working.
    Skipped,
    /// It failed, and so did the whole.
    Failed(Status),
}

/// What is told while it goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A program runs now, with these words.
    Runs(String),
    /// A step has ended; the sentence has no final stop.
    Ended {
        /// Which.
        step: Step,
        /// How.
        outcome: Outcome,
        /// What was found or done, and what to do about a failure.
        sentence: String,
    },
}

/// What a program that was run left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// Whether its exit status was 0.
    pub succeeded: bool,
    /// All that it wrote.
    pub output: String,
}

/// A machine, as far as installing goes.
pub trait System {
    /// The running kernel's, as in `uname -r`.
    fn release(&self) -> String;

    /// Whether this process is root's, and may load code into the kernel.
    fn may_install(&self) -> bool;

    /// Whether there is anything at the path.
    fn exists(&self, path: &Path) -> bool;

    /// A text file.
    ///
    /// # Errors
    /// Those of the file system.
    fn read(&self, path: &Path) -> io::Result<String>;

    /// Writes a file that all may read, and the folder that it is in.
    ///
    /// # Errors
    /// Those of the file system.
    fn write(&self, path: &Path, text: &str) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// Those of the file system.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Whether the system has that program.
    fn has_program(&self, name: &str) -> bool;

    /// Runs a program to its end.
    ///
    /// # Errors
    /// It cannot be started.
    fn run(&self, name: &str, arguments: &[&str]) -> io::Result<Ran>;

    /// Waits for a moment, in which the kernel makes its device.
    fn pause(&self);
}
