//! Memory: allocated, filled, read back, freed; with its promises about physical addresses.

use std::collections::BTreeSet;
use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};

use sup::backend::Kind;
use sup::{
    AddressSource, Memory, PAGE_SIZE, PageMemory, PhysAddr, RingZeroView, Session, SharedPages,
    Status,
};
use sup_abi::request::{AddressIn, Empty, Request};

use super::check::{Finding, Outcome, Trouble, ns_per_round, require};
use super::peek;

/// Pages in a block; few, because they count against the limit on locked memory.
const PAGES: u32 = 8;
/// A block that huge pages could make: two of them.
const LARGE: u32 = 1024;
const ROUNDS: u32 = 500;
const FOUR_GIB: u64 = 1 << 32;

/// Pages of the process alone are zeroed and hold what is written.
pub(super) fn process_pages() -> Outcome {
    const COUNT: usize = PAGES as usize;
    let mut pages = PageMemory::new(COUNT)?;
    require(pages.iter().all(|&byte| byte == 0), || "new pages are not zeroed".to_owned())?;
    let byte = |index: usize| (pattern(index) >> 56) as u8;
    for (index, place) in pages.iter_mut().enumerate() {
        *place = byte(index);
    }
    let is_kept = pages.iter().enumerate().all(|(index, &found)| found == byte(index));
    require(is_kept, || "the pages do not hold what was written".to_owned())?;
    let us = ns_per_round(ROUNDS, || Ok(PageMemory::new(COUNT).map(drop)?))? / 1e3;
    let detail = format!("{PAGES} pages of the process, filled and verified");
    Ok(Finding { figure: us, detail })
}

/// Pages anywhere, with a view of ring 0's own.
pub(super) fn shared(session: &Session) -> Outcome {
    let allocate = || session.shared_pages(PAGES, RingZeroView::Mapped);
    let memory = allocate()?;
    let start = memory.r0_address();
    require(!start.is_nil(), || "ring 0 has no view of the pages".to_owned())?;
    const MARK: u64 = 0x7375_7064_7276_2121;
    if let Some(first) = memory.words().first() {
        first.store(MARK, Ordering::Relaxed);
    }
    let seen = peek::ring0(session, start).map(u64::from_ne_bytes);
    require(seen.is_none_or(|seen| seen == MARK), || {
        "ring 0 does not see what ring 3 wrote".to_owned()
    })?;
    drop(memory);
    let kept = if seen.is_some() { "seen by ring 0" } else { "mapped in ring 0 too" };
    exercise(session, allocate, |_| Ok(kept))
}

/// Pages below 4 GiB.
pub(super) fn low(session: &Session) -> Outcome {
    let promise = |pages: &[PhysAddr]| below_4_gib(pages).map(|()| "below 4 GiB");
    exercise(session, || session.low_memory(PAGES), promise)
}

/// One run of pages below 4 GiB.
pub(super) fn contiguous(session: &Session) -> Outcome {
    let promise = |pages: &[PhysAddr]| {
        below_4_gib(pages)?;
        let mut pairs = pages.iter().zip(pages.iter().skip(1));
        let is_run = pairs.all(|(page, next)| page.checked_add(PAGE_SIZE as u64) == Some(*next));
        require(is_run, || format!("not one run: {pages:?}"))?;
        Ok("one run below 4 GiB")
    };
    exercise(session, || session.contiguous_memory(PAGES), promise)
}

/// Memory of the process, locked where it is and seen by ring 0.
pub(super) fn locked(session: &Session) -> Outcome {
    let mut buffer = PageMemory::new(PAGES as usize)?;
    let marks = || (0..PAGES as usize).map(|page| (page * PAGE_SIZE, pattern(page)));
    for (offset, mark) in marks() {
        buffer[offset..][..size_of::<u64>()].copy_from_slice(&mark.to_ne_bytes());
    }
    let memory = session.lock_memory(&mut buffer)?;
    for (offset, mark) in marks() {
        require(memory.view().read::<u64>(offset)? == mark, || {
            "locking changed what the memory holds".to_owned()
        })?;
    }
    let pages: Vec<PhysAddr> = memory.pages().collect();
    distinct_and_aligned(&pages)?;
    let start = memory.map_kernel(1..PAGES)?;
    let seen = peek::ring0(session, start).map(u64::from_ne_bytes);
    require(seen.is_none_or(|seen| seen == pattern(1)), || {
        "ring 0 does not see what ring 3 wrote".to_owned()
    })?;
    let kept = if seen.is_some() { "seen by ring 0" } else { "mapped in ring 0 too" };
    let place = format!("{}, {}", range(&pages), source(session, memory.address_source())?);
    drop(memory);
    let us = ns_per_round(ROUNDS, || Ok(session.lock_memory(&mut buffer).map(drop)?))? / 1e3;
    let detail = format!("{PAGES} pages of the process, contents kept, {kept}; {place}");
    Ok(Finding { figure: us, detail })
}

/// A block large enough for huge pages, and whether it has any.
pub(super) fn large(session: &Session) -> Outcome {
    const FEW_ROUNDS: u32 = 9;
    let allocate = || session.shared_pages(LARGE, RingZeroView::None);
    let memory = match allocate() {
        Ok(memory) => memory,
        Err(error) if error.status() == Status::VERR_NO_PHYS_MEMORY => {
            let detail =
                format!("not tried: the limit on locked memory (ulimit -l) has no {LARGE} pages");
            return Ok(Finding { figure: 0.0, detail });
        }
        Err(error) => return Err(error.into()),
    };
    fill_and_verify(memory.words())?;
    let huge = match memory.address_source() {
        AddressSource::Machine => huge_pages_by_address(&memory),
        AddressSource::Synthetic => huge_pages_by_mapping(&memory)?,
    };
    drop(memory);
    let us = ns_per_round(FEW_ROUNDS, || Ok(allocate().map(drop)?))? / 1e3;
    let kind = match (huge, session.backend().kind()) {
        (0, Kind::Embedded) => format!("no huge page among them, as {}", why_not_huge()),
        (0, Kind::Kernel) => "no huge page among them".to_owned(),
        (huge, _) => format!("{huge} huge pages of 2 MiB"),
    };
    Ok(Finding { figure: us, detail: format!("{LARGE} pages filled and verified, {kind}") })
}

const PAGES_IN_HUGE: usize = 512;

/// Pages of the machine that are one huge page, or as good as one.
fn huge_pages_by_address(memory: &SharedPages) -> usize {
    let pages: Vec<PhysAddr> = memory.pages().collect();
    let is_huge = |pages: &&[PhysAddr]| {
        let is_next = |pair: &[PhysAddr]| pair[0].checked_add(PAGE_SIZE as u64) == Some(pair[1]);
        pages[0].get().is_multiple_of((PAGES_IN_HUGE * PAGE_SIZE) as u64)
            && pages.windows(2).all(is_next)
    };
    pages.as_chunks::<PAGES_IN_HUGE>().0.iter().map(|chunk| &chunk[..]).filter(is_huge).count()
}

/// The same where the kernel shows no addresses; see proc_pid_smaps(5).
fn huge_pages_by_mapping(memory: &SharedPages) -> Result<usize, Trouble> {
    let number = |digits: &str| usize::from_str_radix(digits, 16).ok();
    let holds = |line: &str| {
        let (start, rest) = line.split_once('-')?;
        let (end, _) = rest.split_once(' ')?;
        Some((number(start)?..number(end)?).contains(&memory.as_ptr().addr()))
    };
    let smaps = fs::read_to_string("/proc/self/smaps")?;
    let mut lines = smaps.lines().skip_while(|line| holds(line) != Some(true));
    let size = lines.find_map(|line| line.strip_prefix("ShmemPmdMapped:"));
    let kib = size.and_then(|size| size.trim().strip_suffix(" kB")?.parse::<usize>().ok());
    Ok(kib.unwrap_or(0) * 1024 / (PAGES_IN_HUGE * PAGE_SIZE))
}

fn why_not_huge() -> String {
    const SETTING: &str = "/sys/kernel/mm/transparent_hugepage/shmem_enabled";
    let Ok(setting) = fs::read_to_string(SETTING) else {
        return "the kernel has none for shared memory".to_owned();
    };
    let chosen = setting.split(['[', ']']).nth(1).unwrap_or("unknown");
    match chosen {
        "never" | "deny" => format!("{SETTING} is '{chosen}'; 'advise' allows them"),
        _ => "the kernel found none free".to_owned(),
    }
}

/// Allocates two blocks, one after the other: the second shows that what the first left behind was
/// wiped.
fn exercise<F: Request<In = AddressIn, Out = Empty>>(
    session: &Session,
    allocate: impl Fn() -> sup::Result<Memory<F>>,
    promise: impl Fn(&[PhysAddr]) -> Result<&'static str, Trouble>,
) -> Outcome {
    let mut kept = "";
    let mut place = String::new();
    for _ in 0..2 {
        let memory = allocate()?;
        fill_and_verify(memory.words())?;
        let pages: Vec<PhysAddr> = memory.pages().collect();
        distinct_and_aligned(&pages)?;
        kept = promise(&pages)?;
        place = format!("{}, {}", range(&pages), source(session, memory.address_source())?);
    }
    let us = ns_per_round(ROUNDS, || Ok(allocate().map(drop)?))? / 1e3;
    Ok(Finding {
        figure: us,
        detail: format!("{PAGES} pages filled and verified, {kept}; {place}"),
    })
}

fn fill_and_verify(words: &[AtomicU64]) -> Result<(), Trouble> {
    // Relaxed throughout: no other thread has the block, and ring 0 leaves it alone.
    let is_zeroed = words.iter().all(|word| word.load(Ordering::Relaxed) == 0);
    require(is_zeroed, || "new pages are not zeroed".to_owned())?;
    for (index, word) in words.iter().enumerate() {
        word.store(pattern(index), Ordering::Relaxed);
    }
    let wrong = words
        .iter()
        .enumerate()
        .find(|(index, word)| word.load(Ordering::Relaxed) != pattern(*index));
    match wrong {
        None => Ok(()),
        Some((index, _)) => Err(Trouble::defect(format!("word {index} does not hold its value"))),
    }
}

/// A different value for each word of a block, with all bits in use.
fn pattern(index: usize) -> u64 {
    const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
    (index as u64 + 1).wrapping_mul(GOLDEN)
}

fn distinct_and_aligned(pages: &[PhysAddr]) -> Result<(), Trouble> {
    let is_aligned = pages.iter().all(|page| page.is_page_aligned());
    require(is_aligned, || format!("not the addresses of pages: {pages:?}"))?;
    let distinct: BTreeSet<&PhysAddr> = pages.iter().collect();
    require(distinct.len() == PAGES as usize, || format!("not {PAGES} pages: {pages:?}"))
}

fn below_4_gib(pages: &[PhysAddr]) -> Result<(), Trouble> {
    let is_low = pages.iter().all(|page| page.get() < FOUR_GIB);
    require(is_low, || format!("not all below 4 GiB: {pages:?}"))
}

fn range(pages: &[PhysAddr]) -> String {
    match pages {
        [first, .., last] => format!("first {first}, last {last}"),
        _ => String::new(),
    }
}

/// Whose the addresses are, and where they are not the machine's, why it could not give any.
fn source(session: &Session, source: AddressSource) -> Result<&'static str, Trouble> {
    if source == AddressSource::Machine {
        return Ok("the machine's addresses");
    }
    // Pages anywhere promise nothing, so theirs are the machine's whenever it shows any.
    let anywhere = session.shared_pages(1, RingZeroView::None)?;
    Ok(match anywhere.address_source() {
        AddressSource::Machine => {
            "synthetic addresses, as the machine's would not keep the promise"
        }
        AddressSource::Synthetic => {
            "synthetic addresses, as the machine shows none to this process"
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cannot_pass_with_a_page_twice_or_off_its_boundary() {
        let page = |number: u64| PhysAddr::new(number * PAGE_SIZE as u64);
        let good: Vec<PhysAddr> = (0..u64::from(PAGES)).map(page).collect();
        assert!(distinct_and_aligned(&good).is_ok());
        let mut twice = good.clone();
        twice[1] = twice[0];
        assert!(distinct_and_aligned(&twice).is_err());
        let mut askew = good;
        askew[1] = PhysAddr::new(1);
        assert!(distinct_and_aligned(&askew).is_err());
    }

    #[test]
    fn cannot_pass_with_memory_that_was_used() {
        let words = [const { AtomicU64::new(0) }; 8];
        assert!(fill_and_verify(&words).is_ok());
        assert!(fill_and_verify(&words).is_err());
    }
}
