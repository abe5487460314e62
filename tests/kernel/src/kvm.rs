//! The driver beside KVM, which has the virtualisation hardware on Linux.
//!
//! KVM is the guest's own, as its kernel brings it, and machines run in it: a few instructions of real mode, again
//! and again. Whichever of the two comes first, neither notices the other. The emulated processor has what AMD's
//! have, so `kvm_amd` is the module.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;

use kvm_bindings::kvm_userspace_memory_region;
use kvm_ioctls::{Kvm, VcpuExit, VcpuFd, VmFd};
use rustix::io::Errno;
use rustix::system::{delete_module, finit_module};
use sup::backend::Kind;
use sup::{Session, Status, VirtualisationOwner, virtualisation_owner};
use sup_modules::{HELLO, hello};
use sup_test_key::{PARAMETER, signed};

use crate::check::{Report, Stop, Verdict, check, same};
use crate::inserted::{AT_ONCE, DRIVER, while_inserted};
use crate::region::Region;

/// With which files.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The driver's file
    #[arg(long, default_value = "/lib/supdrv.ko", value_name = "FILE")]
    module: PathBuf,
    /// Where the modules of KVM are
    #[arg(long, default_value = "/lib/kvm", value_name = "FOLDER")]
    kvm: PathBuf,
}

/// # Errors
/// Standard output is gone.
pub(crate) fn run(args: &Args) -> io::Result<ExitCode> {
    let mut report = Report::start()?;
    type Test = fn(&Args) -> Verdict;
    let tests: [(&str, Test); 5] = [
        ("comes_and_goes_while_the_driver_is_there", kvm_comes_and_goes),
        ("does_not_notice_that_the_driver_comes_and_goes", driver_comes_and_goes),
        ("runs_machines_while_modules_are_called", side_by_side),
        ("is_named_as_who_has_the_hardware", owner_is_named),
        ("keeps_the_hardware_when_a_module_asks_for_it", hardware_is_not_given_away),
    ];
    for (name, test) in tests {
        report.note(&format!("kvm::{name}"), &test(args).into())?;
    }
    report.end()
}

/// By their files and, once inserted, their names; each needs those before it.
const MODULES: [(&str, &std::ffi::CStr); 3] =
    [("irqbypass", c"irqbypass"), ("kvm", c"kvm"), ("kvm-amd", c"kvm_amd")];

/// KVM in the kernel, until this is dropped.
struct Inserted {
    /// How many of [`MODULES`] are there.
    count: usize,
}

impl Inserted {
    fn new(folder: &Path) -> Verdict<Self> {
        let mut inserted = Self { count: 0 };
        for (name, _) in MODULES {
            insert(folder, name)?;
            inserted.count += 1;
        }
        Ok(inserted)
    }

    fn remove(mut self) -> Verdict {
        self.remove_all()
    }

    fn remove_all(&mut self) -> Verdict {
        while let Some((_, name)) = self.count.checked_sub(1).and_then(|last| MODULES.get(last)) {
            delete_module(name, AT_ONCE)?;
            self.count -= 1;
        }
        Ok(())
    }
}

impl Drop for Inserted {
    fn drop(&mut self) {
        // Without effect after `remove`; else a test has failed, and its reason counts.
        let _ = self.remove_all();
    }
}

/// Inserts a module that is as it was built, or compressed, which the kernel undoes.
fn insert(folder: &Path, name: &str) -> Verdict {
    // MODULE_INIT_COMPRESSED_FILE
    const COMPRESSED: i32 = 4;
    for (ending, flags) in [("ko", 0), ("ko.xz", COMPRESSED), ("ko.zst", COMPRESSED)] {
        let path = folder.join(format!("{name}.{ending}"));
        if path.exists() {
            return finit_module(File::open(&path)?, c"", flags).map_err(|error| {
                Stop::failed(format_args!("the kernel does not take {}: {error}", path.display()))
            });
        }
    }
    Err(Stop::Skipped(format!(
        "no module {name} in {}: `cargo xtask vm run --take system` brings them, if the kernel has a KVM",
        folder.display()
    )))
}

/// What a machine runs: `mov al, 42; out 16, al; hlt`.
const CODE: [u8; 5] = [0xb0, 42, 0xe6, 16, 0xf4];
/// Where it sees its only page.
const PLACE: u64 = 0x1000;

/// A virtual machine of KVM with one processor.
struct Machine {
    cpu: VcpuFd,
    _vm: VmFd,
}

impl Machine {
    fn new() -> Verdict<Self> {
        let vm = Kvm::new().and_then(|kvm| kvm.create_vm()).map_err(refused)?;
        let memory = Region::new(1)?;
        memory.put(0, &CODE)?;
        let region = kvm_userspace_memory_region {
            guest_phys_addr: PLACE,
            memory_size: memory.bytes() as u64,
            userspace_addr: memory.address(),
            ..Default::default()
        };
        // SAFETY: a region is never unmapped but by the tests that are about that, so the memory stays for
        // as long as the machine; no reference to it exists that the machine's writes could break.
        unsafe { vm.set_user_memory_region(region) }.map_err(refused)?;
        let cpu = vm.create_vcpu(0).map_err(refused)?;
        let mut segments = cpu.get_sregs().map_err(refused)?;
        (segments.cs.base, segments.cs.selector) = (0, 0);
        cpu.set_sregs(&segments).map_err(refused)?;
        Ok(Self { cpu, _vm: vm })
    }

    /// Runs it from its first instruction to its last.
    fn turn(&mut self) -> Verdict {
        let mut registers = self.cpu.get_regs().map_err(refused)?;
        // Bit 1 of the flags is always set.
        (registers.rip, registers.rflags) = (PLACE, 2);
        self.cpu.set_regs(&registers).map_err(refused)?;
        match self.cpu.run().map_err(refused)? {
            VcpuExit::IoOut(16, [42]) => {}
            other => return Err(Stop::failed(format_args!("the machine stops with {other:?}"))),
        }
        match self.cpu.run().map_err(refused)? {
            VcpuExit::Hlt => Ok(()),
            other => Err(Stop::failed(format_args!("the machine does not halt: {other:?}"))),
        }
    }
}

fn refused(error: kvm_ioctls::Error) -> Stop {
    Stop::failed(format_args!("KVM refuses: {error}"))
}

/// Turns of a machine in a test.
const TURNS: u32 = 50;

fn turns(machine: &mut Machine) -> Verdict {
    (0..TURNS).try_for_each(|_| machine.turn())
}

fn with_service(session: &Session, work: impl FnOnce(&sup::ServiceModule) -> Verdict) -> Verdict {
    let image = signed(HELLO.image, HELLO.name);
    work(&session.load_service_image(&image, HELLO.name, hello::SERVICE_HANDLER)?)
}

fn kvm_comes_and_goes(args: &Args) -> Verdict {
    while_inserted(&args.module, PARAMETER, || {
        let session = Session::open_in(Kind::Kernel)?;
        for _ in 0..3 {
            let kvm = Inserted::new(&args.kvm)?;
            turns(&mut Machine::new()?)?;
            with_service(&session, |service| {
                same!(service.call(hello::OP_SEMAPHORE, 0)?, Status::VINF_SUCCESS);
                Ok(())
            })?;
            kvm.remove()?;
        }
        Ok(())
    })
}

fn driver_comes_and_goes(args: &Args) -> Verdict {
    let kvm = Inserted::new(&args.kvm)?;
    let mut machine = Machine::new()?;
    for _ in 0..3 {
        while_inserted(&args.module, PARAMETER, || {
            turns(&mut machine)?;
            let session = Session::open_in(Kind::Kernel)?;
            check!(session.gip()?.try_now_ns().is_some(), "the page says nothing");
            same!(delete_module(DRIVER, AT_ONCE), Err(Errno::AGAIN), "a driver in use");
            Ok(())
        })?;
        turns(&mut machine)?;
    }
    drop(machine);
    kvm.remove()
}

fn side_by_side(args: &Args) -> Verdict {
    let kvm = Inserted::new(&args.kvm)?;
    while_inserted(&args.module, PARAMETER, || {
        let session = Session::open_in(Kind::Kernel)?;
        with_service(&session, |service| {
            let is_over = AtomicBool::new(false);
            let turned = AtomicU32::new(0);
            thread::scope(|scope| {
                let machine = scope.spawn(|| {
                    let mut machine = Machine::new()?;
                    // Relaxed, both: nothing else is told by them, and the join orders the rest.
                    while !is_over.load(Ordering::Relaxed) {
                        machine.turn()?;
                        turned.fetch_add(1, Ordering::Relaxed);
                    }
                    Ok::<(), Stop>(())
                });
                let calls = || {
                    let mut calls = 0;
                    while turned.load(Ordering::Relaxed) < TURNS && !machine.is_finished() {
                        same!(service.call(hello::OP_ECHO_ARG, 7)?.raw(), 7);
                        same!(service.call(hello::OP_OBJECT, 0)?, Status::VINF_SUCCESS);
                        calls += 1;
                    }
                    check!(calls > 0, "no call came between the turns");
                    Ok(())
                };
                let called = calls();
                is_over.store(true, Ordering::Relaxed);
                machine.join().map_err(|_| Stop::failed("a thread panicked"))??;
                called
            })
        })
    })?;
    kvm.remove()
}

fn owner_is_named(args: &Args) -> Verdict {
    same!(virtualisation_owner(), VirtualisationOwner::Nobody);
    let kvm = Inserted::new(&args.kvm)?;
    let expected = if is_kept_from_load()? {
        VirtualisationOwner::KvmFromLoad
    } else {
        VirtualisationOwner::KvmInUse
    };
    same!(virtualisation_owner(), expected);
    while_inserted(&args.module, PARAMETER, || {
        let told =
            Command::new("/bin/supctl").arg("doctor").env("SUP_BACKEND", "kernel").output()?;
        let text = String::from_utf8_lossy(&told.stdout);
        check!(text.contains("KVM has the hardware"), "{text}");
        Ok(())
    })?;
    kvm.remove()?;
    same!(virtualisation_owner(), VirtualisationOwner::Nobody);
    Ok(())
}

/// Whether this kernel's KVM has the hardware from its load on: since Linux 6.12.
fn is_kept_from_load() -> Verdict<bool> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map_while(|n| n.parse().ok());
    let version: [u32; 2] = [numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)];
    Ok(version >= [6, 12])
}

fn hardware_is_not_given_away(args: &Args) -> Verdict {
    let kvm = Inserted::new(&args.kvm)?;
    let mut machine = Machine::new()?;
    turns(&mut machine)?;
    while_inserted(&args.module, PARAMETER, || {
        // With it a module's `SUPR0EnableVTx`, on and off.
        let words = ["--backend", "kernel", "--filter", "platform"];
        let done = Command::new("/bin/sup-conformance").args(words).output()?;
        check!(done.status.success(), "{}", String::from_utf8_lossy(&done.stdout));
        turns(&mut machine)
    })?;
    drop(machine);
    kvm.remove()
}
