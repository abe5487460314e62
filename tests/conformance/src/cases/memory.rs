//! Pages that both rings share: `LowAlloc`, `PageAllocEx`, `ContAlloc` and their counterparts.

use std::collections::HashSet;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::atomic::Ordering;

use sup::{PAGE_SIZE, PageMemory, PhysAddr, RingZeroView, Status};
use sup_abi::R3Ptr;
use sup_abi::request::{
    AddressIn, ContAlloc, ContFree, HEADER_BYTES, LowAlloc, LowFree, MEMORY_SYNTHETIC_PHYS,
    PageAllocEx, PageAllocExIn, PageCountIn, PageFree, Request,
};
use zerocopy::{FromBytes, IntoBytes};

use crate::backend::Backend;
use crate::case::{Stop, Verdict, cases, check, same};
use crate::client::Client;
use crate::probe::{OWN, Probe, op};
use crate::process::{protection, with_little_memory};

cases! { Memory {
    blocks_are_page_aligned_and_low:
        "Addresses are page aligned and distinct, those of low and contiguous memory below 4 GiB \
         (spec 4.1, 4.7, 4.8).",
    contiguous_memory_is_one_run:
        "ContAlloc gives one run of addresses that ends below 4 GiB (spec 4.8).",
    machine_addresses_are_those_of_the_pages:
        "What is said to be the machine's address is where the system has the page; contiguous memory \
         has such addresses where low memory does (spec 4.8).",
    every_count_from_1_to_127_works: "LowAlloc serves every number of pages (spec 4.13).",
    many_contiguous_blocks_coexist:
        "128 blocks of 1 + i % 11 contiguous pages live side by side and go in order (spec 4.13).",
    cannot_allocate_no_page: "A count of zero is VERR_PAGE_COUNT_OUT_OF_RANGE (spec 4.2).",
    cannot_allocate_256_low_pages: "Low and contiguous memory end at 255 pages (spec 4.2).",
    cannot_allocate_65537_pages: "PageAllocEx ends at 65536 pages, and has as many (spec 4.2).",
    contents_survive: "What is written stays until the block is freed (spec 4.13).",
    memory_is_zero:
        "Every page is zero when it is given out, also one that was used before (spec 4.12).",
    memory_is_not_executable: "Blocks are mapped readable and writable, not executable (spec 4.1).",
    freed_memory_is_unmapped:
        "Freeing takes the mapping away, and closing the session too (spec 4.1).",
    ring_zero_has_an_address_of_its_own:
        "Low and contiguous memory have a ring-0 address, pages if asked for (spec 4.4, 4.7, 4.8).",
    both_rings_see_the_same_bytes: "What one ring writes the other one reads (spec 4.4).",
    memory_can_be_freed_by_its_ring_zero_address:
        "The free requests find a block by either address (spec 4.1).",
    cannot_free_twice: "The second free of a block is VERR_INVALID_PARAMETER (spec 4.1).",
    cannot_free_under_another_service:
        "A block goes back to the service that it came from (spec 4.1).",
    cannot_free_interior_address: "Only the start of a block names it (spec 4.1).",
    cannot_free_what_was_never_allocated:
        "NIL and wild addresses are VERR_INVALID_PARAMETER (spec 4.1).",
    cannot_free_block_of_another_session: "Blocks belong to their session (spec 4.1).",
    memory_is_counted: "Statistics count blocks and pages, of the session and of all (spec 4.12).",
    cannot_allocate_more_than_there_is:
        "Without memory each service answers its own status, and nothing is left (spec 4.2).",
    threads_allocate_at_once: "Threads of one session allocate and free concurrently (spec 4.1).",
    pages_of_ring_three_need_no_driver:
        "PageAlloc gives zeroed writable pages, of 1 and of 1023 (spec 4.3).",
}}

/// A service that gives memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Service {
    Low,
    Cont,
    Page,
    /// Pages with a ring-0 address.
    PageBoth,
}

const ALL: [Service; 4] = [Service::Low, Service::Cont, Service::Page, Service::PageBoth];

#[derive(Debug)]
struct Block {
    service: Service,
    r3: u64,
    r0: u64,
    pages: Vec<u64>,
    flags: u32,
}

impl Service {
    fn limit(self) -> u32 {
        match self {
            Self::Low | Self::Cont => 255,
            Self::Page | Self::PageBoth => 65_536,
        }
    }

    fn is_low(self) -> bool {
        matches!(self, Self::Low | Self::Cont)
    }

    fn try_allocate(self, client: &Client, pages: u32) -> Verdict<Result<Block, Status>> {
        let count = PageCountIn { pages, reserved: 0 };
        let kernel_mapping = u8::from(self == Self::PageBoth);
        let flags = PageAllocExIn { pages, kernel_mapping, user_mapping: 1, reserved: [0; 2] };
        let (packet, bytes_out) = match self {
            Self::Low => (client.packet::<LowAlloc>(&count), LowAlloc::BYTES_OUT),
            Self::Page | Self::PageBoth => {
                (client.packet::<PageAllocEx>(&flags), PageAllocEx::BYTES_OUT)
            }
            Self::Cont => return allocate_contiguous(client, pages),
        };
        let size = bytes_out + pages as usize * size_of::<PhysAddr>();
        let answer = client.exchange(&packet.with_bytes_out(size))?;
        if answer.status().is_failure() {
            return Ok(Err(answer.status()));
        }
        same!(answer.body.len() + HEADER_BYTES, size, "bytes answered");
        let output = answer.output::<LowAlloc>().ok_or_else(|| Stop::failed("no output"))?;
        same!(output.reserved, 0);
        let tail = &answer.body[bytes_out - HEADER_BYTES..];
        let words = tail.chunks_exact(size_of::<PhysAddr>());
        let pages = words.filter_map(|word| u64::read_from_bytes(word).ok()).collect();
        let (r3, r0, flags) = (output.r3.get(), output.r0.get(), output.flags);
        Ok(Ok(Block { service: self, r3, r0, pages, flags }))
    }

    #[track_caller]
    fn allocate(self, client: &Client, pages: u32) -> Verdict<Block> {
        self.try_allocate(client, pages)?
            .map_err(|status| Stop::failed(format_args!("{self:?}, {pages} pages: {status}")))
    }

    #[track_caller]
    fn free(self, client: &Client, address: u64) -> Verdict<Status> {
        let input = AddressIn { r3: R3Ptr::new(address) };
        let (status, _) = match self {
            Self::Low => client.call::<LowFree>(&input)?,
            Self::Cont => client.call::<ContFree>(&input)?,
            Self::Page | Self::PageBoth => client.call::<PageFree>(&input)?,
        };
        Ok(status)
    }
}

fn allocate_contiguous(client: &Client, pages: u32) -> Verdict<Result<Block, Status>> {
    let answer = client.call::<ContAlloc>(&PageCountIn { pages, reserved: 0 })?;
    let (Status::VINF_SUCCESS, Some(output)) = answer else { return Ok(Err(answer.0)) };
    same!(output.reserved, 0);
    let (r3, r0, flags) = (output.r3.get(), output.r0.get(), output.flags);
    let first = output.phys.get();
    let pages = (0..u64::from(pages)).map(|page| first + page * PAGE_SIZE as u64).collect();
    Ok(Ok(Block { service: Service::Cont, r3, r0, pages, flags }))
}

impl Block {
    #[track_caller]
    fn free(&self, client: &Client) -> Verdict {
        same!(self.service.free(client, self.r3)?, Status::VINF_SUCCESS);
        Ok(())
    }
}

/// One block of each of three services.
pub(super) fn allocate_some(client: &Client, pages: u32) -> Verdict {
    for service in [Service::Low, Service::Cont, Service::PageBoth] {
        service.allocate(client, pages)?;
    }
    Ok(())
}

fn blocks_are_page_aligned_and_low(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let mut seen = HashSet::new();
    for service in ALL {
        for pages in [1, 2, 7, 128, 255] {
            let block = service.allocate(&client, pages)?;
            same!(block.pages.len(), pages as usize);
            check!(block.r3 != 0 && block.r3.is_multiple_of(PAGE_SIZE as u64), "{:#x}", block.r3);
            same!(block.flags & !MEMORY_SYNTHETIC_PHYS, 0);
            for page in block.pages {
                let limit = if service.is_low() { 1 << 32 } else { 1 << 52 };
                check!(page != 0 && page != PhysAddr::NIL.get() && page < limit, "{page:#x}");
                check!(page.is_multiple_of(PAGE_SIZE as u64), "{page:#x}");
                check!(seen.insert(page), "{page:#x} was given out twice");
            }
        }
    }
    Ok(())
}

fn contiguous_memory_is_one_run(backend: &dyn Backend) -> Verdict {
    let session = backend.open()?;
    for count in [1, 5, 8, 255] {
        let memory = session.contiguous_memory(count)?;
        let pages: Vec<_> = memory.pages().map(PhysAddr::get).collect();
        same!(pages.len(), count as usize);
        check!(pages.windows(2).all(|pair| pair[1] == pair[0] + PAGE_SIZE as u64));
        check!(pages[0] + memory.len() as u64 <= 1 << 32);
    }
    Ok(())
}

fn machine_addresses_are_those_of_the_pages(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let is_machine = |block: &Block| block.flags & MEMORY_SYNTHETIC_PHYS == 0;
    let mut is_shown = [false; 2];
    for (service, pages) in ALL.into_iter().flat_map(|service| [(service, 2), (service, 200)]) {
        let block = service.allocate(&client, pages)?;
        if is_machine(&block) {
            same!(frames(block.r3, pages)?, block.pages, "{service:?}, {pages} pages");
        }
        for (kind, shown) in [Service::Low, Service::Cont].into_iter().zip(&mut is_shown) {
            *shown |= kind == service && pages == 200 && is_machine(&block);
        }
        block.free(&client)?;
    }
    match is_shown {
        [_, true] => Ok(()),
        [false, false] => {
            Err(Stop::Skipped("the machine's memory is not low, or not shown".to_owned()))
        }
        [true, false] => Err(Stop::Skipped("the kernel has no huge page to give".to_owned())),
    }
}

/// Where the system has the pages from `start` on; see the kernel's documentation of pagemap.
fn frames(start: u64, pages: u32) -> Verdict<Vec<u64>> {
    const FRAME: u64 = (1 << 55) - 1;
    let page = PAGE_SIZE as u64;
    let mut entries = vec![0_u64; pages as usize];
    let place = start / page * size_of::<u64>() as u64;
    File::open("/proc/self/pagemap")?.read_exact_at(entries.as_mut_bytes(), place)?;
    Ok(entries.iter().map(|entry| (entry & FRAME) * page).collect())
}

fn every_count_from_1_to_127_works(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    for pages in 1..128 {
        let block = Service::Low.allocate(&client, pages)?;
        same!(block.pages.len(), pages as usize);
        block.free(&client)?;
    }
    same!(client.statistics()?.session.memory_blocks, 0);
    Ok(())
}

fn many_contiguous_blocks_coexist(backend: &dyn Backend) -> Verdict {
    let session = backend.open()?;
    let mut blocks = Vec::new();
    for index in 0..128_u32 {
        let block = session.contiguous_memory(1 + index % 11)?;
        block.words().iter().for_each(|word| word.store(index.into(), Ordering::Relaxed));
        blocks.push(block);
    }
    for (index, block) in blocks.into_iter().enumerate() {
        let is_kept = |word: u64| word == index as u64;
        check!(block.words().iter().all(|word| is_kept(word.load(Ordering::Relaxed))));
    }
    same!(session.statistics()?.session.memory_pages, 0);
    Ok(())
}

#[track_caller]
fn cannot_allocate(client: &Client, service: Service, pages: u32) -> Verdict {
    let result = service.try_allocate(client, pages)?.map(|_| ());
    same!(result, Err(Status::VERR_PAGE_COUNT_OUT_OF_RANGE), "{service:?}, {pages} pages");
    same!(client.statistics()?.session.memory_blocks, 0);
    Ok(())
}

fn cannot_allocate_no_page(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    ALL.into_iter().try_for_each(|service| cannot_allocate(&client, service, 0))
}

fn cannot_allocate_256_low_pages(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    for service in [Service::Low, Service::Cont] {
        service.allocate(&client, service.limit())?.free(&client)?;
        cannot_allocate(&client, service, service.limit() + 1)?;
    }
    cannot_allocate(&client, Service::Cont, u32::MAX)
}

fn cannot_allocate_65537_pages(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    for service in [Service::Page, Service::PageBoth] {
        cannot_allocate(&client, service, service.limit() + 1)?;
    }
    match Service::Page.try_allocate(&client, Service::Page.limit())? {
        Ok(block) => {
            same!(client.statistics()?.session.memory_pages, 65_536);
            block.free(&client)
        }
        Err(Status::VERR_NO_PHYS_MEMORY) => {
            Err(Stop::Skipped("the host has no 256 MiB of memory to lock".to_owned()))
        }
        Err(status) => Err(Stop::failed(status)),
    }
}

fn contents_survive(backend: &dyn Backend) -> Verdict {
    let session = backend.open()?;
    let low = session.low_memory(128)?;
    let contiguous = session.contiguous_memory(8)?;
    let shared = session.shared_pages(300, RingZeroView::Mapped)?;
    let all = || low.words().iter().chain(contiguous.words()).chain(shared.words()).zip(1_u64..);
    all().for_each(|(word, value)| word.store(value.wrapping_mul(0x9e37_79b9), Ordering::Relaxed));
    for (word, value) in all() {
        same!(word.load(Ordering::Relaxed), value.wrapping_mul(0x9e37_79b9));
    }
    Ok(())
}

fn memory_is_zero(backend: &dyn Backend) -> Verdict {
    let session = backend.open()?;
    for _ in 0..3 {
        let low = session.low_memory(33)?;
        let contiguous = session.contiguous_memory(17)?;
        let shared = session.shared_pages(5, RingZeroView::None)?;
        for word in low.words().iter().chain(contiguous.words()).chain(shared.words()) {
            same!(word.swap(u64::MAX, Ordering::Relaxed), 0);
        }
    }
    Ok(())
}

fn memory_is_not_executable(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    for service in ALL {
        let block = service.allocate(&client, 2)?;
        let found = protection(block.r3)?.unwrap_or_default();
        check!(found.starts_with("rw-"), "{service:?}: {found}");
    }
    Ok(())
}

fn freed_memory_is_unmapped(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let mut left = Vec::new();
    for service in ALL {
        let block = service.allocate(&client, 3)?;
        block.free(&client)?;
        same!(protection(block.r3)?, None, "{service:?} after free");
        left.push(service.allocate(&client, 4)?);
    }
    drop(client);
    for block in left {
        same!(protection(block.r3)?, None, "{:?} after close", block.service);
    }
    Ok(())
}

fn ring_zero_has_an_address_of_its_own(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    for service in ALL {
        let block = service.allocate(&client, 2)?;
        same!(block.r0 == 0, service == Service::Page, "{service:?} has no ring-0 address");
        check!(block.r0 != block.r3, "{service:?}: one address for both rings");
        check!(block.r0.is_multiple_of(PAGE_SIZE as u64));
    }
    Ok(())
}

fn both_rings_see_the_same_bytes(backend: &dyn Backend) -> Verdict {
    let session = backend.open()?;
    let client = Client::connect(backend)?;
    let probe = Probe::load(&client)?;
    let low = session.low_memory(3)?;
    let contiguous = session.contiguous_memory(3)?;
    let shared = session.shared_pages(3, RingZeroView::Mapped)?;
    for (words, r0) in [
        (low.words(), low.r0_address()),
        (contiguous.words(), contiguous.r0_address()),
        (shared.words(), shared.r0_address()),
    ] {
        for index in [0, 511, 512, words.len() - 1] {
            let address = r0.get() + 8 * index as u64;
            words[index].store(0x1234_5678, Ordering::SeqCst);
            let (status, numbers) = probe.ask(op::READ, &[OWN, address])?;
            same!((status, numbers[7]), (Status::VINF_SUCCESS, 0x1234_5678));
            same!(probe.status(op::WRITE, &[OWN, address, 0x8765_4321])?, Status::VINF_SUCCESS);
            same!(words[index].load(Ordering::SeqCst), 0x8765_4321);
        }
    }
    Ok(())
}

fn memory_can_be_freed_by_its_ring_zero_address(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    for service in [Service::Low, Service::Cont, Service::PageBoth] {
        let block = service.allocate(&client, 2)?;
        same!(service.free(&client, block.r0)?, Status::VINF_SUCCESS);
        same!(service.free(&client, block.r3)?, Status::VERR_INVALID_PARAMETER);
    }
    same!(client.statistics()?.session.memory_blocks, 0);
    Ok(())
}

fn cannot_free_twice(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    for service in ALL {
        let block = service.allocate(&client, 1)?;
        block.free(&client)?;
        same!(service.free(&client, block.r3)?, Status::VERR_INVALID_PARAMETER, "{service:?}");
    }
    Ok(())
}

fn cannot_free_under_another_service(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    for service in [Service::Low, Service::Cont, Service::Page] {
        let block = service.allocate(&client, 1)?;
        for other in [Service::Low, Service::Cont, Service::Page] {
            if other != service {
                same!(other.free(&client, block.r3)?, Status::VERR_INVALID_PARAMETER);
            }
        }
        block.free(&client)?;
    }
    Ok(())
}

fn cannot_free_interior_address(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    for service in ALL {
        let block = service.allocate(&client, 3)?;
        for offset in [1, 8, PAGE_SIZE as u64, 2 * PAGE_SIZE as u64, 3 * PAGE_SIZE as u64] {
            let status = service.free(&client, block.r3 + offset)?;
            same!(status, Status::VERR_INVALID_PARAMETER, "{service:?} + {offset:#x}");
        }
        block.free(&client)?;
    }
    Ok(())
}

fn cannot_free_what_was_never_allocated(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let on_the_stack = std::ptr::from_ref(&client).addr() as u64;
    for service in ALL {
        // Without a ring-0 address NIL must not name the block.
        let block = service.allocate(&client, 1)?;
        for address in [0, 1, 0x1000, u64::MAX, u64::MAX << 12, on_the_stack] {
            let status = service.free(&client, address)?;
            same!(status, Status::VERR_INVALID_PARAMETER, "{service:?}, {address:#x}");
        }
        block.free(&client)?;
    }
    Ok(())
}

fn cannot_free_block_of_another_session(backend: &dyn Backend) -> Verdict {
    let (first, second) = (Client::connect(backend)?, Client::connect(backend)?);
    for service in ALL {
        let block = service.allocate(&first, 1)?;
        for address in [block.r3, block.r0] {
            same!(service.free(&second, address)?, Status::VERR_INVALID_PARAMETER, "{service:?}");
        }
        block.free(&first)?;
    }
    Ok(())
}

fn memory_is_counted(backend: &dyn Backend) -> Verdict {
    let (first, second) = (Client::connect(backend)?, Client::connect(backend)?);
    let mut blocks = Vec::new();
    let mut pages = 0;
    for (service, count) in ALL.into_iter().zip([1, 10, 100, 200]) {
        blocks.push(service.allocate(&first, count)?);
        pages += u64::from(count);
        let counts = second.statistics()?.driver;
        same!((counts.memory_blocks, counts.memory_pages), (blocks.len() as u64, pages));
    }
    let (own, others) = (first.statistics()?.session, second.statistics()?.session);
    same!((own.memory_blocks, own.memory_pages), (4, 311));
    same!((others.memory_blocks, others.memory_pages), (0, 0));
    blocks.iter().try_for_each(|block| block.free(&first))?;
    same!(second.totals()?, [2, 0, 0, 0, 0, 0]);
    Ok(())
}

fn cannot_allocate_more_than_there_is(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    for (service, expected) in [
        (Service::Low, Status::VERR_NO_LOW_MEMORY),
        (Service::Cont, Status::VERR_NO_CONT_MEMORY),
        (Service::Page, Status::VERR_NO_PHYS_MEMORY),
        (Service::PageBoth, Status::VERR_NO_MEMORY),
    ] {
        let mut blocks = Vec::with_capacity(64);
        let status = with_little_memory(backend, 32 << 20, || {
            while blocks.len() < 64 {
                match service.try_allocate(&client, service.limit())? {
                    Ok(block) => blocks.push(block),
                    Err(status) => return Ok(status),
                }
            }
            Err(Stop::failed("there is memory without end"))
        })?;
        same!(status, expected, "{service:?}");
        same!(client.statistics()?.session.memory_blocks, blocks.len() as u64);
        blocks.iter().try_for_each(|block| block.free(&client))?;
        service.allocate(&client, 1)?.free(&client)?;
    }
    Ok(())
}

fn threads_allocate_at_once(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let work = |service: Service| -> Verdict {
        for pages in 1..40 {
            let blocks = [service.allocate(&client, pages)?, service.allocate(&client, 1)?];
            blocks.iter().try_for_each(|block| block.free(&client))?;
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let threads = ALL.map(|service| scope.spawn(move || work(service)));
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().map_err(|_| Stop::failed("a thread panicked"))?)
    })?;
    same!(client.totals()?, [1, 0, 0, 0, 0, 0]);
    Ok(())
}

fn pages_of_ring_three_need_no_driver(_backend: &dyn Backend) -> Verdict {
    for count in [1, 1023] {
        let mut pages = PageMemory::new(count)?;
        same!(pages.len(), count * PAGE_SIZE);
        check!(pages.as_ptr().addr().is_multiple_of(PAGE_SIZE));
        check!(pages.iter().all(|byte| *byte == 0));
        pages.fill(0x5a);
        check!(pages.iter().all(|byte| *byte == 0x5a));
    }
    let status = PageMemory::new(0).map(|_| ()).map_err(|error| error.status());
    same!(status, Err(Status::VERR_PAGE_COUNT_OUT_OF_RANGE));
    Ok(())
}
