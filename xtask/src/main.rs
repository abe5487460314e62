//! Build, test and measure supdrv: one entry for everything but cargo run.
fn main() {}
