//! The mappings of blocks: that there may be many, and that none is lost sight of.

use std::fs;

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

#[test]
fn cannot_use_pages_again_that_are_still_mapped() {
    let memory = Arc::new(PhysicalMemory::new().unwrap());
    let [above, middle, below] = [(); 3].map(|()| memory.allocate(ONE).unwrap());
    let page = PAGE_SIZE as u64;
    assert_eq!(
        [address(&above), address(&middle)].map(|address| address - page),
        [address(&middle), address(&below)],
        "the test needs blocks that the kernel joins"
    );
    // As many mappings as the process may have, so that none can be cut in two. The next test has a
    // process of its own.
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
