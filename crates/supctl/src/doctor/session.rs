//! The sessions of the doctor: opened first, closed last.

use std::time::Instant;

use sup::{Counts, Session};
use zerocopy::IntoBytes;

use super::check::{Finding, Outcome, Trouble, require, us_since};

/// The session that the checks use, and one beside it to see what it leaves in the driver.
#[derive(Debug)]
pub(super) struct Sessions {
    pub(super) main: Session,
    witness: Session,
    /// What the driver held when both were open and unused.
    unused: Counts,
}

impl Sessions {
    pub(super) fn open() -> Result<(Self, Finding), Trouble> {
        let start = Instant::now();
        let main = Session::open()?;
        let figure = us_since(start);
        let witness = Session::open()?;
        let unused = witness.statistics()?.driver;
        let detail = "the driver speaks this library's protocol".to_owned();
        Ok((Self { main, witness, unused }, Finding { figure, detail }))
    }

    /// The driver holds what it held before the session was used, and one session less.
    pub(super) fn close(self) -> Outcome {
        let Self { main, witness, unused } = self;
        let start = Instant::now();
        drop(main);
        let figure = us_since(start);
        let left = witness.statistics()?.driver;
        let sessions = unused.sessions.saturating_sub(1);
        let expected = Counts { sessions, ..unused };
        require(left.as_bytes() == expected.as_bytes(), || {
            format!("the driver held {unused:?}, and holds {left:?} without the session")
        })?;
        let detail = format!(
            "back to {} objects, {} handles, {} blocks, {} images",
            left.objects, left.handles, left.memory_blocks, left.image_references
        );
        Ok(Finding { figure, detail })
    }
}
