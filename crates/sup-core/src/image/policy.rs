//! [`ModulePolicy`]: which module files are let in, before anything else is done with them.
//!
//! A file comes in one of four ways: unsigned, signed by a key that the driver trusts, signed by another,
//! or with a signature that does not hold. The last is refused always: whoever made the file did not mean
//! it so. What is demanded of the others is the host's [`ModuleDemand`]:
//!
//! | | unsigned | unknown key | trusted key | trusted key, kernel-grade |
//! |---|---|---|---|---|
//! | `Nothing` | loads | loads | loads | loads |
//! | `Signature` | refused | refused | loads | loads |
//! | `KernelGrade` | refused | refused | refused | loads |
//!
//! Whether the caller may load at all is the host's matter (`Host::load_image`).
//!
//! Invariant: the content that is let in is the content that was hashed, and it is what the loader gets:
//! nobody can change the driver's copy of the file in between.

use core::fmt;

use arrayvec::ArrayVec;
use sup_abi::request::{ModuleDemand, ModulePolicyOut, TRUSTED_KEYS_MAX, Trust};
use sup_signature::{
    ContentHash, DriverVersion, KERNEL_GRADE, PublicKey, Refusal, Statement, split,
};

use super::{LoadError, ModuleName};

/// By whom a module is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signer {
    /// By nobody.
    Nobody,
    /// By a key that the driver does not trust. The signature is right all the same.
    Unknown(PublicKey),
    /// By a key that the driver trusts.
    Trusted(PublicKey),
}

impl Signer {
    /// What ring 3 is told of it.
    pub fn trust(self) -> Trust {
        match self {
            Self::Nobody => Trust::Unsigned,
            Self::Unknown(_) => Trust::Unknown,
            Self::Trusted(_) => Trust::Trusted,
        }
    }

    /// The bytes of the key; zeros if there is none.
    pub fn key_bytes(self) -> [u8; 32] {
        match self {
            Self::Nobody => [0; 32],
            Self::Unknown(PublicKey(bytes)) | Self::Trusted(PublicKey(bytes)) => bytes,
        }
    }
}

impl fmt::Display for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nobody => f.write_str("not signed"),
            Self::Unknown(key) => write!(f, "signed by {key}, which is not trusted"),
            Self::Trusted(key) => write!(f, "signed by {key}"),
        }
    }
}

/// A file that was let in.
pub(crate) struct Admitted<'a> {
    /// The image, without the signature.
    pub(crate) content: &'a [u8],
    pub(crate) hash: ContentHash,
    pub(crate) signer: Signer,
}

/// What a driver demands of modules, and whom it trusts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModulePolicy {
    demand: ModuleDemand,
    keys: ArrayVec<PublicKey, TRUSTED_KEYS_MAX>,
}

impl ModulePolicy {
    /// A policy that trusts nobody yet.
    pub const fn new(demand: ModuleDemand) -> Self {
        Self { demand, keys: ArrayVec::new_const() }
    }

    /// Trusts a key. False if there is no room for another one.
    #[must_use]
    pub fn trust(&mut self, key: PublicKey) -> bool {
        self.keys.contains(&key) || self.keys.try_push(key).is_ok()
    }

    /// What is demanded.
    pub fn demand(&self) -> ModuleDemand {
        self.demand
    }

    /// Who is trusted.
    pub fn keys(&self) -> &[PublicKey] {
        &self.keys
    }

    /// The policy as ring 3 is told it.
    pub(crate) fn describe(&self) -> ModulePolicyOut {
        let mut keys = [[0; 32]; TRUSTED_KEYS_MAX];
        for (place, PublicKey(bytes)) in keys.iter_mut().zip(&self.keys) {
            *place = *bytes;
        }
        let key_count = u32::try_from(self.keys.len()).unwrap_or_default();
        ModulePolicyOut { demand: self.demand.into(), key_count, keys }
    }

    /// Lets a file in that is to be loaded as `name`.
    ///
    /// # Errors
    /// The status of the [`Refusal`], and its sentence.
    ///
    /// # Context
    /// Never sleeps; takes as long as hashing the file, and a signature some tens of microseconds more.
    #[inline(never)]
    pub(crate) fn admit<'a>(
        &self,
        name: &ModuleName,
        file: &'a [u8],
    ) -> Result<Admitted<'a>, LoadError> {
        let signed = split(file).map_err(|refusal| refused(refusal, format_args!("")))?;
        let content = signed.content;
        let hash = ContentHash::of(content);
        let signer = match signed.block {
            None if self.demand == ModuleDemand::Nothing => Signer::Nobody,
            None => return Err(refused(Refusal::Missing, format_args!(""))),
            Some(block) => {
                block.check_signature().map_err(|refusal| of_signer(refusal, &block.statement))?;
                self.admit_signed(name, content, &hash, &block.statement)?
            }
        };
        Ok(Admitted { content, hash, signer })
    }

    /// Looks whether a statement, which its signer made, fits and suffices.
    #[inline(never)]
    fn admit_signed(
        &self,
        name: &ModuleName,
        content: &[u8],
        hash: &ContentHash,
        statement: &Statement,
    ) -> Result<Signer, LoadError> {
        let driver = DriverVersion::CURRENT;
        statement.check_match(content.len(), hash, name, driver).map_err(
            |refusal| match refusal {
                Refusal::OtherContent => {
                    refused(refusal, format_args!(" ({hash}, not {})", statement.content_hash))
                }
                Refusal::OtherName => {
                    refused(refusal, format_args!(" ('{}', not '{name}')", statement.name()))
                }
                _ => {
                    let wanted = statement.minimum_driver();
                    refused(refusal, format_args!(" ({wanted}, and this is {driver})"))
                }
            },
        )?;
        let is_trusted = self.keys.contains(&statement.signer);
        match self.demand {
            ModuleDemand::Nothing if !is_trusted => Ok(Signer::Unknown(statement.signer)),
            _ if !is_trusted => Err(of_signer(Refusal::UnknownKey, statement)),
            ModuleDemand::KernelGrade if !statement.declares(KERNEL_GRADE) => {
                Err(of_signer(Refusal::NotKernelGrade, statement))
            }
            _ => Ok(Signer::Trusted(statement.signer)),
        }
    }
}

/// A refusal that names the key.
#[inline(never)]
fn of_signer(refusal: Refusal, statement: &Statement) -> LoadError {
    refused(refusal, format_args!(" (key {})", statement.signer))
}

#[inline(never)]
fn refused(refusal: Refusal, detail: fmt::Arguments<'_>) -> LoadError {
    LoadError::new(refusal.status(), format_args!("{refusal}{detail}"))
}

#[cfg(test)]
mod tests;
