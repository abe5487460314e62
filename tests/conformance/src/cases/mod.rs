//! The cases, one file for each group.

use crate::case::Case;

mod components;
mod gip;
mod hardening;
mod idc;
mod images;
mod lifetimes;
pub(crate) mod listing;
mod logger;
mod memory;
mod memory_rings;
mod modules;
pub(crate) mod objects;
mod packets;
mod panics;
mod platform;
pub(crate) mod printing;
mod ringtrace;
mod semaphores;
mod services;
mod session;
mod signatures;
mod tracing;
mod vmm;
mod waits;
mod words;

static GROUPS: &[&[Case]] = &[
    session::CASES,
    packets::CASES,
    memory::CASES,
    memory_rings::CASES,
    semaphores::CASES,
    words::CASES,
    waits::CASES,
    modules::CASES,
    lifetimes::CASES,
    listing::CASES,
    images::CASES,
    signatures::CASES,
    services::CASES,
    panics::CASES,
    vmm::CASES,
    objects::CASES,
    components::CASES,
    idc::CASES,
    platform::CASES,
    gip::CASES,
    hardening::CASES,
    tracing::CASES,
    ringtrace::CASES,
    logger::CASES,
    printing::CASES,
];

/// All cases, group by group.
pub fn cases() -> impl Iterator<Item = &'static Case> {
    GROUPS.iter().copied().flatten()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_rules_are_sentences_with_their_source() {
        let mut names = BTreeSet::new();
        for case in cases() {
            let name = case.full_name();
            assert!(
                case.rule.ends_with(").") && case.rule.contains(" (spec "),
                "{name}: {}",
                case.rule
            );
            assert!(names.insert(name.clone()), "{name} is there twice");
        }
    }
}
