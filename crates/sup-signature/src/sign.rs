//! [`SigningKey`]: makes keys and signatures, in ring 3.

use core::fmt;

use ed25519_dalek::Signer;
use zerocopy::IntoBytes;

use crate::{Block, DriverVersion, PublicKey, Statement};

/// A signer's key. Its memory is cleared when it goes.
pub struct SigningKey(ed25519_dalek::SigningKey);

impl SigningKey {
    /// The key of 32 secret bytes, which have to be random.
    pub fn from_secret(secret: &[u8; 32]) -> Self {
        Self(ed25519_dalek::SigningKey::from_bytes(secret))
    }

    /// The half that is enrolled in drivers.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key().to_bytes())
    }

    /// Signs `content`, which has no block, to be loaded as `name`; `None` if no module can have that
    /// name, or a flag has no meaning.
    pub fn sign(
        &self,
        content: &[u8],
        name: &str,
        flags: u32,
        minimum_driver: DriverVersion,
    ) -> Option<Block> {
        let statement = Statement::new(content, name, flags, minimum_driver, self.public())?;
        Some(self.sign_statement(statement))
    }

    /// Signs a statement as it is, also one that is not true.
    pub fn sign_statement(&self, statement: Statement) -> Block {
        Block { statement, signature: self.0.sign(statement.as_bytes()).to_bytes() }
    }
}

impl fmt::Debug for SigningKey {
    /// Shows the public half only.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SigningKey").field(&self.public()).finish()
    }
}
