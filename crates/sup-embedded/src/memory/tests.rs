//! The mappings of blocks: that there may be many, and that none is lost sight of.

use std::fs;
use std::process::Command;

use super::*;

const ONE: Allocation =
    Allocation { pages: Pages::new(1), placement: Placement::Anywhere, views: Views::User };

fn mappings() -> usize {
    fs::read_to_string("/proc/self/maps").unwrap().lines().count()
}

fn address(block: &Block) -> u64 {
    block.user_address().get()
}

/// Where the block is in the file.
fn start(block: &Block) -> u64 {
    match &block.source {
        Source::Run(run) => run.start,
        Source::Locked(_) => unreachable!("the block was allocated"),
    }
}

#[test]
fn many_blocks_of_ring_3_take_few_mappings() {
    let memory = Arc::new(PhysicalMemory::new().unwrap());
    let before = mappings();
    let blocks: Vec<_> = (0..500).map(|_| memory.allocate(ONE).unwrap()).collect();
    // Other threads of a test may map something between two blocks.
    assert!(mappings() < before + 100, "{} mappings before, {} now", before, mappings());
    drop(blocks);
}

/// Set in the process that runs one test alone.
const ALONE: &str = "SUP_TEST_ALONE";

/// Runs the test of this name in a process of its own, where nobody else maps anything; true there.
fn is_alone(name: &str) -> bool {
    if std::env::var_os(ALONE).is_some() {
        return true;
    }
    let mut child = Command::new(std::env::current_exe().unwrap());
    let status = child.args(["--exact", name, "--nocapture"]).env(ALONE, "1").status().unwrap();
    assert!(status.success(), "{name} in a process of its own: {status}");
    false
}

#[test]
fn cannot_use_pages_again_that_are_still_mapped() {
    if !is_alone("memory::tests::cannot_use_pages_again_that_are_still_mapped") {
        return;
    }
    let memory = Arc::new(PhysicalMemory::new().unwrap());
    let page = PAGE_SIZE as u64;
    // What else the process maps (a sanitizer's own memory, say) may come between two of them.
    let mut blocks: Vec<_> = (0..64).map(|_| memory.allocate(ONE).unwrap()).collect();
    let is_joined = |pair: &[Block]| address(&pair[0]) == address(&pair[1]) + page;
    let first = blocks.windows(3).position(|three| three.windows(2).all(is_joined));
    let first = first.expect("three neighbours that the kernel joins");
    let [_above, middle, below] = [(); 3].map(|()| blocks.remove(first));
    // As many mappings as the process may have, so that none can be cut in two.
    let most = fs::read_to_string("/proc/sys/vm/max_map_count").unwrap();
    let mut full = Vec::with_capacity(most.trim().parse().unwrap());
    while let Ok(mapping) = Mapping::shared(memory.file.as_fd(), 0, PAGE_SIZE, Access::Read) {
        full.push(mapping);
    }
    let taken = start(&middle);
    drop(middle);
    drop(full);
    let next = memory.allocate(ONE).unwrap();
    assert_ne!(start(&next), taken, "the old view would show what the new block holds");
    drop(below);
    let next = memory.allocate(ONE).unwrap();
    assert_eq!(start(&next), taken - page, "a block without a view is used again");
}
