//! The key that tests sign their modules with.
//!
//! Its secret is no secret, so no machine may trust it but the guests of `cargo xtask vm`: there it is
//! what `insmod` gets as `keys=`, and the development key of the guest's root. The drivers in the
//! processes of other machines take modules by unknown keys, unless `SUP_MODULE_POLICY` says otherwise.

#![forbid(unsafe_code)]

use std::ffi::CStr;

use sup_signature::sign::SigningKey;
use sup_signature::{DriverVersion, KERNEL_GRADE, LANDING_PADS};
use zerocopy::IntoBytes;

/// The secret, in hexadecimal digits, as a key file has it.
pub const SECRET_HEX: &str = "7465737473206f66207375706472763a206e6576657220747275737420697421";
/// What `insmod` gets, so that the driver trusts the key.
pub const PARAMETER: &CStr =
    c"keys=191ddc158d5937a9b53f4e256a5f2c13a94667dd8e64f66af00522085339c7b9";

const SECRET: [u8; 32] = *b"tests of supdrv: never trust it!";

/// The key.
pub fn key() -> SigningKey {
    SigningKey::from_secret(&SECRET)
}

/// `image`, signed to be loaded as `name`, and declared kernel-grade whatever it is; unsigned if no
/// module can have that name.
pub fn signed(image: &[u8], name: &str) -> Vec<u8> {
    signed_with(image, name, KERNEL_GRADE | LANDING_PADS)
}

/// The same with flags of the caller's choice.
pub fn signed_with(image: &[u8], name: &str, flags: u32) -> Vec<u8> {
    let block = key().sign(image, name, flags, DriverVersion::CURRENT);
    let mut file = image.to_vec();
    if let Some(block) = block {
        file.extend_from_slice(block.as_bytes());
    }
    file
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_constants_are_of_one_key() {
        let parameter = format!("keys={}", key().public().in_full());
        assert_eq!(PARAMETER.to_str(), Ok(&*parameter));
        let secret: String = SECRET.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(SECRET_HEX, secret);
    }
}
