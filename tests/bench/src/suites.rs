//! [`SUITES`]: everything that can be measured, by suite.

mod gip;
mod semaphores;
mod slice;

use anyhow::{Result, ensure};
use sup::Session;
use sup::backend::Kind;

use crate::figure::Figure;

/// Figures that belong together.
#[derive(Debug)]
pub(crate) struct Suite {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) run: fn() -> Result<Vec<Figure>>,
}

/// All suites, in the order in which they run.
pub(crate) const SUITES: [Suite; 3] = [
    Suite {
        name: "slice",
        about: "the main job: events, service calls, loading, closing a session",
        run: slice::run,
    },
    Suite {
        name: "semaphores",
        about: "event semaphores: alone, in a crowd, between threads, against the clock",
        run: semaphores::run,
    },
    Suite {
        name: "gip",
        about: "the page that tells the time: what a read costs, how true it is; takes over a minute",
        run: gip::run,
    },
];

/// A session with the driver in this process: the goals are for that one.
fn open_session() -> Result<Session> {
    let session = Session::open()?;
    let backend = session.backend();
    ensure!(
        backend.kind() == Kind::Embedded,
        "the goals of this suite are for the embedded backend, and the session's is {backend}; set \
         SUP_BACKEND=embedded"
    );
    Ok(session)
}
