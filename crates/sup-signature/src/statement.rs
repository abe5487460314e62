//! [`Statement`] and [`Block`]: what a signer says of an image, byte by byte.
//!
//! All numbers are little-endian. A block is decoded before anything in it is believed: an unknown
//! format, an unknown flag or a field that is not in its one right form is refused, so that what an
//! older driver does not understand never passes for less than it is.

use core::fmt;

use sha2::{Digest, Sha256};
use sup_abi::IMAGE_NAME_CHARS_MAX;
use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::{PublicKey, Refusal, ed25519};

/// Bytes of a [`Block`].
pub const BLOCK_BYTES: usize = size_of::<Block>();

/// What a statement begins with. It also keeps a signature of ours from meaning anything elsewhere.
pub(crate) const MAGIC: [u8; 16] = *b"supdrv signature";

/// The only format so far.
const FORMAT: u32 = 1;

/// The flag of code that keeps the kernel's rules: it leaves vector registers alone and has no red zone.
pub const KERNEL_GRADE: u32 = 1 << 0;
/// The flag of code whose entries are landing pads for indirect branches.
pub const LANDING_PADS: u32 = 1 << 1;
/// All flags that have a meaning.
pub const FLAGS_KNOWN: u32 = KERNEL_GRADE | LANDING_PADS;

/// The SHA-256 of an image's content: the file without its signature block.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(transparent)]
pub struct ContentHash(pub [u8; 32]);

impl ContentHash {
    /// The hash of `content`.
    #[inline(never)]
    pub fn of(content: &[u8]) -> Self {
        Self(Sha256::digest(content).into())
    }

    /// All its digits, for programs.
    pub fn in_full(&self) -> impl fmt::Display {
        crate::key::Digits(self.0)
    }
}

/// Makes the hash of content that comes in pieces.
///
/// ```
/// use sup_signature::{ContentHash, ContentHasher};
/// let mut hasher = ContentHasher::default();
/// hasher.add(b"in ");
/// hasher.add(b"pieces");
/// assert_eq!(hasher.finish(), ContentHash::of(b"in pieces"));
/// ```
#[derive(Debug, Clone, Default)]
pub struct ContentHasher(Sha256);

impl ContentHasher {
    /// Adds what follows.
    pub fn add(&mut self, piece: &[u8]) {
        self.0.update(piece);
    }

    /// The hash of all that was added.
    pub fn finish(self) -> ContentHash {
        ContentHash(self.0.finalize().into())
    }
}

impl fmt::Display for ContentHash {
    /// The first eight bytes: enough to tell two files apart for a person.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().take(8).try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A version of the driver: eight bits of major, eight of minor number, sixteen of patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct DriverVersion(pub u32);

impl DriverVersion {
    /// The version that this is part of.
    pub const CURRENT: Self = match Self::parse(env!("CARGO_PKG_VERSION")) {
        Some(version) => version,
        None => Self(u32::MAX),
    };

    /// Reads `1.2.3`; `None` if it is anything else, or a number has no room.
    pub const fn parse(text: &str) -> Option<Self> {
        let mut rest = text.as_bytes();
        let (mut version, mut number, mut parts, mut digits) = (0_u32, 0_u32, 0_u32, 0_u32);
        loop {
            let (byte, tail) = match rest {
                [byte, tail @ ..] => (*byte, tail),
                // The end counts as one more point.
                [] => (b'.', rest),
            };
            if byte == b'.' {
                let bits = if parts == 2 { 16 } else { 8 };
                if digits == 0 || parts > 2 || number >> bits != 0 {
                    return None;
                }
                version = version << bits | number;
                (number, digits, parts) = (0, 0, parts.wrapping_add(1));
                if rest.is_empty() {
                    return if parts == 3 { Some(Self(version)) } else { None };
                }
            } else if byte.is_ascii_digit() && digits < 5 {
                number = number.wrapping_mul(10).wrapping_add((byte & 0xf) as u32);
                digits = digits.wrapping_add(1);
            } else {
                return None;
            }
            rest = tail;
        }
    }
}

impl fmt::Display for DriverVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(number) = *self;
        write!(f, "{}.{}.{}", number >> 24, number >> 16 & 0xff, number & 0xffff)
    }
}

/// What a signer says of an image.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct Statement {
    magic: [u8; 16],
    format: U32,
    /// [`KERNEL_GRADE`], [`LANDING_PADS`].
    flags: U32,
    /// A [`DriverVersion`].
    minimum_driver: U32,
    /// Zero.
    reserved: U32,
    /// Bytes of the content.
    content_bytes: U64,
    /// The name that the image loads under, padded with zeros.
    name: [u8; IMAGE_NAME_CHARS_MAX + 1],
    /// The hash of the content.
    pub content_hash: ContentHash,
    /// Who says so.
    pub signer: PublicKey,
}

/// A statement and its signature.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct Block {
    /// What is signed.
    pub statement: Statement,
    /// The signature of the statement's bytes.
    pub signature: [u8; 64],
}

const _: () = assert!(size_of::<Statement>() == 136 && BLOCK_BYTES == 200);

impl Statement {
    /// A statement about `content`; `None` if the name is empty, too long or has a zero byte.
    pub fn new(
        content: &[u8],
        name: &str,
        flags: u32,
        minimum_driver: DriverVersion,
        signer: PublicKey,
    ) -> Option<Self> {
        let statement = Self {
            magic: MAGIC,
            format: FORMAT.into(),
            flags: flags.into(),
            minimum_driver: minimum_driver.0.into(),
            reserved: U32::ZERO,
            content_bytes: (content.len() as u64).into(),
            name: sup_abi::request::padded(name)?,
            content_hash: ContentHash::of(content),
            signer,
        };
        (!name.is_empty() && flags & !FLAGS_KNOWN == 0).then_some(statement)
    }

    /// The name that the image loads under.
    pub fn name(&self) -> &str {
        sup_abi::request::terminated(&self.name).unwrap_or_default()
    }

    /// Whether the signer declares all of these flags.
    pub fn declares(&self, flags: u32) -> bool {
        self.flags.get() & flags == flags
    }

    /// The oldest driver that the image works with.
    pub fn minimum_driver(&self) -> DriverVersion {
        DriverVersion(self.minimum_driver.get())
    }

    /// Whether every field is in its one right form.
    ///
    /// # Errors
    /// [`Refusal::UnknownFormat`], [`Refusal::Malformed`].
    #[inline(never)]
    fn check_form(&self) -> Result<(), Refusal> {
        if self.magic != MAGIC {
            return Err(Refusal::Malformed);
        }
        if self.format.get() != FORMAT || self.flags.get() & !FLAGS_KNOWN != 0 {
            return Err(Refusal::UnknownFormat);
        }
        let is_padded = |name: &str| {
            !name.is_empty() && self.name.iter().skip(name.len()).all(|byte| *byte == 0)
        };
        let has_name = sup_abi::request::terminated(&self.name).is_some_and(is_padded);
        if self.reserved != U32::ZERO || !has_name {
            return Err(Refusal::Malformed);
        }
        Ok(())
    }

    /// Whether the statement is about this content, this name and a driver of this version. What is
    /// hashed anyway is taken as its hash.
    ///
    /// # Errors
    /// The [`Refusal`] of what does not match.
    #[inline(never)]
    pub fn check_match(
        &self,
        content_bytes: usize,
        content_hash: &ContentHash,
        name: &str,
        driver: DriverVersion,
    ) -> Result<(), Refusal> {
        if self.content_bytes.get() != content_bytes as u64 || self.content_hash != *content_hash {
            return Err(Refusal::OtherContent);
        }
        if self.name() != name {
            return Err(Refusal::OtherName);
        }
        if self.minimum_driver() > driver {
            return Err(Refusal::OlderDriver);
        }
        Ok(())
    }
}

impl Block {
    /// The block in `bytes`, if every field is in its one right form. Its signature is not looked at.
    ///
    /// # Errors
    /// [`Refusal::Truncated`], [`Refusal::UnknownFormat`], [`Refusal::Malformed`].
    #[inline(never)]
    pub fn decode(bytes: &[u8]) -> Result<&Self, Refusal> {
        let block = Self::ref_from_bytes(bytes).map_err(|_| Refusal::Truncated)?;
        block.statement.check_form()?;
        Ok(block)
    }

    /// Whether the signature is the signer's, for this statement.
    ///
    /// # Errors
    /// [`Refusal::WrongSignature`].
    ///
    /// # Context
    /// Never sleeps; takes some 2.5 KiB of stack and tens of microseconds.
    #[inline(never)]
    pub fn check_signature(&self) -> Result<(), Refusal> {
        let PublicKey(key) = &self.statement.signer;
        if ed25519::is_signature_of(key, self.statement.as_bytes(), &self.signature) {
            Ok(())
        } else {
            Err(Refusal::WrongSignature)
        }
    }
}
