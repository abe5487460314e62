//! [`SUITES`]: everything that can be measured, by suite.

mod slice;

use anyhow::Result;

use crate::figure::Figure;

/// Figures that belong together.
#[derive(Debug)]
pub(crate) struct Suite {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) run: fn() -> Result<Vec<Figure>>,
}

/// All suites, in the order in which they run.
pub(crate) const SUITES: [Suite; 1] = [Suite {
    name: "slice",
    about: "the main job: events, service calls, loading, closing a session",
    run: slice::run,
}];
