//! The figures of a process that ends with many semaphores: the cost must grow with their number and no
//! faster.

use std::io::{self, Read, Write};
use std::mem;

use rustix::process::{WaitId, WaitIdOptions, waitid};

use super::calls::MANY;
use super::figure::{Figure, Goal};
use super::measure::{median, now_ns};
use crate::check::Verdict;
use crate::device::Device;
use crate::process::Child;

const RUNS: usize = 5;

/// The most that a process with [`MANY`] semaphores may take to end.
const EXIT_MAX: u64 = 20_000_000;

/// From a process's last step to its end, as its parent sees it.
fn exit_with(handles: usize) -> Verdict<u64> {
    let (mut reader, mut writer) = io::pipe()?;
    let child = Child::start(|| {
        let device = Device::open()?;
        for _ in 0..handles {
            device.event()?;
        }
        // The end of the process is to close it.
        mem::forget(device);
        Ok(writer.write_all(&now_ns().to_ne_bytes())?)
    })?;
    // Without taking its status, which is the child's owner's.
    let ended = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    waitid(WaitId::Pid(child.id()), ended)?;
    let end = now_ns();
    child.finish()?;
    let mut begin = [0; size_of::<u64>()];
    reader.read_exact(&mut begin)?;
    Ok(end - u64::from_ne_bytes(begin))
}

fn cost(handles: usize) -> Verdict<u64> {
    let mut times = Vec::new();
    for _ in 0..RUNS {
        times.push(exit_with(handles)?);
    }
    Ok(median(times))
}

pub(super) fn figures() -> Verdict<Vec<Figure>> {
    let none = cost(0)?;
    let more_than_none =
        |handles: usize| Ok::<u64, crate::check::Stop>(cost(handles)?.saturating_sub(none).max(1));
    let (few, half, many) =
        (more_than_none(MANY / 10)?, more_than_none(MANY / 2)?, more_than_none(MANY)?);
    let name = |handles: usize| {
        format!("end of a process with {handles} semaphores, beyond one with none")
    };
    Ok(vec![
        Figure::new("end of a process with a session", none),
        Figure::new(name(MANY / 10), few),
        // Linear is 5 times and twice; the rest is room for the ticks of the clock.
        Figure::new(name(MANY / 2), half)
            .beside(format!("with {}", MANY / 10), few)
            .goal(Goal::TimesAtMost(5.5)),
        Figure::new(name(MANY), many).goal(Goal::AtMost(EXIT_MAX)),
        Figure::new("the same", many)
            .beside(format!("with {}", MANY / 2), half)
            .goal(Goal::TimesAtMost(2.2)),
    ])
}
