//! `sup-kernel-tests`: what only the kernel's driver can do wrong.
//!
//! The conformance suite asks every backend whether it keeps the rules of the requests. Here are the
//! rules that a process cannot break for itself, and a kernel can: what a descriptor is across `dup`,
//! `fork`, `exec` and sockets, what becomes of mappings, whose rights count, what hostile pointers and
//! threads do, and that nothing is left of a process that was killed in the middle of everything.
//!
//! Made for the guest, where `/dev/supdrv` is there and the user is root:
//! ```text
//! cargo xtask vm run -- sup-kernel-tests games
//! cargo xtask vm run -- sup-kernel-tests kill --count 500
//! cargo xtask vm run --timeout-s 1800 -- sup-kernel-tests fuzz --count 1000000
//! ```
//! It prints a line a test, `ok NAME`, `FAILED NAME: WHY` or `skipped NAME: REASON`, and the totals at
//! the end; the exit status is 0 if nothing failed.
//!
//! [`games`] holds the tests by subject, [`programs`] runs those in C, [`kill`] the dying processes, [`cycles`] the insertions,
//! [`client`] another module of the kernel, [`hotplug`] the processors that come and go,
//! [`install`] brings the driver onto the machine, [`kvm`] runs machines beside it, [`inserted`] has it in the
//! kernel for these, [`oops`] has a module fault, [`lockdown`] what is refused there, [`faults`] the refused allocations, [`fuzz`] the noise and
//! [`figures`] the costs. [`check`] runs and reports, [`process`] makes processes, [`device`] speaks
//! to the driver without the library, [`region`] is memory to misbehave with, [`observer`] sees what
//! the driver holds, [`random`] are numbers to choose by.

mod check;
mod client;
mod cycles;
mod device;
mod faults;
mod figures;
mod fuzz;
mod games;
mod hotplug;
mod inserted;
mod install;
mod kill;
mod kvm;
mod lockdown;
mod observer;
mod oops;
mod process;
mod programs;
mod random;
mod region;
mod wait;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Tests of the kernel's driver, to be run as root where /dev/supdrv is
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// Another one needs a line here and one in `main`.
#[derive(Debug, Subcommand)]
enum Command {
    /// Plays with descriptors, mappings, rights, packets, threads and signals
    Games(games::Args),
    /// Kills a process that uses everything, again and again, and looks for what it leaves
    Kill(kill::Args),
    /// Inserts and removes the driver under load
    Cycles(cycles::Args),
    /// Inserts and removes the driver, and another module that uses it
    Client(client::Args),
    /// Installs and uninstalls the driver with `supctl`
    Install(install::Args),
    /// Uses the driver beside KVM
    Kvm(kvm::Args),
    /// Takes a processor off line and on again while the time is read
    Hotplug(hotplug::Args),
    /// Sends requests from well-formed to noise, by several threads on several sessions
    Fuzz(fuzz::Args),
    /// Lets the kernel refuse every allocation of every operation in turn
    Faults(faults::Args),
    /// Runs the programs in C and C++
    Programs(programs::Args),
    /// Counts what calls cost, beside bare ones
    Figures(figures::Args),
    /// Lets a module fault, and looks for what the kernel's log says of it; the driver stays in use
    Oops(oops::Args),
    /// Locks the kernel down and tries to load code; the machine stays locked down
    Lockdown,
    /// What a test starts by `exec`
    #[command(hide = true)]
    Inherited(games::exec::Args),
}

fn main() -> ExitCode {
    let ended = match Cli::parse().command {
        Command::Games(args) => games::run(&args),
        Command::Programs(args) => programs::run(&args),
        Command::Kill(args) => kill::run(&args),
        Command::Cycles(args) => cycles::run(&args),
        Command::Client(args) => client::run(&args),
        Command::Install(args) => install::run(&args),
        Command::Kvm(args) => kvm::run(&args),
        Command::Hotplug(args) => hotplug::run(&args),
        Command::Fuzz(args) => fuzz::run(&args),
        Command::Faults(args) => faults::run(&args),
        Command::Figures(args) => figures::run(&args),
        Command::Oops(args) => oops::run(&args),
        Command::Lockdown => lockdown::run(),
        Command::Inherited(args) => games::exec::run(&args),
    };
    ended.unwrap_or_else(|error| {
        // If this cannot be written either, the exit status still tells.
        let _ = writeln!(io::stderr(), "sup-kernel-tests: {error}");
        ExitCode::FAILURE
    })
}
