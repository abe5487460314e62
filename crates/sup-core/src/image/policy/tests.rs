//! Every way in which a file can be signed, under every demand.

extern crate std;

use std::vec::Vec;

use sup_abi::Status;
use sup_signature::sign::SigningKey;
use sup_signature::{BLOCK_BYTES, LANDING_PADS};
use zerocopy::IntoBytes;

use super::*;

const CONTENT: &[u8] = b"the content of an image";
const DEMANDS: [ModuleDemand; 3] =
    [ModuleDemand::Nothing, ModuleDemand::Signature, ModuleDemand::KernelGrade];

fn key(number: u8) -> SigningKey {
    SigningKey::from_secret(&[number; 32])
}

fn policy(demand: ModuleDemand) -> ModulePolicy {
    let mut policy = ModulePolicy::new(demand);
    assert!(policy.trust(key(1).public()) && policy.trust(key(2).public()));
    policy
}

fn signed(key: &SigningKey, name: &str, flags: u32, driver: DriverVersion) -> Vec<u8> {
    let block = key.sign(CONTENT, name, flags, driver).unwrap();
    [CONTENT, block.as_bytes()].concat()
}

fn good() -> Vec<u8> {
    signed(&key(2), "hello", KERNEL_GRADE | LANDING_PADS, DriverVersion::CURRENT)
}

fn admit(demand: ModuleDemand, file: &[u8]) -> Result<Signer, LoadError> {
    let name = ModuleName::from("hello").unwrap();
    policy(demand).admit(&name, file).map(|admitted| {
        assert_eq!(admitted.content, CONTENT, "the loader gets the content alone");
        assert!(admitted.hash == ContentHash::of(CONTENT));
        admitted.signer
    })
}

#[track_caller]
fn cannot(demands: &[ModuleDemand], file: &[u8], refusal: Refusal, detail: &str) {
    use std::string::ToString;
    for demand in demands {
        let error = admit(*demand, file).unwrap_err();
        assert_eq!(error.status, refusal.status(), "{demand:?}");
        assert!(error.message.starts_with(&refusal.to_string()), "{}", error.message);
        assert!(error.message.ends_with(detail), "{}", error.message);
    }
}

#[test]
fn a_trusted_kernel_grade_module_is_let_in_everywhere() {
    for demand in DEMANDS {
        assert_eq!(admit(demand, &good()), Ok(Signer::Trusted(key(2).public())));
    }
}

#[test]
fn unsigned_modules_are_let_in_where_nothing_is_demanded_and_shown() {
    assert_eq!(admit(ModuleDemand::Nothing, CONTENT), Ok(Signer::Nobody));
    cannot(&DEMANDS[1..], CONTENT, Refusal::Missing, "only");
    cannot(&DEMANDS[1..], b"", Refusal::Missing, "only");
}

#[test]
fn unknown_keys_are_let_in_where_nothing_is_demanded_and_shown() {
    let file = signed(&key(3), "hello", KERNEL_GRADE, DriverVersion::CURRENT);
    let signer = key(3).public();
    assert_eq!(admit(ModuleDemand::Nothing, &file), Ok(Signer::Unknown(signer)));
    cannot(&DEMANDS[1..], &file, Refusal::UnknownKey, &std::format!("(key {signer})"));
}

#[test]
fn cannot_enter_the_kernel_without_the_declaration() {
    let file = signed(&key(1), "hello", LANDING_PADS, DriverVersion::CURRENT);
    assert!(admit(ModuleDemand::Signature, &file).is_ok());
    cannot(&DEMANDS[2..], &file, Refusal::NotKernelGrade, ")");
}

#[test]
fn cannot_use_a_signature_that_is_about_something_else() {
    let other = signed(&key(1), "hallo", KERNEL_GRADE, DriverVersion::CURRENT);
    cannot(&DEMANDS, &other, Refusal::OtherName, "('hallo', not 'hello')");
    let DriverVersion(current) = DriverVersion::CURRENT;
    let newer = signed(&key(1), "hello", KERNEL_GRADE, DriverVersion(current + 1));
    cannot(&DEMANDS, &newer, Refusal::OlderDriver, ")");
    let mut changed = good();
    changed[3] ^= 1;
    cannot(&DEMANDS, &changed, Refusal::OtherContent, ")");
    let longer = [b"x", &good()[..]].concat();
    cannot(&DEMANDS, &longer, Refusal::OtherContent, ")");
}

#[test]
fn cannot_change_a_bit_of_the_block() {
    for bit in 0..BLOCK_BYTES * 8 {
        let mut file = good();
        file[CONTENT.len() + bit / 8] ^= 1 << (bit % 8);
        // Without its magic number a block is content. What demands a signature misses it then.
        let demands = if bit < 128 { &DEMANDS[1..] } else { &DEMANDS[..] };
        for demand in demands {
            assert!(admit(*demand, &file).is_err(), "bit {bit}, {demand:?}");
        }
    }
}

#[test]
fn cannot_cut_a_block_short() {
    for cut in 1..=BLOCK_BYTES {
        let file = good();
        let file = &file[..file.len() - cut];
        match BLOCK_BYTES - cut {
            16.. => cannot(&DEMANDS, file, Refusal::Truncated, "block"),
            _ => cannot(&DEMANDS[1..], file, Refusal::Missing, "only"),
        }
    }
}

#[test]
fn cannot_sign_for_another_key() {
    // The statement names a trusted key, and an unknown one signs it.
    let statement = key(2).sign(CONTENT, "hello", KERNEL_GRADE, DriverVersion::CURRENT).unwrap();
    let block = key(3).sign_statement(statement.statement);
    let file = [CONTENT, block.as_bytes()].concat();
    cannot(&DEMANDS, &file, Refusal::WrongSignature, ")");
}

#[test]
fn keys_are_trusted_once_and_as_many_as_there_is_room() {
    let mut policy = ModulePolicy::new(ModuleDemand::Signature);
    for _ in 0..2 {
        for number in 0..TRUSTED_KEYS_MAX as u8 {
            assert!(policy.trust(key(number).public()));
        }
    }
    assert!(!policy.trust(key(100).public()));
    let told = policy.describe();
    assert_eq!((told.demand, told.key_count), (1, 8));
    assert_eq!(PublicKey(told.keys[7]), key(7).public());
}

#[test]
fn a_refusal_fits_its_status() {
    assert_eq!(Refusal::Missing.status(), Status::VERR_ACCESS_DENIED);
    assert_eq!(Refusal::OtherName.status(), Status::VERR_INVALID_PARAMETER);
}
