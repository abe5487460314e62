//! What the stress tests share.
//!
//! | file | holds |
//! |---|---|
//! | `model` | the plain reference model: what each call answers if calls come one after the other |
//! | `history` | whether the answers that several threads got at once fit the model |
//! | `raw` | a session over raw packets and state words |
//! | `threads` | crowds of threads, POSIX signals, dice |
//! | `watchdog` | ends a test that hangs, with a dump of its state |
//!
//! The tests run under ThreadSanitizer too, which does not see into std: they join every thread by its
//! handle, and lock with parking_lot or not at all.

mod history;
mod model;
mod raw;
mod threads;
mod watchdog;

pub use history::{Record, is_linearizable};
pub use model::{Call, GROWTH, State, Table, What};
pub use raw::{Limit, Raw, Way};
pub use threads::{Dice, Tid, catch_pokes, crowd};
pub use watchdog::watched;

/// The number of operations that a stress test carries out: `SUP_STRESS_OPS`, else enough for a second.
pub fn operations() -> u64 {
    let asked = std::env::var("SUP_STRESS_OPS").ok();
    asked.map_or(200_000, |number| number.parse().expect("SUP_STRESS_OPS is a number"))
}
