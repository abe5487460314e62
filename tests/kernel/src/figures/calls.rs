//! The figures of single calls: requests, the device, the library, semaphores, and all of them again with
//! ten thousand handles open, which must change nothing.

use std::fs::{self, File};
use std::os::fd::AsFd;

use rustix::fs::{Mode, OFlags, open};
use rustix::io::{Errno, ioctl_fionread};
use rustix::pipe::pipe;
use sup::backend::{DEVICE, Kind};
use sup::{RingZeroView, Session, Timeout};
use sup_abi::SUP_VMMR0_DO_NOP;
use sup_abi::request::{
    Empty, GetPagingMode, Request, SemaphoreOp, SemaphoreOperation, Statistics,
};
use sup_modules::VMMR0;
use sup_test_key::signed;

use super::figure::{Figure, Goal, Unit};
use super::measure::cost;
use crate::check::{Stop, Verdict, check, same};
use crate::device::{Device, Packet, event_input};

/// As many semaphores as a large process has, and more.
pub(super) const MANY: usize = 10_000;

/// What handles may change: nothing, but for a tick of the clock in a batch.
const UNCHANGED: Goal = Goal::TimesAtMost(1.05);

/// A packet that is sent again as the driver left it, which is as good as new.
#[derive(Debug)]
struct Prepared(Packet);

impl Prepared {
    fn send<R: Request>(&mut self, device: &Device) -> Verdict {
        Ok(device.send::<R>(&mut self.0)?)
    }
}

fn open_and_close(path: &str) -> Verdict {
    Ok(open(path, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()).map(drop)?)
}

/// A call that neither device knows.
fn unknown_call(file: impl AsFd) -> Verdict {
    same!(ioctl_fionread(file), Err(Errno::NOTTY));
    Ok(())
}

/// What is measured twice: with few handles and with many.
#[derive(Debug)]
struct Costs {
    /// Name, cost and goal.
    rows: Vec<(&'static str, u64, Option<Goal>)>,
}

impl Costs {
    fn measure(device: &Device, session: &Session) -> Verdict<Self> {
        let mut mode =
            Prepared(device.packet::<GetPagingMode>(&Empty {}, GetPagingMode::BYTES_OUT));
        let mut counts = Prepared(device.packet::<Statistics>(&Empty {}, Statistics::BYTES_OUT));
        let event = device.event()?;
        let input = event_input(event, SemaphoreOperation::Signal, 0);
        let mut signal = Prepared(device.packet::<SemaphoreOp>(&input, SemaphoreOp::BYTES_OUT));
        let own = session.event()?;
        let rows = vec![
            (
                "small request (GetPagingMode)",
                cost(|| mode.send::<GetPagingMode>(device))?,
                Some(Goal::AtMost(850)),
            ),
            ("the same through the library", cost(|| Ok(session.paging_mode().map(drop)?))?, None),
            ("Statistics", cost(|| counts.send::<Statistics>(device))?, None),
            ("signal that nobody waits for, library", cost(|| Ok(own.signal()?))?, None),
            (
                "signal and wait, library",
                cost(|| {
                    own.signal()?;
                    Ok(own.wait(Timeout::Never)?)
                })?,
                None,
            ),
            (
                "create and close a semaphore, library",
                cost(|| Ok(session.event().map(drop)?))?,
                Some(Goal::AtMost(2500)),
            ),
            ("signal by ioctl", cost(|| signal.send::<SemaphoreOp>(device))?, None),
        ];
        let closed = device.operate(event, SemaphoreOperation::Close, 0)?;
        check!(closed.is_success(), "close: {closed}");
        Ok(Self { rows })
    }
}

/// How often a thread has slept so far.
fn sleeps() -> Verdict<u64> {
    let status = fs::read_to_string("/proc/thread-self/status")?;
    let field = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
    let count = field.and_then(|count| count.trim().parse().ok());
    count.ok_or_else(|| Stop::failed("/proc/thread-self/status has no voluntary_ctxt_switches"))
}

/// The device and the library from their opening to their end.
fn openings() -> Verdict<Vec<Figure>> {
    const OPENINGS: u64 = 100;
    let null = cost(|| open_and_close("/dev/null"))?;
    let device = cost(|| open_and_close(DEVICE))?;
    let library = cost(|| Ok(Session::open_in(Kind::Kernel).map(drop)?))?;
    let before = sleeps()?;
    for _ in 0..OPENINGS {
        drop(Session::open_in(Kind::Kernel)?);
    }
    let slept = sleeps()? - before;
    Ok(vec![
        Figure::new("open and close the device", device)
            .beside("/dev/null", null)
            .goal(Goal::AtMost(14_000)),
        Figure::new("open and close a session, library", library).goal(Goal::AtMost(60_000)),
        Figure::new(format!("sleeps in {OPENINGS} of them"), slept)
            .in_unit(Unit::Sleeps)
            .goal(Goal::AtMost(0)),
    ])
}

/// A call of VMMR0's fast entry, which counts it and notes what it was called with.
fn fast_call(session: &Session) -> Verdict<u64> {
    let vmm = session.load_image(&signed(VMMR0.image, VMMR0.name), VMMR0.name, "")?;
    let vm = session.shared_pages(1, RingZeroView::Mapped)?;
    session.set_vm_for_fast_calls(Some(vm.r0_address()))?;
    let cost = cost(|| Ok(session.call_vmm_fast(SUP_VMMR0_DO_NOP, 0)?))?;
    session.set_vm_for_fast_calls(None)?;
    vmm.free()?;
    Ok(cost)
}

/// All of them.
pub(super) fn figures() -> Verdict<Vec<Figure>> {
    let (pipe, _writer) = pipe()?;
    let null = File::open("/dev/null")?;
    let count = cost(|| Ok(ioctl_fionread(&pipe).map(drop)?))?;
    let nothing = cost(|| unknown_call(&null))?;
    let device = Device::open()?;
    let nothing_ours = cost(|| unknown_call(&device))?;

    let session = Session::open_in(Kind::Kernel)?;
    let few = Costs::measure(&device, &session)?;
    let mut figures = vec![
        Figure::new("ioctl that the device does not know", nothing_ours)
            .beside("on /dev/null", nothing),
    ];
    for (name, cost, goal) in &few.rows {
        let figure = Figure { goal: *goal, ..Figure::new(*name, *cost) };
        let is_call = !name.ends_with("library");
        figures.push(if is_call { figure.beside("FIONREAD on a pipe", count) } else { figure });
    }
    figures.push(
        Figure::new("fast ring-0 call (SUP_VMMR0_DO_NOP), library", fast_call(&session)?)
            .beside("ioctl that the device does not know", nothing_ours)
            .goal(Goal::TimesAtMost(1.15)),
    );
    figures.extend(openings()?);

    let mut handles = Vec::new();
    for _ in 0..MANY {
        device.event()?;
        handles.push(session.event()?);
    }
    let many = Costs::measure(&device, &session)?;
    for ((name, before, _), (_, cost, _)) in few.rows.iter().zip(&many.rows) {
        let name = format!("{name}; {MANY} handles open");
        figures.push(Figure::new(name, *cost).beside("without them", *before).goal(UNCHANGED));
    }
    Ok(figures)
}
