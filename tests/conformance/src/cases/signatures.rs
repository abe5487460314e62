//! Signatures of modules: which are let in, and which are refused with which sentence.
//!
//! What a driver demands differs, and it says so; the cases hold it to what it says.

use sup::{ModuleDemand, Status};
use sup_abi::request::{Empty, ModulePolicy, ModulePolicyOut, Trust};
use sup_modules::{HELLO, hello};
use sup_signature::sign::SigningKey;
use sup_signature::{BLOCK_BYTES, DriverVersion, KERNEL_GRADE, LANDING_PADS, PublicKey, Refusal};
use sup_test_key::{key, signed, signed_with};
use zerocopy::IntoBytes;

use crate::backend::Backend;
use crate::case::{Verdict, cases, check, same};
use crate::client::Client;
use crate::probe::Load;

cases! { Modules {
    policy_is_told:
        "A driver says what it demands of modules and whom it trusts: in the kernel a declared \
         kernel-grade module by a trusted key (spec 11.2).",
    signature_names_its_signer:
        "A signed module loads, and the driver says by whom it is signed and whether it trusts that \
         key (spec 11.2).",
    signed_and_unsigned_are_one_module:
        "The signature is no part of a module's identity (spec 11.2).",
    cannot_load_what_is_not_signed_where_it_must_be:
        "A missing signature is VERR_ACCESS_DENIED where one is demanded, else it is shown (spec \
         11.2).",
    cannot_load_by_an_unknown_key_where_it_must_be_trusted:
        "An unknown key is VERR_ACCESS_DENIED where a trusted one is demanded, else it is shown \
         (spec 11.2).",
    cannot_load_what_is_not_declared_kernel_grade:
        "In the kernel a module that is not declared kernel-grade is VERR_NOT_SUPPORTED (spec 11.2).",
    cannot_load_with_a_signature_that_does_not_hold:
        "A signature that is wrong, cut, damaged or about something else is refused everywhere, each \
         with its own sentence (spec 11.2).",
} }

/// What the driver says that it demands.
fn policy(client: &Client) -> Verdict<(ModuleDemand, Vec<PublicKey>)> {
    let ModulePolicyOut { demand, key_count, keys } = client.get::<ModulePolicy>(&Empty {})?;
    let demand = ModuleDemand::try_from(demand).unwrap_or(ModuleDemand::KernelGrade);
    check!(key_count as usize <= keys.len(), "{key_count} keys");
    let (told, rest) = keys.split_at(key_count as usize);
    check!(rest.iter().all(|key| *key == [0; 32]), "something behind the last key");
    Ok((demand, told.iter().copied().map(PublicKey).collect()))
}

/// Loads a file as it is.
#[track_caller]
fn load(client: &Client, file: &[u8]) -> Verdict<Load> {
    let packet = client.load_file_packet(file, HELLO.name, hello::SERVICE_HANDLER)?;
    client.try_load_packet(&packet)
}

/// The file loads, and the driver says that of its signer.
#[track_caller]
fn loads(client: &Client, file: &[u8], trust: Trust, signer: PublicKey) -> Verdict {
    let loaded = load(client, file)?;
    check!(loaded.status == Status::VINF_SUCCESS, "{}: {}", loaded.status, loaded.message);
    same!((loaded.trust, loaded.signer), (trust.into(), signer));
    same!(client.free_module(loaded.base)?, Status::VINF_SUCCESS);
    Ok(())
}

/// The file is refused, and leaves nothing.
#[track_caller]
fn cannot_load(client: &Client, file: &[u8], refusal: Refusal) -> Verdict {
    let before = client.totals()?;
    let refused = load(client, file)?;
    same!(refused.status, refusal.status(), "{refusal:?}: {}", refused.message);
    let sentence = refusal.to_string();
    check!(refused.message.starts_with(&sentence), "no '{sentence}' in: {}", refused.message);
    same!(client.totals()?, before);
    Ok(())
}

fn stranger() -> SigningKey {
    SigningKey::from_secret(&[0x5a; 32])
}

const NOBODY: PublicKey = PublicKey([0; 32]);

fn policy_is_told(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let (demand, keys) = policy(&client)?;
    let told = backend.open()?.module_policy()?;
    same!((told.demand, &told.keys), (demand, &keys));
    if backend.kind() == sup::backend::Kind::Kernel {
        same!(demand, ModuleDemand::KernelGrade);
        check!(keys.contains(&key().public()), "the guest's driver does not trust the tests' key");
    }
    Ok(())
}

fn signature_names_its_signer(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let (_, keys) = policy(&client)?;
    let signer = key().public();
    let trust = if keys.contains(&signer) { Trust::Trusted } else { Trust::Unknown };
    loads(&client, &signed(HELLO.image, HELLO.name), trust, signer)
}

fn signed_and_unsigned_are_one_module(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let first = load(&client, &signed(HELLO.image, HELLO.name))?;
    same!(first.status, Status::VINF_SUCCESS);
    // Another signature of the same: other flags.
    let again = load(&client, &signed_with(HELLO.image, HELLO.name, KERNEL_GRADE))?;
    check!(again.was_loaded && again.base == first.base, "{again:?}");
    if policy(&client)?.0 == ModuleDemand::Nothing {
        let unsigned = load(&client, HELLO.image)?;
        check!(unsigned.was_loaded && unsigned.base == first.base, "{unsigned:?}");
        same!(unsigned.trust, u32::from(Trust::Unsigned));
    } else {
        // To be there already opens no door.
        cannot_load(&client, HELLO.image, Refusal::Missing)?;
    }
    Ok(())
}

fn cannot_load_what_is_not_signed_where_it_must_be(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    match policy(&client)?.0 {
        ModuleDemand::Nothing => loads(&client, HELLO.image, Trust::Unsigned, NOBODY),
        _ => cannot_load(&client, HELLO.image, Refusal::Missing),
    }
}

fn cannot_load_by_an_unknown_key_where_it_must_be_trusted(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let block = stranger().sign(HELLO.image, HELLO.name, KERNEL_GRADE, DriverVersion::CURRENT);
    let file = [HELLO.image, block.as_ref().map_or(&[], |block| block.as_bytes())].concat();
    match policy(&client)?.0 {
        ModuleDemand::Nothing => loads(&client, &file, Trust::Unknown, stranger().public()),
        _ => cannot_load(&client, &file, Refusal::UnknownKey),
    }
}

fn cannot_load_what_is_not_declared_kernel_grade(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let file = signed_with(HELLO.image, HELLO.name, LANDING_PADS);
    match policy(&client)? {
        (ModuleDemand::KernelGrade, _) => cannot_load(&client, &file, Refusal::NotKernelGrade),
        (ModuleDemand::Signature, _) => loads(&client, &file, Trust::Trusted, key().public()),
        (ModuleDemand::Nothing, keys) => {
            let is_trusted = keys.contains(&key().public());
            let trust = if is_trusted { Trust::Trusted } else { Trust::Unknown };
            loads(&client, &file, trust, key().public())
        }
    }
}

fn cannot_load_with_a_signature_that_does_not_hold(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let good = signed(HELLO.image, HELLO.name);
    let content = HELLO.image.len();
    let changed = |position: usize| {
        let mut file = good.clone();
        file[position] ^= 1;
        file
    };
    let newer = DriverVersion(DriverVersion::CURRENT.0 + 1);
    let newer = key().sign(HELLO.image, HELLO.name, KERNEL_GRADE, newer);
    let newer = [HELLO.image, newer.as_ref().map_or(&[], |block| block.as_bytes())].concat();
    for (file, refusal) in [
        (good[..good.len() - 1].to_vec(), Refusal::Truncated),
        (good[..content + 16].to_vec(), Refusal::Truncated),
        // The format, a flag without meaning, what is reserved, the rest of the name.
        (changed(content + 16), Refusal::UnknownFormat),
        (changed(content + 23), Refusal::UnknownFormat),
        (changed(content + 28), Refusal::Malformed),
        (changed(content + 40 + 31), Refusal::Malformed),
        // The name, the signer, the signature.
        (changed(content + 40), Refusal::WrongSignature),
        (changed(content + 104), Refusal::WrongSignature),
        (changed(content + BLOCK_BYTES - 1), Refusal::WrongSignature),
        (changed(content / 2), Refusal::OtherContent),
        ([b"x", &good[..]].concat(), Refusal::OtherContent),
        (signed(HELLO.image, "hallo"), Refusal::OtherName),
        (newer, Refusal::OlderDriver),
    ] {
        cannot_load(&client, &file, refusal)?;
    }
    Ok(())
}
