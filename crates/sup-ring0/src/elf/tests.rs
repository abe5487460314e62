//! Tests of the image loader: a good image, one test per refusal, and random damage.

#![expect(clippy::arithmetic_side_effects, reason = "a test may fail by panicking")]

mod builder;
mod fields;
mod good;
mod hostile;
mod refused_headers;
mod refused_tables;

use std::string::{String, ToString};

use sup_abi::Status;

use self::builder::Image;
use super::{Elf, ElfError};

/// Why the image is refused after a change.
fn refused(change: impl FnOnce(&mut Image)) -> ElfError {
    let mut image = Image::good();
    change(&mut image);
    let error = Elf::parse(&image.bytes).expect_err("the image is refused");
    assert_eq!(error.status(), Status::VERR_BAD_EXE_FORMAT);
    error
}

fn refused_text(change: impl FnOnce(&mut Image)) -> String {
    refused(change).to_string()
}
