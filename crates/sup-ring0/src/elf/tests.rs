//! Tests of the image loader: a good image, one test per refusal, and random damage.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test ends at its first surprise"
)]

mod builder;
mod good;
mod hostile;
mod refused;
