//! The suite `loader`: what it takes to let a module in, to call it, and to find what is in it.

mod call;
mod large;
mod signature;
mod symbol;

use anyhow::Result;

use crate::figure::Figure;

pub(super) fn run() -> Result<Vec<Figure>> {
    let mut figures = vec![call::figure()?, large::figure()?];
    figures.extend(signature::figures()?);
    figures.extend(symbol::figures()?);
    Ok(figures)
}
