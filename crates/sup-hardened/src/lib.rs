//! Whether files, folders and the own process can be trusted: verified on open handles, never on paths.
//!
//! ```
//! use sup_hardened::{System, verify_plug_in};
//!
//! // Everybody may write below /tmp, so nothing there can be trusted.
//! let violation = verify_plug_in(&System, "/tmp/some/plug-in.so".as_ref()).unwrap_err();
//! assert!(violation.status().is_failure());
//! println!("{violation}");
//! ```
//!
//! A path is walked from the root, and each component is opened relative to the last one, without
//! following links; what was opened is what is judged, and what is handed out. Where nothing is wrong, the
//! last folder is opened at once instead, and those above it are judged from it upwards. So nothing can be
//! swapped between a check and the use of what was checked: the attacker's file is either judged or
//! not used.
//!
//! | file | holds |
//! |---|---|
//! | `path` | which paths can be walked at all |
//! | `facts`, `grant` | what is known of an object: owner, mode, who else may write |
//! | `rules` | what has to be true of it: a pure function |
//! | `violation` | a broken rule: which, where, and what would mend it |
//! | `objects`, `system` | what a walk needs of a file system, and the real one |
//! | `walk`, `tree` | down a path, and through all of a folder |
//! | `straight` | the short way to a folder in which nothing is wrong |
//! | `verify` | the functions for users |
//! | `own` | the program of this process |
//! | `installation`, `manifest` | the files of our own installation, and that they are those that were packed |
//! | `keys` | who may have signed those |
//! | `program`, `handover` | a program that is started with privileges, and what its start found out |
//! | `refusal` | why these are refused, where more than a rule can be broken |
//!
//! Invariant: what is reported as verified was judged through the handle that is handed out with it, and
//! every folder above it through that folder's own handle or from one of a folder that stands in it. What cannot be examined is refused.

#![forbid(unsafe_code)]

mod facts;
#[cfg(test)]
mod fake;
mod grant;
mod handover;
mod installation;
mod keys;
mod manifest;
mod objects;
mod own;
mod path;
mod program;
mod refusal;
mod rules;
mod straight;
mod system;
#[cfg(test)]
mod tests;
mod tree;
mod verify;
mod violation;
mod walk;

pub use facts::{Facts, Identity, Kind};
pub use handover::{HANDOVER_MAGIC, Handover};
pub use installation::{ENTRIES, Entry, Installation, PREFIX, Place, Presence, places_below};
pub use keys::{SYSTEM_FOLDER, check_owner, keys_in, system_keys, trusted_keys};
pub use manifest::{MANIFEST, manifest_line};
pub use objects::Objects;
pub use own::{Audience, verify_self};
pub use path::{CleanPath, PATH_BYTES_LIMIT, PATH_COMPONENTS_MAX};
pub use program::{ProgramName, entries_with};
pub use refusal::Refusal;
pub use rules::{Rule, Wanted, broken_rules};
pub use system::System;
pub use tree::{Contents, Tally, Watch};
pub use verify::{survey, verify_folder, verify_plug_in};
pub use violation::Violation;
pub use walk::Verified;
