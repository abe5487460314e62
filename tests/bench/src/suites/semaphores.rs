//! The suite `semaphores`: what event semaphores cost in the embedded backend.

mod crowd;
mod life;
mod memory;
mod overshoot;
mod ping_pong;
mod release;
mod uncontended;

use anyhow::Result;

use crate::figure::Figure;

pub(super) fn run() -> Result<Vec<Figure>> {
    let mut figures = uncontended::figures()?;
    figures.extend(crowd::figures()?);
    figures.extend(life::figures()?);
    figures.extend(memory::figures()?);
    figures.extend(ping_pong::figures()?);
    figures.extend(release::figures()?);
    figures.extend(overshoot::figures()?);
    Ok(figures)
}
