//! The sessions of the doctor: opened first, closed last.

use std::time::Instant;

use sup::{Counts, Session};
use zerocopy::{FromZeros, IntoBytes};

use super::check::{Finding, Outcome, Trouble, require, us_since};

/// How many sessions the doctor opens.
const OURS: u64 = 2;

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

    /// The session holds nothing any more, and closed it leaves the driver as it was before.
    pub(super) fn close(self) -> Outcome {
        let Self { main, witness, unused } = self;
        let own = main.statistics()?.session;
        let nothing = Counts { sessions: 1, ..Counts::new_zeroed() };
        require(own.as_bytes() == nothing.as_bytes(), || format!("the session holds {own:?}"))?;
        let start = Instant::now();
        drop(main);
        let figure = us_since(start);
        let left = witness.statistics()?.driver;
        if unused.sessions.max(left.sessions) > OURS {
            // Those come and go as they like, and so do the counts of the whole driver.
            let detail = "it held nothing; what the driver holds is not compared, because other \
                          processes have sessions too";
            return Ok(Finding { figure, detail: detail.to_owned() });
        }
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
