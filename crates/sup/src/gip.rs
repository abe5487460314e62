//! [`Gip`]: the Global Information Page, and the time by it.
//!
//! In synchronous mode a thread keeps the line that it read last ([`Snapshot`]) and reads the page
//! itself only after an update: a hundred times a second. What a thread keeps belongs to one owner,
//! whose number is never used again, so that it cannot outlive the page it was made of.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::time::{ClockId, clock_gettime};
use sup_abi::request::{Empty, GipMap, MEMORY_SYNTHETIC_PHYS};
use sup_abi::{
    OFFSET_OF_CPUS, PhysAddr, SUPGIPCPU, SUPGIPCPUSTATE, SUPGIPMODE, SUPGLOBALINFOPAGE,
    SUPGLOBALINFOPAGE_MAGIC, Status,
};
use sup_core::gip::read::{Counter, Look, Snapshot, look, newest_line};
use sup_core::host::AddressSource;
use sup_embedded::{Tsc, UnorderedTsc};

use crate::Session;
use crate::clock::Clock;
use crate::error::Result;

/// The line that a thread read last, and the owner of the page that it is from.
struct Kept {
    owner: Cell<u64>,
    snapshot: Cell<Snapshot>,
    /// Owner and highest result of [`Gip::now_ns_unordered`].
    unordered: Cell<(u64, u64)>,
}

thread_local! {
    static KEPT: Kept =
        const {
            Kept {
                owner: Cell::new(0),
                snapshot: Cell::new(Snapshot::NONE),
                unordered: Cell::new((0, 0)),
            }
        };
}

/// The number of the next owner; zero is nobody's.
static NEXT_OWNER: AtomicU64 = AtomicU64::new(1);

/// The Global Information Page of a session. Corresponds to `g_pSUPGlobalInfoPage`.
#[derive(Debug)]
pub struct Gip {
    page: &'static SUPGLOBALINFOPAGE,
    cpus: &'static [SUPGIPCPU],
    phys: PhysAddr,
    source: AddressSource,
    /// The number that no other owner in this process ever has.
    owner: u64,
    /// The highest time returned in asynchronous mode, where the processors' lines differ.
    last: AtomicU64,
    /// Keeps the page mapped: `page` and `cpus` are `'static` to the compiler only.
    _session: Session,
}

/// What the page says of one processor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CpuEntry {
    /// The host's number of the processor.
    pub id: u32,
    /// Its APIC id, `0xffff` if it does not fit.
    pub apic_id: u16,
    /// Frequency of its counter in Hz; `None` if it was never updated.
    pub hz: Option<u64>,
    /// Counter ticks in an update interval.
    pub interval_tsc: u32,
    /// Updates that went wrong.
    pub errors: u32,
    /// The number of its last update.
    pub transaction: u32,
    /// Nanoseconds between its last two updates.
    pub previous_interval_ns: u32,
}

impl Gip {
    /// Nanoseconds on the clock that the page follows, `CLOCK_MONOTONIC`. Never goes back, on one
    /// thread or across threads that share this owner.
    ///
    /// When the page cannot say, the system's clock answers.
    #[inline]
    pub fn now_ns(&self) -> u64 {
        KEPT.with(|kept| {
            if kept.owner.get() == self.owner
                && let Some(now) = kept.snapshot.get().nanoseconds(self.page, self.cpus, &Tsc)
            {
                return now;
            }
            self.look(kept)
        })
    }

    /// Nanoseconds on the same clock for who measures a thread's own work: cheaper than
    /// [`now_ns`](Self::now_ns), and with a weaker promise.
    ///
    /// Successive results of a thread never go back. Nothing is promised between threads, nor between
    /// this and [`now_ns`](Self::now_ns): the processor may read its counter some instructions early, and
    /// a result may be that much before what another thread has seen.
    #[inline]
    pub fn now_ns_unordered(&self) -> u64 {
        KEPT.with(|kept| {
            let kept_line = (kept.owner.get() == self.owner).then(|| kept.snapshot.get());
            let now = kept_line
                .and_then(|line| line.nanoseconds(self.page, self.cpus, &UnorderedTsc))
                .unwrap_or_else(|| self.look(kept));
            let (owner, last) = kept.unordered.get();
            // An early read of a new line's counter may be behind the last one of the old line.
            let now = if owner == self.owner { now.max(last) } else { now };
            kept.unordered.set((self.owner, now));
            now
        })
    }

    /// The time from the page itself, and from then on from what is kept.
    #[inline(never)]
    fn look(&self, kept: &Kept) -> u64 {
        match look(self.page, self.cpus, &Tsc) {
            Some(Look { nanoseconds, snapshot: Some(snapshot) }) => {
                kept.owner.set(self.owner);
                kept.snapshot.set(snapshot);
                nanoseconds
            }
            // Relaxed: the maximum orders itself, nothing else is published.
            Some(Look { nanoseconds, snapshot: None }) => {
                self.last.fetch_max(nanoseconds, Ordering::Relaxed).max(nanoseconds)
            }
            None => system_ns(),
        }
    }

    /// Nanoseconds by the page alone; `None` when it cannot say.
    pub fn try_now_ns(&self) -> Option<u64> {
        look(self.page, self.cpus, &Tsc).map(|look| look.nanoseconds)
    }

    /// Nanoseconds at a value of the current processor's time stamp counter, as the page's newest line
    /// has it; `None` if the page cannot say, as for a value before that line.
    ///
    /// ```no_run
    /// # let gip = sup::Session::open()?.gip()?;
    /// // Stamp with an instruction, convert when there is time.
    /// // SAFETY: every x86-64 processor has the instruction.
    /// let stamp = unsafe { std::arch::x86_64::_rdtsc() };
    /// let nanoseconds = gip.tsc_to_ns(stamp).unwrap_or_else(|| gip.now_ns());
    /// # Ok::<(), sup::Error>(())
    /// ```
    pub fn tsc_to_ns(&self, tsc: u64) -> Option<u64> {
        newest_line(self.page, self.current_entry()?)?.at(tsc)
    }

    /// Whether one entry serves all processors.
    pub fn mode(&self) -> SUPGIPMODE {
        SUPGIPMODE::try_from(self.page.u32Mode.load(Ordering::Relaxed))
            .unwrap_or(SUPGIPMODE::Invalid)
    }

    /// Updates in a second.
    pub fn update_hz(&self) -> u32 {
        self.page.u32UpdateHz.load(Ordering::Relaxed)
    }

    /// Processors that run.
    pub fn online_cpus(&self) -> u16 {
        self.page.cOnlineCpus.load(Ordering::Relaxed)
    }

    /// Frequency of the current processor's counter in Hz. Corresponds to `SUPGetCpuHzFromGIP`.
    pub fn cpu_hz(&self) -> Option<u64> {
        entry_hz(self.current_entry()?)
    }

    /// The entry that is the current processor's, which may have changed when this returns.
    fn current_entry(&self) -> Option<&SUPGIPCPU> {
        // Acquire: pairs with the release that published the page.
        if self.page.u32Magic.load(Ordering::Acquire) != SUPGLOBALINFOPAGE_MAGIC {
            return None;
        }
        let index = match self.mode() {
            SUPGIPMODE::AsyncTsc => {
                let set_index = usize::from(Tsc.current_cpu());
                let from_set = self.page.aiCpuFromCpuSetIdx.get(set_index)?;
                usize::from(from_set.load(Ordering::Relaxed))
            }
            _ => 0,
        };
        self.cpus.get(index)
    }

    /// What the page says of each processor that is online.
    pub fn cpus(&self) -> impl Iterator<Item = CpuEntry> {
        let relaxed = Ordering::Relaxed;
        let online = u32::from(SUPGIPCPUSTATE::Online);
        // Acquire: the state is published last.
        let is_online = move |cpu: &&SUPGIPCPU| cpu.enmState.load(Ordering::Acquire) == online;
        self.cpus.iter().filter(is_online).map(move |cpu| CpuEntry {
            id: cpu.idCpu.load(relaxed),
            apic_id: cpu.idApic.load(relaxed),
            hz: entry_hz(cpu),
            interval_tsc: cpu.u32UpdateIntervalTSC.load(relaxed),
            errors: cpu.cErrors.load(relaxed),
            transaction: cpu.u32TransactionId.load(relaxed),
            previous_interval_ns: cpu.u32PrevUpdateIntervalNS.load(relaxed),
        })
    }

    /// Physical address of the page. Corresponds to `SUPR3GipGetPhys`.
    pub fn physical_address(&self) -> PhysAddr {
        self.phys
    }

    /// Whose number that is.
    pub fn address_source(&self) -> AddressSource {
        self.source
    }

    /// Where the page is in this process; read-only.
    pub fn as_ptr(&self) -> *const SUPGLOBALINFOPAGE {
        std::ptr::from_ref(self.page)
    }
}

impl Clock for Gip {
    fn now_ns(&self) -> u64 {
        self.now_ns()
    }
}

fn entry_hz(cpu: &SUPGIPCPU) -> Option<u64> {
    let hz = cpu.u64CpuHz.load(Ordering::Relaxed);
    (hz != 0 && hz != sup_core::gip::NEVER_UPDATED_HZ).then_some(hz)
}

fn system_ns() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec.cast_unsigned() * 1_000_000_000 + time.tv_nsec.cast_unsigned()
}

impl Session {
    /// Maps the Global Information Page, and starts its updates if nobody else has it mapped.
    ///
    /// It stays mapped until the session is closed.
    ///
    /// # Errors
    /// `VERR_NO_MEMORY`, `VERR_MAP_FAILED`; `VERR_VERSION_MISMATCH` if the page is of another version.
    pub fn gip(&self) -> Result<Gip> {
        let output = self.connection().call::<GipMap>(&Empty {})?;
        let start = output.r3.get() as usize as *const u8;
        if start.is_null() {
            return Session::refuse("GipMap", Status::VERR_MAP_FAILED, "");
        }
        // SAFETY: the driver mapped the page read-only at this address for this session, which the
        // returned owner keeps open; every field that changes is atomic.
        let page = unsafe { &*start.cast::<SUPGLOBALINFOPAGE>() };
        let is_ours = page.u32Magic.load(Ordering::Acquire) == SUPGLOBALINFOPAGE_MAGIC
            && page.u32Version.load(Ordering::Relaxed) >> 16
                == sup_abi::SUPGLOBALINFOPAGE_VERSION >> 16;
        if !is_ours {
            return Session::refuse(
                "GipMap",
                Status::VERR_VERSION_MISMATCH,
                "the driver's Global Information Page has another version",
            );
        }
        // SAFETY: the driver's mapping holds the entries behind the head.
        let first = unsafe { start.add(OFFSET_OF_CPUS) }.cast::<SUPGIPCPU>();
        let count = usize::from(page.cCpus.load(Ordering::Relaxed));
        // SAFETY: the driver's mapping holds `cCpus` entries, aligned, for as long as the session is
        // open, which the returned owner sees to; every field that changes is atomic.
        let cpus = unsafe { std::slice::from_raw_parts(first, count) };
        let source = if output.flags & MEMORY_SYNTHETIC_PHYS == 0 {
            AddressSource::Machine
        } else {
            AddressSource::Synthetic
        };
        Ok(Gip {
            page,
            cpus,
            phys: output.phys,
            source,
            // Relaxed: only that no number comes twice matters.
            owner: NEXT_OWNER.fetch_add(1, Ordering::Relaxed),
            last: AtomicU64::new(0),
            _session: self.clone(),
        })
    }
}
