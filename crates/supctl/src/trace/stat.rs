//! `supctl trace stat`: how often probes fire, and how long from a begin to its end.
//!
//! Neighbours: `tally` counts. Invariant: what is said of losses comes after everything is switched off, when
//! the counts are exact.

mod tally;

use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGINT, SIGTERM};
use sup::ringtrace::{Policy, TraceCounts};

use self::tally::{Summary, Tally};
use super::{Opened, columns};
use crate::cli::{FullPolicy, TraceStatArgs};
use crate::failure::Failure;
use crate::output;

/// Between two looks at empty rings.
const NAP: Duration = Duration::from_millis(2);
/// Between two tables on a terminal.
const INTERVAL: Duration = Duration::from_secs(1);

pub(super) fn run(args: &TraceStatArgs) -> Result<(), Failure> {
    let ends = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, ends.clone()).map_err(Failure::Signals)?;
    }
    let mut opened = Opened::new(&args.tracer)?;
    let locations = opened.locations(&args.patterns)?;
    if locations.is_empty() {
        return output::line(opened.nothing());
    }
    let policy = match args.policy {
        FullPolicy::Drop => Policy::Drop,
        FullPolicy::Overwrite => Policy::Overwrite,
    };
    opened.tracer.make_rings(args.buffer, policy)?;
    let ticks_hz = opened.session.gip()?.cpu_hz().unwrap_or(1_000_000_000).max(1);
    let ns = |ticks: u64| (u128::from(ticks) * 1_000_000_000 / u128::from(ticks_hz)) as u64;
    let mut tally = Tally::new(&locations);
    let child = args.command.split_first().map(|(program, rest)| {
        Command::new(program).args(rest).spawn().map_err(Failure::of_file(program.as_ref()))
    });
    let mut child = child.transpose()?;
    for location in &locations {
        opened.tracer.switch_on(location.id, args.condition)?;
    }
    let started = Instant::now();
    let Opened { tracer, modules, .. } = &mut opened;
    let mut live = output::LiveText::default();
    let called = thread::scope(|scope| {
        let call = args.call.zip(modules.last()).map(|((operation, argument), module)| {
            scope.spawn(move || module.call(operation, argument).map(|_| ()))
        });
        let mut next = started + INTERVAL;
        loop {
            // Asked before the rings are read, so that what came before the end is read.
            let is_over = ends.load(Ordering::Relaxed)
                || args.seconds.is_some_and(|limit| started.elapsed().as_secs() >= limit)
                || call.as_ref().is_some_and(thread::ScopedJoinHandle::is_finished)
                || child.as_mut().is_some_and(has_ended);
            let count = tracer.read(usize::MAX >> 1, |record| tally.add(record));
            if is_over {
                break;
            }
            if !args.json && Instant::now() >= next {
                next += INTERVAL;
                let counts = tracer.counts().unwrap_or_default();
                let summary = tally.summary(started.elapsed(), counts, ns);
                live.show(&table(&summary));
            }
            if count == 0 {
                thread::sleep(NAP);
            }
        }
        call.map(|call| call.join().unwrap_or(Ok(())))
    });
    let elapsed = started.elapsed();
    locations.iter().for_each(|location| {
        // One that has gone is off.
        let _ = tracer.switch_off(location.id);
    });
    tracer.read(usize::MAX >> 1, |record| tally.add(record));
    if let Some(mut child) = child {
        // After Ctrl-C, which it got too; its status is its own business.
        let _ = child.wait();
    }
    let counts = tracer.counts()?;
    let summary = tally.summary(elapsed, counts, ns);
    live.clear();
    called.transpose()?;
    if args.json { output::json(&summary) } else { output::line(table(&summary)) }
}

fn has_ended(child: &mut Child) -> bool {
    !matches!(child.try_wait(), Ok(None))
}

/// What people read.
fn table(summary: &Summary) -> String {
    let mut rows = vec![["PROVIDER", "PROBE", "HITS", "PER SECOND"].map(str::to_owned)];
    rows.extend(summary.probes.iter().map(|probe| {
        let rate = format!("{:.0}", probe.per_second);
        [probe.provider.clone(), probe.probe.clone(), probe.hits.to_string(), rate]
    }));
    let mut text = columns(&rows);
    for pair in summary.pairs.iter().filter(|pair| pair.count > 0) {
        text += &format!(
            "\n\n{}:{}  {} times, half below {} ns, 99 % below {} ns, longest {} ns",
            pair.provider, pair.name, pair.count, pair.p50_ns, pair.p99_ns, pair.longest_ns
        );
        for bucket in &pair.histogram {
            let bar = "█".repeat((bucket.count * 40 / pair.count.max(1)) as usize);
            text += &format!("\n{:>12} ns  {:>10}  {bar}", bucket.below_ns, bucket.count);
        }
    }
    let TraceCounts { lost, overwritten, .. } = summary.counts;
    text += &format!("\n\n{} hits in {:.1} s", summary.hits, summary.seconds);
    if lost + overwritten > 0 {
        text += &format!(
            "; {lost} lost and {overwritten} overwritten: a larger --buffer or a --filter helps"
        );
    }
    text
}
