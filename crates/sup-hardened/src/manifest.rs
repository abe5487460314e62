//! [`Manifest`]: the digests of an installation's files, signed by who packed it.
//!
//! It is text, one file a line as `sha256sum` writes it, with a place instead of a folder, and the signature
//! block of `sup-signature` behind it:
//!
//! ```text
//! 2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae  bin/supctl
//! ```
//! Invariant: no line is believed before the signature held, by a key that is trusted.

use std::collections::BTreeMap;

use sup_signature::{ContentHash, DriverVersion, PublicKey, Refusal, split};

use crate::installation::{Entry, Place};

/// The name of its file, and of what is signed.
pub const MANIFEST: &str = "MANIFEST";

/// The digests of files, by place and name.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Manifest {
    digests: BTreeMap<String, ContentHash>,
}

fn key_of(entry: &Entry) -> String {
    format!("{}/{}", entry.place.name(), entry.name)
}

/// The line of a manifest for a file with this content, which packagers sign with all others.
pub fn manifest_line(entry: &Entry, content: &[u8]) -> String {
    format!("{}  {}\n", ContentHash::of(content).in_full(), key_of(entry))
}

impl Manifest {
    /// Reads a manifest's file.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub(crate) fn decode(file: &[u8], keys: &[PublicKey]) -> Result<Self, String> {
        let refused = |refusal: Refusal| match refusal {
            Refusal::Missing => "is not signed".to_owned(),
            Refusal::UnknownKey => "is signed by no trusted key".to_owned(),
            _ => format!("is not what was signed ({refusal:?})"),
        };
        let signed = split(file).map_err(refused)?;
        let block = signed.block.ok_or_else(|| refused(Refusal::Missing))?;
        block.check_signature().map_err(refused)?;
        let hash = ContentHash::of(signed.content);
        let statement = &block.statement;
        statement
            .check_match(signed.content.len(), &hash, MANIFEST, DriverVersion::CURRENT)
            .map_err(refused)?;
        if !keys.contains(&statement.signer) {
            return Err(refused(Refusal::UnknownKey));
        }
        let text = std::str::from_utf8(signed.content).map_err(|_| "is no text".to_owned())?;
        let mut digests = BTreeMap::new();
        for line in text.lines() {
            let entry = line.split_once("  ").and_then(|(digest, key)| {
                // Sixty-four digits are thirty-two bytes, whatever they stand for.
                let PublicKey(bytes) = PublicKey::from_hex(digest.as_bytes())?;
                Some((key.to_owned(), ContentHash(bytes)))
            });
            let (key, digest) = entry
                .ok_or_else(|| format!("has a line that is none: '{}'", line.escape_debug()))?;
            if digests.insert(key, digest).is_some() {
                return Err("lists a file twice".to_owned());
            }
        }
        Ok(Self { digests })
    }

    /// The names of the files in a place.
    pub(crate) fn names(&self, place: Place) -> impl Iterator<Item = &str> {
        self.digests.keys().filter_map(move |key| key.strip_prefix(place.name())?.strip_prefix('/'))
    }

    /// The digest that a file has to have.
    pub(crate) fn digest_of(&self, entry: &Entry) -> Option<ContentHash> {
        self.digests.get(&key_of(entry)).copied()
    }
}
