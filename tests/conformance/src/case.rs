//! [`Case`]: one rule, and the function that finds out whether a backend keeps it.

use std::fmt;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};

use parking_lot::Mutex;

use crate::backend::Backend;

/// What a case is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Group {
    /// Opening, agreeing on the protocol, closing.
    Session,
    /// The form of request packets.
    Packets,
    /// Pages for both rings.
    Memory,
    /// Event semaphores, without sleeping.
    Semaphores,
    /// Event semaphores, asleep.
    Waits,
    /// Loading ring-0 modules.
    Modules,
    /// Module images that must be refused.
    Images,
    /// Calling ring-0 services.
    Services,
    /// Ring 0's reference-counted objects.
    Objects,
    /// What the processor says of itself.
    Platform,
    /// The Global Information Page.
    Gip,
}

impl Group {
    /// The name, as it precedes that of the case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Packets => "packets",
            Self::Memory => "memory",
            Self::Semaphores => "semaphores",
            Self::Waits => "waits",
            Self::Modules => "modules",
            Self::Images => "images",
            Self::Services => "services",
            Self::Objects => "objects",
            Self::Platform => "platform",
            Self::Gip => "gip",
        }
    }
}

/// How a case ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The backend keeps the rule.
    Passed,
    /// It does not, and this is how.
    Failed(String),
    /// Nobody knows: something that the case needs is missing.
    Skipped(String),
}

/// Why a case ended early.
#[derive(Debug)]
pub(crate) enum Stop {
    Failed(String),
    Skipped(String),
}

/// What a case returns.
pub(crate) type Verdict<T = ()> = Result<T, Stop>;

impl Stop {
    #[track_caller]
    pub(crate) fn failed(why: impl fmt::Display) -> Self {
        let place = Location::caller();
        let file = place.file().rsplit('/').next().unwrap_or_default();
        Self::Failed(format!("{file}:{}: {why}", place.line()))
    }
}

impl<E: std::error::Error> From<E> for Stop {
    #[track_caller]
    fn from(error: E) -> Self {
        Self::failed(error)
    }
}

/// One rule of the specification, and how to test it.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// The name, unique in its group.
    pub name: &'static str,
    /// What it is about.
    pub group: Group,
    /// The rule in one sentence, with its section in the specification.
    pub rule: &'static str,
    pub(crate) run: fn(&dyn Backend) -> Verdict,
}

impl Case {
    /// Group and name.
    pub fn full_name(&self) -> String {
        format!("{}::{}", self.group.name(), self.name)
    }

    /// Runs the case, while no other one runs in this process.
    pub fn execute(&self, backend: &dyn Backend) -> Outcome {
        static ALONE: Mutex<()> = Mutex::new(());
        let _alone = ALONE.lock();
        match catch_unwind(AssertUnwindSafe(|| (self.run)(backend))) {
            Ok(Ok(())) => Outcome::Passed,
            Ok(Err(Stop::Failed(why))) => Outcome::Failed(why),
            Ok(Err(Stop::Skipped(reason))) => Outcome::Skipped(reason),
            Err(_) => Outcome::Failed("it panicked, see above".to_owned()),
        }
    }
}

/// Lists the cases of a file, which are functions of the same names.
macro_rules! cases {
    ($group:ident { $($name:ident: $rule:literal,)* }) => {
        pub(crate) static CASES: &[$crate::case::Case] = &[$($crate::case::Case {
            name: stringify!($name),
            group: $crate::case::Group::$group,
            rule: $rule,
            run: $name,
        },)*];
    };
}

/// Ends the case unless a condition holds.
macro_rules! check {
    ($condition:expr $(,)?) => {
        $crate::case::check!($condition, "not true: {}", stringify!($condition))
    };
    ($condition:expr, $($what:tt)+) => {
        if !$condition {
            return Err($crate::case::Stop::failed(format_args!($($what)+)));
        }
    };
}

/// Ends the case unless two values are the same.
macro_rules! same {
    ($found:expr, $expected:expr $(,)?) => {
        $crate::case::same!($found, $expected, "{}", stringify!($found))
    };
    ($found:expr, $expected:expr, $($what:tt)+) => {
        match (&$found, &$expected) {
            (found, expected) => $crate::case::check!(
                found == expected,
                "{}: {found:?} instead of {expected:?}",
                format_args!($($what)+)
            ),
        }
    };
}

pub(crate) use {cases, check, same};
