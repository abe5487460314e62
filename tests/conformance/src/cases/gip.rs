//! The Global Information Page: its contents, its mapping, its updates.

use std::sync::atomic::Ordering::{Acquire, Relaxed};
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use sup::{PAGE_SIZE, SUPGIPMODE, Status};
use sup_abi::request::{Empty, GipMap, GipMapOut, GipUnmap, MEMORY_SYNTHETIC_PHYS};
use sup_abi::{
    OFFSET_OF_CPUS, PhysAddr, SUPGIPCPU, SUPGIPCPUSTATE, SUPGLOBALINFOPAGE,
    SUPGLOBALINFOPAGE_MAGIC, SUPGLOBALINFOPAGE_VERSION,
};

use super::semaphores::monotonic_ns;
use crate::backend::Backend;
use crate::case::{Stop, Verdict, cases, check, same};
use crate::client::Client;
use crate::probe::{GIP, GIP_HANDLER, NO_SESSION, OWN, Probe, op};
use crate::process::{protection, with_little_address_space};
use crate::threads::PATIENCE;

cases! { Gip {
    header_is_consistent:
        "Magic, version, mode, frequency, interval and size fit each other (spec 5.1).",
    tables_lead_to_the_processors:
        "Sets, counts and index tables agree with the processors' entries (spec 5.1).",
    transactions_are_even_and_grow_by_two:
        "A consistent read finds an even number, which grows by two with each update (spec 5.4).",
    updates_come_at_their_frequency: "The page is updated as often as it says (spec 5.4).",
    time_follows_the_monotonic_clock: "The page's time is that of the monotonic clock (spec 5.4).",
    time_never_goes_back: "No thread reads a time before one that any thread has read (spec 5.4).",
    mapping_is_read_only: "The page is mapped for reading, all of it (spec 5.3).",
    mapping_twice_is_mapping_once:
        "Every map of a session is the same one, and one unmap undoes them all (spec 5.3).",
    unmapping_nothing_succeeds: "Unmapping what is not mapped is VINF_SUCCESS (spec 5.3).",
    sessions_map_for_themselves:
        "The unmap of one session leaves the mapping of another one (spec 5.3).",
    last_unmap_stops_the_updates:
        "Without a session that has the page mapped nothing is updated, and a new map starts \
         again (spec 5.3).",
    closing_unmaps:
        "A session that is closed gives its mapping and its share of the updates back (spec 2.5).",
    physical_address_is_that_of_a_page:
        "The page's physical address is aligned, not NIL, the same for all (spec 5.3).",
    ring_zero_sees_the_page: "SUPGetGIP gives ring 0 the same page (spec 5.3).",
    ring_zero_names_the_page_as_data:
        "The header's g_pSUPGlobalInfoPage and its g_SUPGlobalInfoPage are what SUPGetGIP answers, and the \
         driver's variable is found by name (spec 6.3, 9.4).",
    ring_zero_maps_for_its_session:
        "SUPR0GipMap answers the mapping of the calling process and the physical address; one \
         SUPR0GipUnmap undoes all maps (spec 5.3).",
    ring_zero_starts_the_updates:
        "SUPR0GipMap without places for addresses still counts the session as a user, once (spec \
         5.3).",
    ring_zero_is_refused_wrong_arguments:
        "SUPR0GipMap checks the session and then its places, and writes nothing if one is wrong \
         (spec 5.3).",
    cannot_map_without_memory:
        "Without address space the map is VERR_MAP_FAILED, and the session works on (spec 5.3).",
}}

/// The page as this process sees it, while the session that mapped it is open.
struct Page<'a> {
    head: &'a SUPGLOBALINFOPAGE,
    cpus: &'a [SUPGIPCPU],
}

fn map(client: &Client) -> Verdict<(Page<'_>, GipMapOut)> {
    let output = client.get::<GipMap>(&Empty {})?;
    let start = output.r3.get() as usize as *const u8;
    check!(!start.is_null() && start.addr().is_multiple_of(PAGE_SIZE), "{start:?}");
    same!(output.reserved, 0);
    // SAFETY: the driver mapped the page there for this session, which stays open as long as the
    // result is borrowed from it; no case unmaps a page that it goes on to read. Whatever changes is
    // atomic.
    let head = unsafe { &*start.cast::<SUPGLOBALINFOPAGE>() };
    // SAFETY: the mapping is longer than the head.
    let first = unsafe { start.add(OFFSET_OF_CPUS) }.cast::<SUPGIPCPU>();
    // SAFETY: the driver's mapping holds `cCpus` entries behind the head, see above.
    let cpus = unsafe { std::slice::from_raw_parts(first, head.cCpus.load(Relaxed).into()) };
    Ok((Page { head, cpus }, output))
}

impl Page<'_> {
    /// The entry that is updated in any mode.
    fn entry(&self) -> Verdict<&SUPGIPCPU> {
        let is_online =
            |cpu: &&SUPGIPCPU| cpu.enmState.load(Acquire) == SUPGIPCPUSTATE::Online.into();
        self.cpus.iter().find(is_online).ok_or_else(|| Stop::failed("no processor is online"))
    }

    /// The number of the last update of [`entry`](Self::entry), read consistently.
    fn transaction(&self) -> Verdict<u32> {
        let entry = self.entry()?;
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            let before = entry.u32TransactionId.load(Acquire);
            let tsc = entry.u64TSC.load(Acquire);
            if before & 1 == 0 && entry.u32TransactionId.load(Acquire) == before && tsc != 0 {
                return Ok(before);
            }
        }
        Err(Stop::failed("the entry never comes to rest"))
    }

    /// Waits for the next update.
    fn next_transaction(&self, last: u32) -> Verdict<u32> {
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            let now = self.transaction()?;
            if now != last {
                return Ok(now);
            }
            std::thread::yield_now();
        }
        Err(Stop::failed("the page is not updated"))
    }
}

fn header_is_consistent(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let (Page { head, .. }, _) = map(&client)?;
    same!(head.u32Magic.load(Acquire), SUPGLOBALINFOPAGE_MAGIC);
    same!(head.u32Version.load(Relaxed), SUPGLOBALINFOPAGE_VERSION);
    let mode = SUPGIPMODE::try_from(head.u32Mode.load(Relaxed));
    check!(matches!(mode, Ok(SUPGIPMODE::SyncTsc | SUPGIPMODE::AsyncTsc)), "{mode:?}");
    let (hz, interval) = (head.u32UpdateHz.load(Relaxed), head.u32UpdateIntervalNS.load(Relaxed));
    check!((30..=2000).contains(&hz), "{hz} Hz");
    check!(interval.abs_diff(1_000_000_000 / hz) <= interval / 50, "{interval} ns at {hz} Hz");
    let cpus = usize::from(head.cCpus.load(Relaxed));
    check!((1..=256).contains(&cpus), "{cpus} processors");
    let bytes = OFFSET_OF_CPUS + cpus * size_of::<SUPGIPCPU>();
    same!(usize::from(head.cPages.load(Relaxed)), bytes.div_ceil(PAGE_SIZE));
    Ok(())
}

fn tables_lead_to_the_processors(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let (page, _) = map(&client)?;
    let head = page.head;
    let mut online = 0;
    for (index, cpu) in page.cpus.iter().enumerate() {
        if cpu.enmState.load(Acquire) != SUPGIPCPUSTATE::Online.into() {
            continue;
        }
        online += 1;
        let set_index = usize::try_from(cpu.iCpuSet.load(Relaxed))?;
        let from_set = head.aiCpuFromCpuSetIdx[set_index].load(Relaxed);
        same!(usize::from(from_set), index, "entry of set index {set_index}");
        let apic = usize::from(cpu.idApic.load(Relaxed));
        if let Some(from_apic) = head.aiCpuFromApicId.get(apic) {
            same!(usize::from(from_apic.load(Relaxed)), index, "entry of APIC id {apic}");
        }
        let id = cpu.idCpu.load(Relaxed);
        check!(id <= head.idCpuMax.load(Relaxed), "processor {id}");
    }
    same!(head.cOnlineCpus.load(Relaxed), online);
    check!(head.cPresentCpus.load(Relaxed) >= online);
    check!(head.cPossibleCpus.load(Relaxed) >= online);
    let unknown = head.aiCpuFromCpuSetIdx.iter().filter(|entry| entry.load(Relaxed) == 0xffff);
    same!(unknown.count(), head.aiCpuFromCpuSetIdx.len() - usize::from(online));
    Ok(())
}

fn transactions_are_even_and_grow_by_two(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let (page, _) = map(&client)?;
    let mut last = page.transaction()?;
    let mut single_steps = 0;
    // A reader that is held up misses updates, but not each time.
    for _ in 0..200 {
        let next = page.next_transaction(last)?;
        same!(next & 1, 0);
        single_steps += u32::from(next == last.wrapping_add(2));
        if single_steps == 5 {
            return Ok(());
        }
        last = next;
    }
    Err(Stop::failed(format_args!("only {single_steps} of 200 steps were by two")))
}

fn updates_come_at_their_frequency(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let (page, _) = map(&client)?;
    let (first, start) = (page.transaction()?, Instant::now());
    sleep(Duration::from_millis(200));
    let updates = f64::from(page.transaction()?.wrapping_sub(first) / 2);
    let expected = start.elapsed().as_secs_f64() * f64::from(page.head.u32UpdateHz.load(Relaxed));
    // Generous: a busy machine delays them.
    check!((expected * 0.2..expected * 1.5 + 2.0).contains(&updates), "{updates}, not {expected}");
    same!(page.entry()?.cErrors.load(Relaxed), 0, "errors");
    Ok(())
}

fn time_follows_the_monotonic_clock(backend: &dyn Backend) -> Verdict {
    let gip = backend.open()?.gip()?;
    sleep(Duration::from_millis(30));
    let mut best = u64::MAX;
    for _ in 0..1000 {
        let (before, now, after) = (monotonic_ns(), gip.now_ns(), monotonic_ns());
        best = best.min(now.abs_diff(before / 2 + after / 2));
    }
    // The best of many: a reader can be held up between two clocks.
    check!(best < 1_000_000, "{best} ns off");
    Ok(())
}

fn time_never_goes_back(backend: &dyn Backend) -> Verdict {
    use std::sync::atomic::{AtomicU64, Ordering};
    let gip = backend.open()?.gip()?;
    let latest = AtomicU64::new(0);
    let read = || -> Verdict {
        for _ in 0..50_000 {
            let known = latest.load(Ordering::SeqCst);
            let now = gip.now_ns();
            check!(now >= known, "{now} after {known}");
            latest.fetch_max(now, Ordering::SeqCst);
        }
        Ok(())
    };
    scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(read)).collect();
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().map_err(|_| Stop::failed("a thread panicked"))?)
    })
}

fn mapping_is_read_only(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let (page, output) = map(&client)?;
    for number in 0..u64::from(page.head.cPages.load(Relaxed)) {
        let found = protection(output.r3.get() + number * PAGE_SIZE as u64)?.unwrap_or_default();
        check!(found.starts_with("r--"), "page {number}: {found}");
    }
    Ok(())
}

fn mapping_twice_is_mapping_once(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let first = client.get::<GipMap>(&Empty {})?;
    let second = client.get::<GipMap>(&Empty {})?;
    same!((first.r3, first.phys, first.flags), (second.r3, second.phys, second.flags));
    client.get::<GipUnmap>(&Empty {})?;
    same!(protection(first.r3.get())?, None);
    client.get::<GipMap>(&Empty {})?;
    Ok(())
}

fn unmapping_nothing_succeeds(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    for _ in 0..3 {
        same!(client.call::<GipUnmap>(&Empty {})?.0, Status::VINF_SUCCESS);
    }
    let (page, _) = map(&client)?;
    page.next_transaction(page.transaction()?)?;
    Ok(())
}

fn sessions_map_for_themselves(backend: &dyn Backend) -> Verdict {
    let (first, second) = (Client::connect(backend)?, Client::connect(backend)?);
    first.get::<GipMap>(&Empty {})?;
    let (page, _) = map(&second)?;
    for _ in 0..2 {
        first.get::<GipUnmap>(&Empty {})?;
        page.next_transaction(page.transaction()?)?;
    }
    drop(first);
    page.next_transaction(page.transaction()?)?;
    Ok(())
}

/// The number of the last update, as ring 0 sees it.
fn seen_by_ring_zero(probe: &Probe<'_>) -> Verdict<u64> {
    Ok(probe.ask(op::FACTS, &[])?.1[3])
}

/// Nothing is updated any more, but for an update that was under way.
#[track_caller]
fn stands_still(probe: &Probe<'_>) -> Verdict {
    let before = seen_by_ring_zero(probe)?;
    sleep(Duration::from_millis(60));
    same!(seen_by_ring_zero(probe)?, before, "the number of the last update");
    Ok(())
}

fn last_unmap_stops_the_updates(backend: &dyn Backend) -> Verdict {
    let (first, second) = (Client::connect(backend)?, Client::connect(backend)?);
    let probe = Probe::load(&first)?;
    for _ in 0..2 {
        stands_still(&probe)?;
        let (page, _) = map(&first)?;
        second.get::<GipMap>(&Empty {})?;
        second.get::<GipUnmap>(&Empty {})?;
        let running = page.transaction()?;
        page.next_transaction(running)?;
        first.get::<GipUnmap>(&Empty {})?;
        let stopped = seen_by_ring_zero(&probe)?;
        check!(stopped > u64::from(running), "{stopped} after {running}");
    }
    stands_still(&probe)
}

fn closing_unmaps(backend: &dyn Backend) -> Verdict {
    let (first, second) = (Client::connect(backend)?, Client::connect(backend)?);
    let probe = Probe::load(&first)?;
    let address = second.get::<GipMap>(&Empty {})?.r3.get();
    check!(protection(address)?.is_some());
    drop(second);
    same!(protection(address)?, None);
    stands_still(&probe)
}

fn physical_address_is_that_of_a_page(backend: &dyn Backend) -> Verdict {
    let (first, second) = (Client::connect(backend)?, Client::connect(backend)?);
    let (one, two) = (first.get::<GipMap>(&Empty {})?, second.get::<GipMap>(&Empty {})?);
    same!(one.phys, two.phys);
    let phys = one.phys.get();
    check!(phys != 0 && phys < 1 << 52 && phys.is_multiple_of(PAGE_SIZE as u64), "{phys:#x}");
    same!(one.flags & !MEMORY_SYNTHETIC_PHYS, 0);
    Ok(())
}

fn ring_zero_sees_the_page(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let probe = Probe::load(&client)?;
    let (page, _) = map(&client)?;
    let (_, facts) = probe.ask(op::FACTS, &[])?;
    same!(facts[7], u64::from(SUPGLOBALINFOPAGE_MAGIC));
    let of_first = u64::from(page.cpus[0].u32TransactionId.load(Acquire));
    check!(facts[3].abs_diff(of_first) < 100, "{} and {of_first}", facts[3]);
    Ok(())
}

fn ring_zero_names_the_page_as_data(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    client.load(GIP, "gip", GIP_HANDLER)?;
    for (operation, way) in
        ["the macro", "the data", "the driver's variable", "the magic"].into_iter().enumerate()
    {
        let status = client.call_service("gip", operation as u32, 0, &mut [])?;
        same!(status, Status::VINF_SUCCESS, "{way}");
    }
    Ok(())
}

/// What is at a place that nobody writes to.
const UNTOUCHED: u64 = 0x5e5e_5e5e_5e5e_5e5e;
/// Which place the probe names.
const NO_PLACE: u64 = 0;
const GOOD_PLACE: u64 = 1;
const BAD_PLACE: u64 = 2;

/// `SUPR0GipMap`: its status, ring 3's address and the physical one.
#[track_caller]
fn map_by_ring_zero(
    probe: &Probe<'_>,
    session: u64,
    places: [u64; 2],
) -> Verdict<(Status, [u64; 2])> {
    let numbers = [session, 0, places[0], places[1], UNTOUCHED, UNTOUCHED];
    let (status, after) = probe.ask(op::GIP, &numbers)?;
    Ok((status, [after[4], after[5]]))
}

#[track_caller]
fn unmap_by_ring_zero(probe: &Probe<'_>) -> Verdict {
    same!(probe.status(op::GIP, &[OWN, 1])?, Status::VINF_SUCCESS);
    Ok(())
}

fn ring_zero_maps_for_its_session(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let probe = Probe::load(&client)?;
    unmap_by_ring_zero(&probe)?;
    let both = [GOOD_PLACE, GOOD_PLACE];
    let (status, first) = map_by_ring_zero(&probe, OWN, both)?;
    same!(status, Status::VINF_SUCCESS);
    let asked = client.get::<GipMap>(&Empty {})?;
    same!(first, [asked.r3.get(), asked.phys.get()]);
    same!(map_by_ring_zero(&probe, OWN, both)?.1, first, "the second map");
    check!(protection(first[0])?.unwrap_or_default().starts_with("r--"));
    unmap_by_ring_zero(&probe)?;
    same!(protection(first[0])?, None);
    stands_still(&probe)
}

fn ring_zero_starts_the_updates(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let probe = Probe::load(&client)?;
    for places in [[NO_PLACE, NO_PLACE], [NO_PLACE, GOOD_PLACE]] {
        stands_still(&probe)?;
        for _ in 0..2 {
            let (status, [_, phys]) = map_by_ring_zero(&probe, OWN, places)?;
            same!(status, Status::VINF_SUCCESS);
            same!(phys == UNTOUCHED, places[1] == NO_PLACE, "{phys:#x}");
        }
        let before = seen_by_ring_zero(&probe)?;
        sleep(Duration::from_millis(60));
        let after = seen_by_ring_zero(&probe)?;
        check!(after > before, "{after} after {before}");
        unmap_by_ring_zero(&probe)?;
    }
    stands_still(&probe)?;
    // What a session has asked for ends with it.
    {
        let other = Client::connect(backend)?;
        let theirs = Probe::load(&other)?;
        same!(map_by_ring_zero(&theirs, OWN, [NO_PLACE; 2])?.0, Status::VINF_SUCCESS);
    }
    stands_still(&probe)
}

fn ring_zero_is_refused_wrong_arguments(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let probe = Probe::load(&client)?;
    let refused = |session, places, status| -> Verdict {
        let answer = map_by_ring_zero(&probe, session, places)?;
        same!(answer, (status, [UNTOUCHED; 2]), "{places:?}");
        Ok(())
    };
    for places in [[BAD_PLACE, GOOD_PLACE], [GOOD_PLACE, BAD_PLACE], [BAD_PLACE, NO_PLACE]] {
        refused(OWN, places, Status::VERR_INVALID_POINTER)?;
    }
    refused(NO_SESSION, [GOOD_PLACE; 2], Status::VERR_INVALID_PARAMETER)?;
    same!(probe.status(op::GIP, &[NO_SESSION, 1])?, Status::VERR_INVALID_PARAMETER);
    // A map that fails for another reason says so in both places.
    let (status, places) =
        with_little_address_space(0, || map_by_ring_zero(&probe, OWN, [GOOD_PLACE; 2]))?;
    same!((status, places), (Status::VERR_MAP_FAILED, [0, PhysAddr::NIL.get()]));
    stands_still(&probe)
}

fn cannot_map_without_memory(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let status = with_little_address_space(0, || Ok(client.call::<GipMap>(&Empty {})?.0))?;
    same!(status, Status::VERR_MAP_FAILED);
    let (page, _) = map(&client)?;
    page.next_transaction(page.transaction()?)?;
    Ok(())
}
