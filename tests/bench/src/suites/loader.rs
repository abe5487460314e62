//! The suite `loader`: what it takes to let a module in.

mod signature;

use anyhow::Result;

use crate::figure::Figure;

pub(super) fn run() -> Result<Vec<Figure>> {
    signature::figures()
}
