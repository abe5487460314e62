//! Finding one symbol among ten thousand, in the image and through a request, beside the system's loader.

use std::ffi::CString;
use std::fs;
use std::hint::black_box;

use anyhow::{Context, Result, ensure};

use crate::figure::{Figure, Goal};
use crate::measure::{Pair, compare, each};
use crate::suites::open_session;
use crate::suites::shared_object::ObjectFile;

const NAME: &str = "symbols";
const IMAGE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/symbols.r0"));
const SHARED_OBJECT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/symbols.so"));

/// As many as `build.rs` makes.
const COUNT: usize = 10_000;

/// A step that visits all symbols in an order that no cache foresees.
const STEP: usize = 7_919;

pub(super) fn figures() -> Result<Vec<Figure>> {
    let folder = tempfile::tempdir().context("cannot make a folder for the module's files")?;
    let object_path = folder.path().join("symbols.so");
    fs::write(&object_path, SHARED_OBJECT)?;
    let object = ObjectFile::new(&object_path)?.open()?;
    let module = open_session()?.load_image(IMAGE, NAME, "")?;

    let names: Vec<String> = (0..COUNT).map(|index| format!("benchSymbol{index:05}")).collect();
    let terminated = names.iter().map(|name| CString::new(name.as_str()));
    let terminated: Vec<CString> = terminated.collect::<Result<_, _>>()?;
    // Each has its own address, and a name beside them has none.
    let mut addresses: Vec<_> =
        names.iter().map(|name| module.symbol(name)).collect::<Result<_, _>>()?;
    addresses.sort_unstable();
    addresses.dedup();
    ensure!(addresses.len() == COUNT, "{} addresses for {COUNT} symbols", addresses.len());
    ensure!(module.symbol("benchSymbol").is_err(), "a symbol that is not there was found");

    let mut ours = (0..COUNT).cycle().map(|index| &names[index * STEP % COUNT]);
    let mut theirs = (0..COUNT).cycle().map(|index| &terminated[index * STEP % COUNT]);
    let pair = compare(
        each(|| -> Result<()> {
            let name = ours.next().context("the names never end")?;
            black_box(module.symbol(black_box(name))?);
            Ok(())
        }),
        each(|| -> Result<()> {
            let name = theirs.next().context("the names never end")?;
            black_box(object.symbol(black_box(name)).context("dlsym found nothing")?);
            Ok(())
        }),
    )?;
    Ok(vec![figure("look-up among 10 000 symbols", "dlsym", pair, Some(Goal::Median(200.0)))])
}

fn figure(name: &str, compared_to: &str, pair: Pair, goal: Option<Goal>) -> Figure {
    Figure { name: name.into(), unit: "ns", compared_to: compared_to.into(), pair, goal }
}
