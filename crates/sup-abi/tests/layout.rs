//! Compares this crate's layout tables with what a C compiler says about the header.
//!
//! `layout.json` is a copy of the file in the shared seed, so that the test also runs where the
//! seed is not at hand; where it is, the two must be identical. The crate itself proves, while it
//! compiles, that its tables tell the truth about its types.
//!
//! If this fails, correct the type and its row in `src/layout.rs`. Never edit `layout.json`: copy it
//! from the seed.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;
use sup_abi::layout::{ENUMS, LAYOUT};

const VENDORED: &str = include_str!("layout.json");

/// The seed's file, seen from this crate's folder.
const SEED: &str = "../../../shared/seed/layout.json";

/// What is listed, as lines like `SUPPAGE.Phys` with their numbers as text, so that a difference
/// can be shown as it is.
type Facts = BTreeMap<String, String>;

fn facts_of_c() -> Facts {
    let json: Value = serde_json::from_str(VENDORED).expect("layout.json is valid JSON");
    let mut facts = Facts::new();
    for (name, layout) in json["structs"].as_object().expect("structs is an object") {
        facts.insert(name.clone(), format!("{} bytes", layout["size"]));
        for (member, place) in layout["members"].as_object().expect("members is an object") {
            let fact = format!("{} bytes at {}", place["size"], place["offset"]);
            facts.insert(format!("{name}.{member}"), fact);
        }
    }
    for (name, values) in json["enums"].as_object().expect("enums is an object") {
        for (value, number) in values.as_object().expect("an enumeration is an object") {
            facts.insert(format!("{name}::{value}"), number.to_string());
        }
    }
    facts
}

fn facts_of_rust() -> Facts {
    let mut facts = Facts::new();
    let mut add = |name: String, fact: String| {
        assert!(facts.insert(name.clone(), fact).is_none(), "{name} is listed twice");
    };
    for layout in LAYOUT {
        add(layout.name.to_string(), format!("{} bytes", layout.size));
        for member in layout.members {
            let fact = format!("{} bytes at {}", member.size, member.offset);
            add(format!("{}.{}", layout.name, member.name), fact);
        }
    }
    for layout in ENUMS {
        for (value, number) in layout.values {
            add(format!("{}::{value}", layout.name), number.to_string());
        }
    }
    facts
}

#[test]
fn layout_is_that_of_the_c_compiler() {
    let (c, rust) = (facts_of_c(), facts_of_rust());
    let mut differences = Vec::new();
    for (name, fact) in &c {
        match rust.get(name) {
            None => differences.push(format!("{name}: {fact} in C, missing in Rust")),
            Some(ours) if ours != fact => {
                differences.push(format!("{name}: {fact} in C, {ours} in Rust"));
            }
            Some(_) => {}
        }
    }
    for name in rust.keys().filter(|name| !c.contains_key(*name)) {
        differences.push(format!("{name}: unknown in C"));
    }
    assert!(differences.is_empty(), "\n{}", differences.join("\n"));
    assert!(c.len() > 150, "layout.json lists only {} facts: is it complete?", c.len());
}

#[test]
fn vendored_list_is_the_seeds() {
    let seed = Path::new(env!("CARGO_MANIFEST_DIR")).join(SEED);
    match fs::read_to_string(&seed) {
        Ok(text) => assert!(text == VENDORED, "layout.json differs from {}", seed.display()),
        // Outside of the team's machines there is no seed to compare with.
        Err(error) => assert!(!seed.exists(), "{}: {error}", seed.display()),
    }
}
