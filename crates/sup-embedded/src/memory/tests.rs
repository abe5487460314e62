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

/// The pages of a block for ring 3, as bytes that nobody else uses.
fn bytes(block: &mut Block) -> &mut [u8] {
    let (start, length) = (address(block) as *mut u8, block.pages().bytes() as usize);
    // SAFETY: the block is mapped there, readable and writable, and borrowed exclusively; ring 0 of a
    // test does nothing.
    unsafe { std::slice::from_raw_parts_mut(start, length) }
}

#[test]
fn pieces_of_a_huge_page_are_contiguous_and_come_back_as_zeros() {
    let memory = Arc::new(PhysicalMemory::new().unwrap());
    let request = Allocation {
        pages: Pages::new(100),
        placement: Placement::ContiguousBelow4GiB,
        views: Views::UserAndKernel,
    };
    let take = || {
        let (file, length) = (memory.file.as_fd(), request.pages.bytes());
        let start = memory.chunks.take(length);
        let start = start.or_else(|| memory.chunks.take_new(file, &memory.low, length))?;
        // Wherever the huge page lies: the promise to be low is not this test's.
        Some(map(Run::new(&memory, start, request.pages, Origin::Chunk), request).unwrap())
    };
    let Some(first) = take() else {
        let is_there = std::path::Path::new("/sys/kernel/mm/transparent_hugepage").exists();
        assert!(!is_there, "the kernel has huge pages, and gave none");
        return;
    };
    let mut blocks = vec![first];
    // Five fit into a huge page.
    blocks.extend((0..9).map(|_| take().unwrap()));
    let mut places: Vec<_> = blocks.iter().map(start).collect();
    places.sort_unstable();
    assert!(places.windows(2).all(|pair| pair[1] - pair[0] >= request.pages.bytes()));
    for block in &mut blocks {
        if let Some(addresses) = &block.machine {
            assert!(addresses.windows(2).all(|pair| pair[0].checked_add(PAGE) == Some(pair[1])));
        }
        assert!(bytes(block).iter().all(|byte| *byte == 0));
        bytes(block).fill(0xa5);
    }
    drop(blocks.split_off(3));
    let mut again = take().unwrap();
    assert!(bytes(&mut again).iter().all(|byte| *byte == 0), "a used piece was not wiped");
    assert!(blocks.iter_mut().all(|block| bytes(block).iter().all(|byte| *byte == 0xa5)));
    drop((blocks, again));
    // One chunk stays, the other's place is free again.
    assert_eq!(memory.low.lock().take(LOW_END - LOW_START, PAGE), None);
    let left = memory.low.lock().take(LOW_END - LOW_START - 2 * HUGE_BYTES, PAGE);
    assert!(left.is_some(), "more than one chunk is kept");
}

#[test]
fn large_blocks_lie_where_huge_pages_can() {
    let memory = Arc::new(PhysicalMemory::new().unwrap());
    let large = Allocation { pages: Pages::new(513), ..ONE };
    let blocks = [memory.allocate(ONE), memory.allocate(large), memory.allocate(ONE)];
    let [_, large, small] = blocks.map(|block| start(&block.unwrap()));
    assert!(large.is_multiple_of(HUGE_BYTES));
    assert!(!small.is_multiple_of(HUGE_BYTES) || small > large);
}
