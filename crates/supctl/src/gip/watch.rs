//! `supctl gip --watch`: one look after the other, until Ctrl-C.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGINT, SIGTERM};
use sup::Gip;

use super::Look;
use crate::cli::GipArgs;
use crate::failure::Failure;
use crate::output;

/// How soon a signal is heard.
const PATIENCE: Duration = Duration::from_millis(50);

pub(super) fn run(gip: &Gip, args: &GipArgs) -> Result<(), Failure> {
    let ends = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, ends.clone()).map_err(Failure::Signals)?;
    }
    let interval = Duration::from_millis(args.interval_ms);
    let mut display = output::LiveTable::default();
    let mut next = Instant::now();
    for _ in 0..args.count.unwrap_or(u64::MAX) {
        // Relaxed: the flag says only that it is set.
        while !ends.load(Ordering::Relaxed) && Instant::now() < next {
            sleep(PATIENCE.min(next.saturating_duration_since(Instant::now())));
        }
        if ends.load(Ordering::Relaxed) {
            break;
        }
        let look = Look::at(gip);
        let goes_on = if args.json { output::json_line(&look)? } else { display.show(&look)? };
        if !goes_on {
            break;
        }
        next += interval;
    }
    Ok(())
}
