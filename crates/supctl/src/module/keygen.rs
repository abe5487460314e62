//! `supctl module keygen`: makes a key to sign modules with.
//!
//! Neighbours: `keys.rs` keeps it. Invariant: what is printed is the public half.

use crate::cli::KeygenArgs;
use crate::failure::Failure;
use crate::{keys, output};

pub(super) fn keygen(args: &KeygenArgs) -> Result<(), Failure> {
    let (key, path) = match &args.output {
        Some(path) => (keys::create(path)?, path.clone()),
        None => (keys::create_user_key()?, keys::user_key_path()?),
    };
    output::fields(&[
        ("secret", path.display().to_string()),
        ("public", key.public().in_full().to_string()),
        ("kernel", format!("modprobe supdrv keys={}", key.public().in_full())),
    ])
}
