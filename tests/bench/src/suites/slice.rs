//! The suite `slice`: what the driver's main job costs in the embedded backend.

mod call;
mod event;
mod load;
mod session;
mod shared_object;

use anyhow::{Result, ensure};
use sup::Session;
use sup::backend::Kind;

use crate::figure::Figure;

pub(super) fn run() -> Result<Vec<Figure>> {
    let mut figures = vec![event::figure()?, call::figure()?];
    figures.extend(load::figures()?);
    figures.extend(session::figures()?);
    Ok(figures)
}

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
