//! The suite `slice`: what the driver's main job costs in the embedded backend.

mod call;
mod event;
mod load;
pub(super) mod session;

use anyhow::Result;

use crate::figure::Figure;

pub(super) fn run() -> Result<Vec<Figure>> {
    let mut figures = vec![event::figure()?, call::figure()?];
    figures.extend(load::figures()?);
    figures.extend(session::figures()?);
    Ok(figures)
}
