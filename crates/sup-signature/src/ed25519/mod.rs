//! Verification of ed25519 signatures (RFC 8032) for ring 0.
//!
//! The well-kept crates for this have frames over a kilobyte or panics that stay in the linked object,
//! so the curve is here, over the formally verified field arithmetic of `fiat-crypto`. It is checked
//! against the vectors of RFC 8032, against `ed25519-dalek` and with the usual hostile inputs.
//!
//! Verification is strict: a key or a nonce point that is not canonical, or of small order, and a
//! scalar that is not below the group's order are refused, so that one signature has one encoding and no
//! key signs everything. Everything here is public, so nothing is kept constant in time.
//!
//! [`field`] computes modulo 2²⁵⁵ - 19, [`scalar`] modulo the group's order, [`point`] on the curve.

mod field;
mod point;
mod scalar;
#[cfg(test)]
mod tests;

use sha2::{Digest, Sha512};

use self::point::Point;
use self::scalar::Scalar;

/// Whether `signature` was made for `message` by who has the secret of `key`.
///
/// # Context
/// Never sleeps; takes some 2.5 KiB of stack and tens of microseconds.
#[inline(never)]
#[must_use]
pub fn is_signature_of(key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
    let Some((nonce, scalar)) = signature.split_first_chunk::<32>() else { return false };
    let Some(scalar) = scalar.first_chunk().and_then(Scalar::canonical) else { return false };
    let Some(point) = Point::decode(key).filter(|point| !point.has_small_order()) else {
        return false;
    };
    let challenge = challenge(nonce, key, message);
    // s·B = R + k·A, as R = s·B + k·(-A).
    let expected = point::combine(&scalar, &challenge, &point.negated());
    !expected.has_small_order() && expected.encode() == *nonce
}

#[inline(never)]
fn challenge(nonce: &[u8; 32], key: &[u8; 32], message: &[u8]) -> Scalar {
    let mut hash = Sha512::new();
    hash.update(nonce);
    hash.update(key);
    hash.update(message);
    Scalar::reduced(&hash.finalize().into())
}
