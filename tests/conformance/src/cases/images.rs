//! Module images that must be refused: each with its status, a sentence that says why, and no trace.

use sup::Status;
use sup_modules::{HELLO, HELLO_SHARED_OBJECT, hello};

use crate::backend::Backend;
use crate::case::{Stop, Verdict, cases, check, same};
use crate::client::Client;
use crate::images::broken;
use crate::probe::{CONSTRUCTOR, MISSING_IMPORT, NEEDS_LIBRARY, REFUSED_HANDLER, THREAD_LOCAL};

cases! { Images {
    cannot_load_broken_images:
        "An image that breaks a rule is VERR_BAD_EXE_FORMAT, with a sentence that names the rule \
         (spec 6.2).",
    cannot_load_truncated_image:
        "No beginning of an image is an image, whatever its length (spec 6.2).",
    cannot_load_thread_local_storage: "Thread-local variables are refused (spec 6.2).",
    cannot_load_constructors: "Constructors, which nobody would call, are refused (spec 6.2).",
    cannot_load_dependency_on_library:
        "An image that needs a shared library is refused (spec 6.3).",
    cannot_load_missing_import:
        "An import that the driver does not have is VERR_SYMBOL_NOT_FOUND, with its name (spec \
         6.3).",
    cannot_load_ordinary_shared_object: "What an ordinary build makes is no module (spec 6.2).",
    cannot_load_too_large_file:
        "A file beyond the limit is VERR_BAD_EXE_FORMAT before anything is sent (spec 6.4).",
    spoiled_images_do_no_harm:
        "A wrong byte anywhere in the tables of an image does no harm (spec 11.4).",
}}

/// The image is refused, says why, and leaves nothing.
#[track_caller]
fn refused(client: &Client, image: &[u8], what: &str, status: Status, word: &str) -> Verdict {
    let before = client.totals()?;
    let load = client.try_load(image, "broken", "")?;
    same!(load.status, status, "{what} ({})", load.message);
    check!(load.message.contains(word), "{what}: no '{word}' in: {}", load.message);
    same!(client.totals()?, before, "{what}: counts");
    same!(client.call_service("broken", 0, 0, &mut [])?, Status::VERR_SUPDRV_SERVICE_NOT_FOUND);
    Ok(())
}

fn cannot_load_broken_images(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    for (what, image, word) in broken() {
        refused(&client, &image, what, Status::VERR_BAD_EXE_FORMAT, word)?;
    }
    // The last refusal was not the name's fault.
    client.load(HELLO.image, "broken", hello::SERVICE_HANDLER)?;
    Ok(())
}

fn cannot_load_truncated_image(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let contents = contents_end();
    let lengths = [1, 3, 4, 16, 52, 63, 64, 65, 119, 120, 400, 1000, 4095, 4096, 4097, 8192];
    for length in lengths.into_iter().chain([contents / 2, contents - 1]) {
        let image = HELLO.image.get(..length.min(contents - 1)).unwrap_or_default();
        let what = format!("{length} of {} bytes", HELLO.image.len());
        refused(&client, image, &what, Status::VERR_BAD_EXE_FORMAT, "")?;
    }
    Ok(())
}

/// The end of the last segment in the file; what follows is for debuggers.
fn contents_end() -> usize {
    let number = |offset: usize, size: usize| {
        let bytes = &HELLO.image[offset..offset + size];
        bytes.iter().rev().fold(0, |value, byte| value << 8 | usize::from(*byte))
    };
    let headers = (0..number(56, 2)).map(|index| 64 + index * 56);
    let loads = headers.filter(|header| number(*header, 4) == 1);
    loads.map(|header| number(header + 8, 8) + number(header + 32, 8)).max().unwrap_or(0)
}

fn cannot_load_thread_local_storage(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    refused(&client, THREAD_LOCAL, "TLS", Status::VERR_BAD_EXE_FORMAT, "thread-local")
}

fn cannot_load_constructors(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    refused(&client, CONSTRUCTOR, "a constructor", Status::VERR_BAD_EXE_FORMAT, "constructors")
}

fn cannot_load_dependency_on_library(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    refused(
        &client,
        NEEDS_LIBRARY,
        "a library",
        Status::VERR_BAD_EXE_FORMAT,
        "the image needs libc",
    )
}

fn cannot_load_missing_import(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let (status, name) = (Status::VERR_SYMBOL_NOT_FOUND, "SUPR0NobodyHasThis");
    refused(&client, MISSING_IMPORT, "a missing import", status, name)?;
    same!(client.try_load(MISSING_IMPORT, "broken", REFUSED_HANDLER)?.status, status);
    Ok(())
}

fn cannot_load_ordinary_shared_object(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    refused(&client, HELLO_SHARED_OBJECT, "an ordinary one", Status::VERR_BAD_EXE_FORMAT, "image")
}

fn cannot_load_too_large_file(backend: &dyn Backend) -> Verdict {
    let session = backend.open()?;
    let image = vec![0; sup_abi::IMAGE_BYTES_MAX as usize + 1];
    match session.load_image(&image, "large", "") {
        Err(error) => {
            same!(error.status(), Status::VERR_BAD_EXE_FORMAT);
            check!(error.to_string().contains("are the most"), "{error}");
            Ok(())
        }
        Ok(_) => Err(Stop::failed("it was loaded")),
    }
}

fn spoiled_images_do_no_harm(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let before = client.totals()?;
    // The file header, the program headers and the tables of the first page; nothing here is code.
    for position in (0..0x600.min(HELLO.image.len())).step_by(3) {
        let mut image = HELLO.image.to_vec();
        image[position] ^= 0xff;
        // A name or an entry that nobody reads may well be anything. ModuleInit must stay what it is,
        // so images that could still be loaded are not.
        let packet = client.load_packet(&image, "spoiled", "nobody has this handler")?;
        let status = client.exchange(&packet)?.status();
        check!(status.is_failure(), "byte {position:#x}: {status}");
    }
    same!(client.totals()?, before);
    Ok(())
}
