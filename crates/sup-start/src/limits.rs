//! [`Limits`]: a start that its user's limits do not make fail half-way.
//!
//! Who starts a program chooses its limits, and a start needs a few descriptors and some memory. Where the
//! user allows less, root raises the limits for as long as the start takes; the program gets its user's
//! back. Only core files stay forbidden: they would hold what only the program may have.
//!
//! Invariant: what the program runs under is never wider than what the user had.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What a start needs at least.
const FLOORS: [(Resource, u64); 6] = [
    (Resource::Nofile, 64),
    (Resource::As, 512 << 20),
    (Resource::Data, 256 << 20),
    (Resource::Stack, 1 << 20),
    (Resource::Fsize, 1 << 20),
    (Resource::Nproc, 64),
];

/// The user's limits, where they were changed.
#[derive(Debug, Default)]
pub(crate) struct Limits(Vec<(Resource, Rlimit)>);

impl Limits {
    /// Raises what is too small, and forbids core files.
    pub(crate) fn raise() -> Self {
        let mut before = Vec::new();
        for (resource, floor) in FLOORS {
            let found = getrlimit(resource);
            let raised = raise(found, floor);
            // Without the right to raise it, the step that needs it says what is missing.
            if raised != found && setrlimit(resource, raised).is_ok() {
                before.push((resource, found));
            }
        }
        // Lowering a limit takes no right.
        let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
        Self(before)
    }

    /// Gives the program its user's limits back.
    pub(crate) fn restore(self) {
        for (resource, limit) in self.0 {
            // As above.
            let _ = setrlimit(resource, limit);
        }
    }
}

/// A limit that is at least `floor`. `None` is no limit.
fn raise(limit: Rlimit, floor: u64) -> Rlimit {
    let at_least = |value: Option<u64>| value.map(|value| value.max(floor));
    Rlimit { current: at_least(limit.current), maximum: at_least(limit.maximum) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_too_small_is_raised() {
        let limit = |current, maximum| Rlimit { current, maximum };
        let cases = [
            (limit(Some(3), Some(3)), limit(Some(64), Some(64))),
            (limit(Some(3), Some(100)), limit(Some(64), Some(100))),
            (limit(Some(3), None), limit(Some(64), None)),
            (limit(Some(64), Some(70)), limit(Some(64), Some(70))),
            (limit(None, None), limit(None, None)),
        ];
        for (before, after) in cases {
            assert_eq!(raise(before, 64), after, "{before:?}");
        }
    }
}
