//! The hash tables over the dynamic symbols: System V (`DT_HASH`) and GNU (`DT_GNU_HASH`).
//!
//! They serve twice: they tell how many symbols there are, which nothing else in the dynamic
//! section does, and they find a symbol by name. Their contents are not checked beforehand: a
//! lookup is bounded by the number of symbols and compares names, so a wrong table can only hide
//! symbols of its own module.

use zerocopy::little_endian::U32;
use zerocopy::{FromBytes, Immutable, KnownLayout, Unaligned};

/// A hash table whose arrays lie inside the file.
#[derive(Clone, Copy, Debug)]
pub(super) enum HashTable<'a> {
    /// Chains are linked lists of symbol numbers that end with 0.
    SystemV { buckets: &'a [U32], chains: &'a [U32] },
    /// Chains are runs of symbols, each one's hash at `symbol - first`, bit 0 marking the last.
    Gnu { first: u32, buckets: &'a [U32], chains: &'a [U32] },
}

#[derive(FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct SystemVHeader {
    bucket_count: U32,
    chain_count: U32,
}

#[derive(FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct GnuHeader {
    bucket_count: U32,
    first: U32,
    bloom_count: U32,
    _bloom_shift: U32,
}

impl<'a> HashTable<'a> {
    /// Reads a `DT_HASH` table from the beginning of `bytes`; `None` if it reaches beyond them.
    pub(super) fn system_v(bytes: &'a [u8]) -> Option<Self> {
        let (header, bytes) = SystemVHeader::ref_from_prefix(bytes).ok()?;
        let (buckets, bytes) = words(bytes, header.bucket_count)?;
        let (chains, _) = words(bytes, header.chain_count)?;
        Some(Self::SystemV { buckets, chains })
    }

    /// Reads a `DT_GNU_HASH` table from the beginning of `bytes`; `None` if it reaches beyond
    /// them.
    pub(super) fn gnu(bytes: &'a [u8]) -> Option<Self> {
        let (header, bytes) = GnuHeader::ref_from_prefix(bytes).ok()?;
        // The Bloom filter only saves time on names that are not there.
        let (_bloom, bytes) = words(bytes, header.bloom_count)?;
        let (_bloom, bytes) = words(bytes, header.bloom_count)?;
        let (buckets, bytes) = words(bytes, header.bucket_count)?;

        // The table does not give the length of its chains: they end where the chain of the
        // highest bucket ends, as symbols are sorted by bucket.
        let first = header.first.get();
        let last_chain = buckets.iter().map(|bucket| bucket.get()).max().unwrap_or(0);
        let (all, _) = <[U32]>::ref_from_prefix_with_elems(bytes, bytes.len() / 4).ok()?;
        let chains = match last_chain.checked_sub(first) {
            None => &[],
            Some(start) => {
                let tail = all.get(start as usize..)?;
                let length = tail.iter().position(|hash| hash.get() & 1 == 1)?;
                all.get(..=(start as usize).checked_add(length)?)?
            }
        };
        Some(Self::Gnu { first, buckets, chains })
    }

    /// The number of dynamic symbols, the empty symbol 0 included.
    ///
    /// A GNU table does not count imports that come after its last export. Linkers put imports
    /// first, except when there is no export at all, and such a module has no entry.
    pub(super) fn symbol_count(&self) -> usize {
        match *self {
            Self::SystemV { chains, .. } => chains.len(),
            Self::Gnu { first, chains, .. } => (first as usize).saturating_add(chains.len()),
        }
    }

    /// The first symbol under the hash of `name` that `is_match` accepts.
    pub(super) fn find(&self, name: &str, is_match: impl Fn(usize) -> bool) -> Option<usize> {
        match *self {
            Self::SystemV { buckets, chains } => {
                let mut symbol = bucket(buckets, system_v_hash(name))?;
                // A chain visits a symbol at most once, so a longer walk is a circle.
                for _ in chains {
                    if symbol == 0 {
                        return None;
                    }
                    if is_match(symbol) {
                        return Some(symbol);
                    }
                    symbol = chains.get(symbol)?.get() as usize;
                }
                None
            }
            Self::Gnu { first, buckets, chains } => {
                let hash = gnu_hash(name);
                let symbol = bucket(buckets, hash)?;
                let chain = chains.get(symbol.checked_sub(first as usize)?..)?;
                for (symbol, entry) in (symbol..).zip(chain) {
                    if entry.get() | 1 == hash | 1 && is_match(symbol) {
                        return Some(symbol);
                    }
                    if entry.get() & 1 == 1 {
                        return None;
                    }
                }
                None
            }
        }
    }
}

/// Splits `count` words off the beginning of `bytes`.
fn words(bytes: &[u8], count: U32) -> Option<(&[U32], &[u8])> {
    <[U32]>::ref_from_prefix_with_elems(bytes, count.get() as usize).ok()
}

/// The symbol at which the chain for `hash` begins.
fn bucket(buckets: &[U32], hash: u32) -> Option<usize> {
    let index = (hash as usize).checked_rem(buckets.len())?;
    Some(buckets.get(index)?.get() as usize)
}

/// The hash function of `DT_HASH`, from the System V ABI.
pub(super) fn system_v_hash(name: &str) -> u32 {
    name.bytes().fold(0, |hash: u32, byte| {
        let hash = (hash << 4).wrapping_add(u32::from(byte));
        let top = hash & 0xf000_0000;
        (hash ^ (top >> 24)) & !top
    })
}

/// The hash function of `DT_GNU_HASH`: Bernstein's, times 33.
pub(super) fn gnu_hash(name: &str) -> u32 {
    name.bytes().fold(5381, |hash: u32, byte| hash.wrapping_mul(33).wrapping_add(u32::from(byte)))
}
