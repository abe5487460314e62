//! An event that nobody waits for, against one ioctl round trip of the machine.
//!
//! The ioctl is FIONREAD on a pipe: a request that the kernel answers with little more than the way
//! in and out, as a driver in the kernel would be reached.

use std::hint::black_box;
use std::io::pipe;

use anyhow::Result;
use rustix::io::ioctl_fionread;
use sup::Timeout;

use crate::figure::{Figure, Goal};
use crate::measure::{compare, each};
use crate::suites::open_session;

const IOCTL: &str = "ioctl FIONREAD on a pipe";

pub(super) fn figures() -> Result<Vec<Figure>> {
    let event = open_session()?.event()?;
    let (reader, _writer) = pipe()?;
    let pair = compare(
        each(|| -> Result<()> {
            let event = black_box(&event);
            event.signal()?;
            Ok(event.wait(Timeout::Never)?)
        }),
        each(|| ioctl_fionread(black_box(&reader)).map(|_| ())),
    )?;
    let figure = |name: &str, goal| Figure {
        name: name.into(),
        unit: "ns",
        compared_to: IOCTL.into(),
        pair,
        goal: Some(goal),
    };
    Ok(vec![
        figure("signal + wait, uncontended", Goal::Median(10.0)),
        figure("signal + wait, in ioctl round trips", Goal::Ratio(0.05)),
    ])
}
