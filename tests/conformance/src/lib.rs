//! The conformance suite: one list of cases, run against every backend.
//!
//! A [`Case`] pins down one rule of the specification, named with its section. It sees a driver only
//! through a [`Backend`]: the library's sessions, and [`RawSession`]s that send any bytes under any
//! number. [`cases`] lists all; [`Case::execute`] runs one.
//!
//! | file | holds |
//! |---|---|
//! | `case` | what a case is, and how it ends |
//! | `backend` | what a case sees of a driver |
//! | `embedded`, `kernel` | the drivers in this process and in the kernel |
//! | `client` | a session over raw packets that checks the rules which hold for every answer |
//! | `probe`, `images`, `traced` | the suite's own ring-0 modules, broken images, modules with probes |
//! | `told` | what a driver tells its host's log |
//! | `threads`, `process` | threads that sleep, child processes, what the system tells of this one |
//! | `statuses` | which status every request can answer, to prove that all are provoked |
//! | `cases/*` | the cases |
//!
//! A case that needs what a backend lacks is skipped with the reason, which is not a pass. Cases of one
//! process run one at a time: some compare the counts of the whole driver.

pub mod backend;
mod case;
mod cases;
mod client;
mod embedded;
mod images;
mod kernel;
mod probe;
pub mod process;
pub mod statuses;
mod threads;
mod told;
pub mod traced;

pub use backend::{Backend, Feature, RawSession, Reply, backend};
pub use case::{Case, Group, Outcome};
pub use cases::cases;
pub use client::Packet;
pub use embedded::Embedded;
pub use kernel::Kernel;
