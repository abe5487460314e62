//! `supctl module verify`: says whether a signature holds, and what it declares. No driver is asked.
//!
//! Neighbours: the driver's policy decides in the same order (`sup-core/src/image/policy.rs`).
//! Invariant: it succeeds only if a signature holds, for this name, by one of the keys to be trusted.

use std::path::PathBuf;

use sup::trust;
use sup_signature::{ContentHash, DriverVersion, PublicKey, Refusal, split};

use super::module_name;
use super::sign::declaration;
use crate::cli::VerifyArgs;
use crate::failure::Failure;
use crate::output;

pub(super) fn verify(args: &VerifyArgs) -> Result<(), Failure> {
    let file = sup::read_signed(&args.file).map_err(Failure::of_file(&args.file))?;
    let refused = |refusal| Failure::Signature { path: args.file.clone(), refusal };
    let name = args.name.clone().unwrap_or_else(|| module_name(&args.file));

    let signed = split(&file).map_err(refused)?;
    let block = signed.block.ok_or_else(|| refused(Refusal::Missing))?;
    let statement = &block.statement;
    block.check_signature().map_err(refused)?;
    let hash = ContentHash::of(signed.content);
    output::fields(&[
        ("module", statement.name().to_owned()),
        ("key", statement.signer.in_full().to_string()),
        ("content", format!("{} bytes, sha256 {hash}", signed.content.len())),
        ("declared", declaration(block)),
        ("driver", format!("at least {}", statement.minimum_driver())),
    ])?;
    let driver = DriverVersion::CURRENT;
    statement.check_match(signed.content.len(), &hash, &name, driver).map_err(refused)?;
    if !trusted(args)?.contains(&statement.signer) {
        return Err(refused(Refusal::UnknownKey));
    }
    output::line("the signature holds, by a trusted key")
}

/// The keys that are named, else those that this user's own drivers trust.
fn trusted(args: &VerifyArgs) -> Result<Vec<PublicKey>, Failure> {
    if let Some(path) = &args.key {
        return trust::keys_in(path).map_err(|error| Failure::Key(error.to_string()));
    }
    let own = trust::config_folder().map(|folder| folder.join(trust::USER_FOLDER));
    let mut keys = Vec::new();
    for folder in [Some(PathBuf::from(trust::SYSTEM_FOLDER)), own].into_iter().flatten() {
        let found = trust::trusted_keys(&folder);
        keys.extend(found.map_err(|error| Failure::Key(error.to_string()))?);
    }
    Ok(keys)
}
