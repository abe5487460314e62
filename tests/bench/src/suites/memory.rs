//! The suite `memory`: what pages cost in the embedded backend, beside what the system itself takes
//! for the like.

mod blocks;
mod many;
mod overhead;
mod process;
mod system;

use anyhow::Result;

use crate::figure::{Figure, Skip};

pub(super) fn run() -> Result<Vec<Figure>> {
    let mut figures = process::figures()?;
    figures.extend(blocks::figures()?);
    figures.extend(many::figures()?);
    figures.push(overhead::figure()?);
    Ok(figures)
}

pub(super) fn skips() -> Vec<Skip> {
    blocks::skips()
}
