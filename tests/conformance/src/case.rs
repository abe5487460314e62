//! [`Case`]: one rule, and the function that finds out whether a backend keeps it.

use std::panic::{AssertUnwindSafe, catch_unwind};

use parking_lot::Mutex;

pub use sup_verdict::Outcome;
pub(crate) use sup_verdict::{Stop, Verdict};

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
    /// Modules that panic.
    Panics,
    /// Calling the hypervisor's module.
    Vmm,
    /// Ring 0's reference-counted objects.
    Objects,
    /// Component factories, and sessions of modules.
    Components,
    /// What the processor says of itself.
    Platform,
    /// The Global Information Page.
    Gip,
    /// Who may change what runs with privileges.
    Hardening,
    /// The tracer, and probes of both rings.
    Tracing,
    /// The driver's loggers.
    Logger,
    /// What modules print.
    Printing,
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
            Self::Panics => "panics",
            Self::Vmm => "vmm",
            Self::Objects => "objects",
            Self::Components => "components",
            Self::Platform => "platform",
            Self::Gip => "gip",
            Self::Hardening => "hardening",
            Self::Tracing => "tracing",
            Self::Logger => "logger",
            Self::Printing => "printing",
        }
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
            Ok(verdict) => verdict.into(),
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

pub(crate) use cases;
pub(crate) use sup_verdict::{check, same};
