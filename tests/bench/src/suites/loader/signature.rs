//! What a signature costs beyond the hash that a load takes anyway.
//!
//! The verification is the one that runs in ring 0; beside it stands `ed25519-dalek`, which may use all
//! that a process may: vectors, large tables. The content has 1 MiB, of which a block holds the hash, so
//! that the time does not depend on it.

use std::hint::black_box;

use anyhow::{Context, Result, anyhow};
use ed25519_dalek::{Signature, VerifyingKey};
use sup_signature::{ContentHash, DriverVersion, PublicKey, split};
use zerocopy::IntoBytes;

use crate::figure::{Figure, Goal};
use crate::measure::{compare, each};

const NAME: &str = "large";
const CONTENT_BYTES: usize = 1 << 20;

pub(super) fn figures() -> Result<Vec<Figure>> {
    let content: Vec<u8> = (0..CONTENT_BYTES).map(|index| (index % 251) as u8).collect();
    let file = sup_test_key::signed(&content, NAME);
    let hash = ContentHash::of(&content);
    let signed = split(&file).map_err(|refusal| anyhow!("{refusal}"))?;
    let block = signed.block.context("the file is not signed")?;
    let PublicKey(key) = block.statement.signer;
    let key = VerifyingKey::from_bytes(&key).map_err(|error| anyhow!("{error}"))?;
    let signature = Signature::from_bytes(&block.signature);

    let ours = || {
        let signed = split(black_box(&file))?;
        let Some(block) = signed.block else { return Err(sup_signature::Refusal::Missing) };
        block.check_signature()?;
        let bytes = signed.content.len();
        block.statement.check_match(bytes, black_box(&hash), NAME, DriverVersion::CURRENT)
    };
    ours().map_err(|refusal| anyhow!("{refusal}"))?;
    let check = compare(
        each(|| ours().map_err(|refusal| anyhow!("{refusal}"))),
        each(|| {
            key.verify_strict(black_box(block.statement.as_bytes()), &signature)
                .map_err(|error| anyhow!("{error}"))
        }),
    )?;
    let hashing = compare(
        each(|| ours().map_err(|refusal| anyhow!("{refusal}"))),
        each(|| -> Result<()> {
            black_box(ContentHash::of(black_box(&content)));
            Ok(())
        }),
    )?;
    Ok(vec![
        figure(
            "signature of 1 MiB, beyond its hash",
            "ed25519-dalek",
            check,
            Some(Goal::Median(100.0)),
        ),
        figure("the same", "the hash of 1 MiB", hashing, None),
    ])
}

fn figure(name: &str, compared_to: &str, pair: crate::measure::Pair, goal: Option<Goal>) -> Figure {
    let pair = pair.scaled(1e-3, 1e-3);
    Figure { name: name.into(), unit: "us", compared_to: compared_to.into(), pair, goal }
}
