//! `SUP_LOG`: what the library and the driver in this process tell, on standard error.
//!
//! A program in C has no `tracing` to listen to, so the library listens for it, if the environment asks: `error`, `warn`,
//! `info` (with what modules print) or `debug`. Neighbours: `process.rs` starts it with the first session,
//! `hardening.rs` before it tells of a file. Invariant: nothing is written unless it was asked for, and never for a
//! program with more rights than its user, whose environment is somebody else's.

use std::sync::Once;

use tracing::level_filters::LevelFilter;

const VARIABLE: &str = "SUP_LOG";

/// Starts to listen, the first time.
pub(crate) fn start() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: the C library looks the number up in what the kernel gave at the start; it always answers.
        let is_privileged = unsafe { libc::getauxval(libc::AT_SECURE) } != 0;
        let Some(wanted) = std::env::var_os(VARIABLE).filter(|_| !is_privileged) else { return };
        let level = wanted.to_str().and_then(level);
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(level.unwrap_or(LevelFilter::WARN))
            .with_writer(std::io::stderr)
            .with_ansi(false)
            .without_time();
        // Only the program's own Rust could have been first; then that listens.
        let _ = tracing::subscriber::set_global_default(subscriber.finish());
        if level.is_none() {
            tracing::warn!(target: "supdrv", ?wanted, "{VARIABLE} is no level: taken as warn");
        }
    });
}

fn level(text: &str) -> Option<LevelFilter> {
    Some(match text {
        "off" => LevelFilter::OFF,
        "error" => LevelFilter::ERROR,
        "warn" => LevelFilter::WARN,
        "info" => LevelFilter::INFO,
        "debug" => LevelFilter::DEBUG,
        _ => return None,
    })
}
