//! What a semaphore occupies: the driver's part and the owner's, as the allocator counts them.
//!
//! The embedded backend takes all of it from the process's allocator, the pages of state words
//! included, so that the difference of what is in use is all there is. Compared to a `sem_t` in an
//! allocation of its own, counted the same way: a semaphore of the C library that can be shared.

use std::mem::MaybeUninit;

use anyhow::Result;

use crate::figure::Figure;
use crate::measure::Pair;
use crate::suites::{bytes_each, open_session};

/// As many as make everything that is shared by some of them disappear.
const COUNT: usize = 32_000;
const ROUNDS: usize = 5;

pub(super) fn figures() -> Result<Vec<Figure>> {
    // Keeps the driver running while sessions come and go.
    let _keeper = open_session()?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        // A session of its own each time: a table does not shrink.
        let session = open_session()?;
        ours.push(bytes_each(COUNT, || session.event())?);
        theirs.push(bytes_each(COUNT, || {
            Ok::<_, sup::Error>(Box::new(MaybeUninit::<libc::sem_t>::zeroed()))
        })?);
    }
    Ok(vec![Figure {
        name: "memory of a semaphore, with its owner".into(),
        unit: "bytes",
        compared_to: "boxed sem_t".into(),
        pair: Pair::of_neighbours(ours, theirs)?,
        goal: None,
    }])
}
