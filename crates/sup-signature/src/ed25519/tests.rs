//! The verification against vectors, against `ed25519-dalek`, and with hostile keys and signatures.

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use proptest::prelude::*;
use std::vec::Vec;

use super::is_signature_of;

extern crate std;

fn bytes<const N: usize>(hex: &str) -> [u8; N] {
    vec(hex).try_into().unwrap()
}

fn vec(hex: &str) -> Vec<u8> {
    let digits = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(digits).collect()
}

/// Key, message, signature of RFC 8032, section 7.1: tests 1, 2 and 3.
const RFC_8032: [(&str, &str, &str); 3] = [
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
];

#[test]
fn the_vectors_of_the_standard_hold() {
    for (key, message, signature) in RFC_8032 {
        let (key, message, signature) = (bytes(key), vec(message), bytes(signature));
        assert!(is_signature_of(&key, &message, &signature));
    }
}

#[test]
fn cannot_pass_with_any_bit_changed() {
    let (key, message, signature) = RFC_8032[2];
    let (key, message, signature) = (bytes::<32>(key), vec(message), bytes::<64>(signature));
    for bit in 0..512 {
        let mut changed = signature;
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(!is_signature_of(&key, &message, &changed), "bit {bit} of the signature");
    }
    for bit in 0..256 {
        let mut changed = key;
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(!is_signature_of(&changed, &message, &signature), "bit {bit} of the key");
    }
    assert!(!is_signature_of(&key, &[0xaf, 0x83], &signature));
    assert!(!is_signature_of(&key, &[0xaf], &signature));
}

/// The order of the group, little-endian.
const ORDER: &str = "edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010";

#[test]
fn cannot_pass_with_a_scalar_beyond_the_order() {
    let (key, message, signature) = RFC_8032[0];
    let mut signature = bytes::<64>(signature);
    let mut carry = 0;
    for (byte, order) in signature[32..].iter_mut().zip(bytes::<32>(ORDER)) {
        let sum = u16::from(*byte) + u16::from(order) + carry;
        *byte = sum as u8;
        carry = sum >> 8;
    }
    assert_eq!(carry, 0, "the same scalar modulo the order");
    assert!(!is_signature_of(&bytes(key), &vec(message), &signature));
}

/// Encodings of all points of small order, and what else decodes to them when decoding is lax.
const SMALL_ORDER: [&str; 14] = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000080",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
];

#[test]
fn cannot_sign_everything_with_a_key_of_small_order() {
    // With a lax verifier s = 0 and R of small order fit such keys for one message in eight.
    for key in SMALL_ORDER {
        for nonce in SMALL_ORDER {
            let mut signature = [0; 64];
            signature[..32].copy_from_slice(&bytes::<32>(nonce));
            for message in 0_u8..16 {
                assert!(!is_signature_of(&bytes(key), &[message], &signature), "{key} {nonce}");
            }
        }
    }
}

#[test]
fn cannot_use_a_key_beyond_the_modulus_or_off_the_curve() {
    let signature = bytes::<64>(RFC_8032[0].2);
    // y = p + 3, y = 2²⁵⁵ - 1, and y = 2, for which no x exists.
    for key in [
        "f0ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "0200000000000000000000000000000000000000000000000000000000000000",
    ] {
        assert!(!is_signature_of(&bytes(key), b"", &signature), "{key}");
    }
}

proptest! {
    #[test]
    fn what_the_known_library_signs_holds(secret: [u8; 32], message: Vec<u8>) {
        let signer = SigningKey::from_bytes(&secret);
        let signature = signer.sign(&message).to_bytes();
        prop_assert!(is_signature_of(&signer.verifying_key().to_bytes(), &message, &signature));
    }

    /// Random bytes rarely are points, so most of these come from a good signature.
    #[test]
    fn the_known_library_gives_the_same_answer(
        secret: [u8; 32],
        message: Vec<u8>,
        place in 0_usize..96,
        flip: u8,
    ) {
        let signer = SigningKey::from_bytes(&secret);
        let mut key = signer.verifying_key().to_bytes();
        let mut signature = signer.sign(&message).to_bytes();
        match place.checked_sub(64) {
            None => signature[place] ^= flip,
            Some(place) => key[place] ^= flip,
        }
        let theirs = VerifyingKey::from_bytes(&key)
            .and_then(|key| key.verify_strict(&message, &Signature::from_bytes(&signature)));
        prop_assert_eq!(is_signature_of(&key, &message, &signature), theirs.is_ok());
    }
}
