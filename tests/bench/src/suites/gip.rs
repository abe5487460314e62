//! The suite `gip`: reading the time from the Global Information Page, and how true it is.

mod accuracy;
mod read;
mod updater;

use anyhow::Result;

use crate::figure::Figure;

pub(super) fn run() -> Result<Vec<Figure>> {
    let mut figures = read::figures()?;
    figures.extend(updater::figures()?);
    figures.extend(accuracy::figures()?);
    Ok(figures)
}
