//! The pages of state words that ring 3 shares with the driver.

use std::sync::atomic::Ordering::SeqCst;

use sup::Status;
use sup_abi::PAGE_SIZE;
use sup_abi::request::{
    SemaphoreKind, SemaphoreOperation, SemaphoreWords, SemaphoreWordsIn, SemaphoreWordsOut,
};
use sup_core::host::WORDS_PER_PAGE;

use crate::backend::{Backend, Feature};
use crate::case::{Stop, Verdict, cases, check, same};
use crate::client::Client;
use crate::process::{protection, with_little_address_space};

cases! { Semaphores {
    words_are_mapped_once:
        "A page of state words is mapped at one address for as long as the session is open, shared \
         and never executable (spec 3.1, our own).",
    cannot_map_words_that_nobody_uses:
        "A page of state words exists only once a handle has its word there (spec 3.1, our own).",
    cannot_map_words_without_address_space:
        "Without address space a page of words is VERR_MAP_FAILED, and can be mapped later (spec \
         3.1, our own).",
    words_are_the_sessions_own:
        "Two sessions share no state word (spec 3.1, our own).",
}}

/// The answer for a page of words.
fn words(client: &Client, page: u32) -> Verdict<(Status, Option<SemaphoreWordsOut>)> {
    client.call::<SemaphoreWords>(&SemaphoreWordsIn { page, reserved: 0 })
}

fn words_are_mapped_once(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    client.create(SemaphoreKind::Event)?;
    let (status, first) = words(&client, 0)?;
    same!(status, Status::VINF_SUCCESS);
    same!(words(&client, 0)?.1, first);
    let address = first.map_or(0, |output| output.r3.get());
    check!(address != 0 && address.is_multiple_of(PAGE_SIZE as u64), "{address:#x}");
    let access = protection(address)?.unwrap_or_default();
    check!(access.starts_with("rw-"), "the words are mapped {access}");
    Ok(())
}

fn cannot_map_words_that_nobody_uses(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    for page in [0, 1, 63, 64, u32::MAX] {
        same!(words(&client, page)?, (Status::VERR_INVALID_PARAMETER, None), "page {page}");
    }
    for _ in 0..=WORDS_PER_PAGE {
        client.create(SemaphoreKind::EventMulti)?;
    }
    same!(words(&client, 1)?.0, Status::VINF_SUCCESS);
    same!(words(&client, 2)?.0, Status::VERR_INVALID_PARAMETER);
    let malformed = client.packet::<SemaphoreWords>(&SemaphoreWordsIn { page: 0, reserved: 1 });
    client.refused(&malformed, Status::VERR_INVALID_PARAMETER, "with a reserved field")
}

fn cannot_map_words_without_address_space(backend: &dyn Backend) -> Verdict {
    if backend.can(Feature::InProcess) {
        let reason = "the words are the driver's own memory, which this process has already";
        return Err(Stop::Skipped(reason.to_owned()));
    }
    let client = Client::connect(backend)?;
    client.create(SemaphoreKind::Event)?;
    let refused = with_little_address_space(0, || words(&client, 0))?;
    same!(refused, (Status::VERR_MAP_FAILED, None));
    same!(words(&client, 0)?.0, Status::VINF_SUCCESS);
    Ok(())
}

fn words_are_the_sessions_own(backend: &dyn Backend) -> Verdict {
    let (one, other) = (Client::connect(backend)?, Client::connect(backend)?);
    let kind = SemaphoreKind::Event;
    let handle = one.create(kind)?;
    same!(other.create(kind)?, handle);
    let before = other.with_state_word(handle, |word| word.load(SeqCst))?;
    same!(one.operate(kind, handle, SemaphoreOperation::Signal, 0)?, Status::VINF_SUCCESS);
    same!(other.with_state_word(handle, |word| word.load(SeqCst))?, before);
    Ok(())
}
