//! The Global Information Page: time for everybody who has it mapped, without a call.
//!
//! The driver keeps, for each processor or for all together, a straight line from the time stamp
//! counter to nanoseconds ([`update`]), and publishes it in a page that processes map read-only. A
//! reader ([`read`]) evaluates the line at the counter's current value.
//!
//! * Synchronous mode: all counters run together, entry 0 serves every processor.
//! * Asynchronous mode: each processor has its own entry and its own ticks.
//!
//! The timer runs only while a session has the page mapped. Its first tick of a run starts a new line
//! at the clock, and the frequency estimate goes on where it was.
//!
//! # The entry's transaction
//! `u32TransactionId` is odd while an entry changes ([`mod@transaction`]): readers get a whole line, and on
//! the common line no reader ever gets a time that a later line falls behind.
//!
//! # Processors that come and go
//! The backend tells of each processor that is there when the driver starts, and of each that comes or
//! goes later ([`cpus`]). In asynchronous mode a line of a processor that was away is not continued:
//! its counter may have been set to zero. The mode stays as it was found; on a machine whose counters
//! run together the system sees to it that those of late processors do.
//!
//! Lock order: `users` (sleeping) or `arrivals` (spinning), never both, then an entry's updater
//! (spinning). A tick takes the last only, and does not wait for it.

use core::sync::atomic::{AtomicBool, Ordering};

use sup_abi::{
    CpuId, GIP_APIC_TABLE_ENTRIES, GIP_CPU_SET_TABLE_ENTRIES, GIP_MAX_CPUS, Nanoseconds, PAGE_SIZE,
    SUPGIPCPU, SUPGIPCPUSTATE, SUPGIPMODE, SUPGLOBALINFOPAGE_MAGIC, SUPGLOBALINFOPAGE_VERSION,
    Status,
};
use sup_alloc::{Arc, Vec};

use crate::Lock;
use crate::host::{CpuIdentity, GipMemory, Host, LogLevel};

mod cpus;
pub mod read;
mod transaction;
pub mod update;

use cpus::Arrivals;
use update::Updater;

/// Time between two ticks.
pub const UPDATE_INTERVAL: Nanoseconds = Nanoseconds::new(10_000_000);
/// Ticks in a second.
pub const UPDATE_HZ: u32 = 100;

/// The index that means "no such processor" in the tables of the page.
pub const NO_CPU: u16 = 0xffff;
/// `u64CpuHz` of an entry that was never updated: 4 GiB + 1.
pub const NEVER_UPDATED_HZ: u64 = 0x1_0000_0001;
/// Counter ticks in an interval, newest and in the history, of an entry that was never updated: what such a
/// frequency makes.
const NEVER_UPDATED_TICKS: u32 = (0x1_0000_0000 / UPDATE_HZ as u64) as u32;
/// `u32TransactionId` of an entry that was never updated.
const FIRST_TRANSACTION: u32 = 2;

/// The driver's side of the page.
pub(crate) struct Gip<H: Host> {
    memory: H::Gip,
    mode: SUPGIPMODE,
    /// Sessions that have the page mapped.
    users: Lock<H::Mutex, u64>,
    /// Whether ticks come: there are users.
    is_running: AtomicBool,
    arrivals: Lock<H::SpinLock, Arrivals>,
    /// One for each entry that is updated: the first alone in synchronous mode.
    updaters: Vec<Lock<H::SpinLock, Updater>>,
}

impl<H: Host> Gip<H> {
    /// Makes the page. Nothing runs yet.
    ///
    /// # Errors
    /// `VERR_TOO_MANY_CPUS`, `VERR_NO_MEMORY`.
    #[inline(never)]
    pub(crate) fn new(host: &H) -> Result<Self, Status> {
        let cpus = host.cpus();
        if usize::from(cpus.table_size) > GIP_MAX_CPUS {
            return Err(Status::VERR_TOO_MANY_CPUS);
        }
        let memory = host.gip_memory(cpus.table_size)?;
        let mode = detect_mode(host);
        let entries = match mode {
            SUPGIPMODE::AsyncTsc => memory.cpus().len(),
            _ => 1,
        };
        let mut updaters = Vec::try_with_capacity(entries)?;
        for _ in 0..entries {
            updaters.try_push(Lock::new(Updater::new(UPDATE_INTERVAL)))?;
        }
        let gip = Self {
            memory,
            mode,
            users: Lock::new(0),
            is_running: AtomicBool::new(false),
            arrivals: Lock::new(Arrivals::default()),
            updaters,
        };
        gip.initialise(host);
        Ok(gip)
    }

    pub(crate) fn memory(&self) -> &H::Gip {
        &self.memory
    }

    fn initialise(&self, host: &H) {
        let page = self.memory.page();
        let cpus = host.cpus();
        let now = host.now();
        // Relaxed throughout: nobody has the page yet; handing it out orders.
        let relaxed = Ordering::Relaxed;
        for entry in self.memory.cpus() {
            initialise_entry(entry, now, host.tsc());
        }
        for slot in page.aiCpuFromApicId.iter().chain(&page.aiCpuFromCpuSetIdx) {
            slot.store(NO_CPU, relaxed);
        }
        for index in 0..usize::from(cpus.possible).min(GIP_CPU_SET_TABLE_ENTRIES) {
            page.PossibleCpuSet.add(index);
        }
        page.u32Version.store(SUPGLOBALINFOPAGE_VERSION, relaxed);
        page.u32Mode.store(self.mode.into(), relaxed);
        page.cCpus.store(cpus.table_size, relaxed);
        page.cPages.store(pages_for(cpus.table_size), relaxed);
        page.u32UpdateHz.store(UPDATE_HZ, relaxed);
        page.u32UpdateIntervalNS.store(interval_ns(), relaxed);
        page.u64NanoTSLastUpdateHz.store(now.get(), relaxed);
        page.cPresentCpus.store(cpus.present, relaxed);
        page.cPossibleCpus.store(cpus.possible, relaxed);
        page.idCpuMax.store(u32::from(cpus.table_size).saturating_sub(1), relaxed);
        // Release: whoever sees the magic sees the page.
        page.u32Magic.store(SUPGLOBALINFOPAGE_MAGIC, Ordering::Release);
    }

    /// A processor is there. In asynchronous mode the caller runs on it. Never sleeps.
    pub(crate) fn cpu_comes(&self, host: &H, cpu: CpuIdentity) {
        let page = self.memory.page();
        let start_line = || {
            // Relaxed: if the first user comes just now, it starts all lines itself.
            if self.mode != SUPGIPMODE::AsyncTsc || !self.is_running.load(Ordering::Relaxed) {
                return;
            }
            let entry = cpus::entry_index(page, cpu.index);
            if let Some(mut updater) = self.updaters.get(entry).and_then(Lock::try_lock) {
                updater.restart();
            }
            self.tick(host);
        };
        self.arrivals.lock().come(page, self.memory.cpus(), cpu, start_line);
    }

    /// The processor with this set index is gone. Never sleeps.
    pub(crate) fn cpu_goes(&self, index: u16) {
        self.arrivals.lock().go(self.memory.page(), self.memory.cpus(), index);
    }

    /// Counts one more session that has the page, and starts the timer for the first.
    ///
    /// # Errors
    /// What kept the timer from starting; the count is unchanged.
    pub(crate) fn add_user(this: &Arc<Self>, host: &H) -> Result<(), Status> {
        let mut users = this.users.lock();
        if *users == 0 {
            for (updater, entry) in this.updaters.iter().zip(this.memory.cpus()) {
                let hz = host.tsc_hz();
                let mut updater = updater.lock();
                updater.believe(hz);
                updater.restart();
                next_run(&entry.u32TransactionId);
            }
            // The page is worth reading as soon as it is mapped, on every processor: a timer may be
            // late, and the lines of an earlier run, or of none, tell nothing.
            match this.mode {
                SUPGIPMODE::AsyncTsc => host.on_each_cpu(&mut |_| this.tick(host)),
                _ => this.tick(host),
            }
            // Relaxed: see `cpu_comes`.
            this.is_running.store(true, Ordering::Relaxed);
            host.start_gip_timer(GipTicker(this.clone()), UPDATE_INTERVAL)
                .inspect_err(|_| this.is_running.store(false, Ordering::Relaxed))?;
        }
        *users = users.saturating_add(1);
        Ok(())
    }

    /// Counts one session less, and stops the timer after the last.
    pub(crate) fn remove_user(&self, host: &H) {
        let mut users = self.users.lock();
        *users = users.saturating_sub(1);
        if *users == 0 {
            host.stop_gip_timer();
            // Relaxed: see `cpu_comes`.
            self.is_running.store(false, Ordering::Relaxed);
        }
    }

    /// Updates the entry that the current processor is responsible for. Never sleeps.
    fn tick(&self, host: &H) {
        let index = match self.mode {
            SUPGIPMODE::AsyncTsc => cpus::entry_index(self.memory.page(), host.current_cpu().index),
            _ => 0,
        };
        let (Some(entry), Some(updater)) =
            (self.memory.cpus().get(index), self.updaters.get(index))
        else {
            return;
        };
        match updater.try_lock() {
            Some(mut updater) => update::publish(entry, &mut updater, || host.now_and_tsc()),
            // Two ticks at once: this one changes nothing.
            None => {
                entry.cErrors.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

/// A clock and a counter at one instant: the tightest of a few brackets of the clock between two looks
/// at the counter.
pub fn sample(now: impl Fn() -> Nanoseconds, tsc: impl Fn() -> u64) -> (Nanoseconds, u64) {
    let bracket = || {
        let before = tsc();
        let now = now();
        (tsc().wrapping_sub(before), now, before)
    };
    let mut best = bracket();
    for _ in 0..2 {
        let next = bracket();
        if next.0 < best.0 {
            best = next;
        }
    }
    let (width, now, before) = best;
    (now, before.wrapping_add(width / 2))
}

/// The right to update the page, for the host's timer.
pub struct GipTicker<H: Host>(Arc<Gip<H>>);

impl<H: Host> GipTicker<H> {
    /// Updates the entry that the current processor is responsible for.
    ///
    /// # Context
    /// Never sleeps.
    pub fn tick(&self, host: &H) {
        self.0.tick(host);
    }

    /// Whether the page says that the processor with this set index is there. Never sleeps.
    pub fn is_online(&self, index: u16) -> bool {
        let memory = &self.0.memory;
        cpus::entry_of(memory.page(), memory.cpus(), index).is_some_and(|entry| {
            // Acquire: pairs with the release of the state.
            entry.enmState.load(Ordering::Acquire) == SUPGIPCPUSTATE::Online.into()
        })
    }

    /// What [`Driver::cpu_comes`](crate::Driver::cpu_comes) does.
    pub fn cpu_comes(&self, host: &H, cpu: CpuIdentity) {
        self.0.cpu_comes(host, cpu);
    }

    /// What [`Driver::cpu_goes`](crate::Driver::cpu_goes) does.
    pub fn cpu_goes(&self, index: u16) {
        self.0.cpu_goes(index);
    }

    /// True if every processor needs its own ticks.
    pub fn is_per_cpu(&self) -> bool {
        self.0.mode == SUPGIPMODE::AsyncTsc
    }
}

impl<H: Host> core::fmt::Debug for GipTicker<H> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_tuple("GipTicker").field(&self.0.mode).finish()
    }
}

impl<H: Host> Drop for Gip<H> {
    fn drop(&mut self) {
        // Readers that kept the mapping stop here.
        self.memory.page().u32Magic.store(0, Ordering::Release);
    }
}

/// `u32UpdateIntervalNS`, which the header makes of the frequency.
pub(crate) fn interval_ns() -> u32 {
    1_000_000_000 / UPDATE_HZ
}

/// Pages of a Global Information Page for `cpus` processors.
pub const fn pages_for(cpus: u16) -> u16 {
    let entries = (cpus as usize).saturating_mul(size_of::<SUPGIPCPU>());
    let bytes = sup_abi::OFFSET_OF_CPUS.saturating_add(entries);
    bytes.div_ceil(PAGE_SIZE) as u16
}

fn initialise_entry(entry: &SUPGIPCPU, now: Nanoseconds, tsc: u64) {
    let relaxed = Ordering::Relaxed;
    entry.u32TransactionId.store(FIRST_TRANSACTION, relaxed);
    entry.u64NanoTS.store(now.get(), relaxed);
    entry.u64TSC.store(tsc, relaxed);
    entry.u64CpuHz.store(NEVER_UPDATED_HZ, relaxed);
    entry.u32UpdateIntervalTSC.store(NEVER_UPDATED_TICKS, relaxed);
    for slot in &entry.au32TSCHistory {
        slot.store(NEVER_UPDATED_TICKS, relaxed);
    }
    entry.enmState.store(SUPGIPCPUSTATE::Invalid.into(), relaxed);
    entry.idCpu.store(CpuId::NIL.get(), relaxed);
    entry.iCpuSet.store(-1, relaxed);
    entry.idApic.store(NO_CPU, relaxed);
}

/// Rounds the transaction number up, so that a reader can tell a new run from a late tick.
fn next_run(transaction: &core::sync::atomic::AtomicU32) {
    let id = transaction.load(Ordering::Relaxed);
    if id != FIRST_TRANSACTION {
        transaction.store(id.wrapping_add(0x1000) & !0xfff, Ordering::Relaxed);
    }
}

/// Finds out whether the counters of all processors run together.
///
/// They do if there is one processor, or if the counter is invariant (it runs at one rate whatever the
/// processor does) and no processor's counter is seen to be behind another's when they are read in
/// turn.
fn detect_mode<H: Host>(host: &H) -> SUPGIPMODE {
    if let Some(mode) = host.gip_mode_override() {
        host.log(LogLevel::Info, format_args!("time stamp counter: {mode:?}, as configured"));
        return mode;
    }
    if host.cpus().online < 2 {
        return SUPGIPMODE::SyncTsc;
    }
    if !has_invariant_tsc(host) {
        host.log(
            LogLevel::Info,
            format_args!("time stamp counter: not invariant, asynchronous mode"),
        );
        return SUPGIPMODE::AsyncTsc;
    }
    let mut previous = host.tsc();
    let mut is_behind = false;
    for _ in 0..8 {
        host.on_each_cpu(&mut |_| {
            let tsc = host.tsc();
            is_behind |= tsc <= previous;
            previous = tsc;
        });
    }
    if is_behind {
        host.log(
            LogLevel::Info,
            format_args!("time stamp counters differ between processors, asynchronous mode"),
        );
        return SUPGIPMODE::AsyncTsc;
    }
    SUPGIPMODE::SyncTsc
}

fn has_invariant_tsc<H: Host>(host: &H) -> bool {
    const ADVANCED_POWER: u32 = 0x8000_0007;
    let [last_extended, ..] = host.cpuid(0x8000_0000, 0);
    let [_, _, _, edx] = host.cpuid(ADVANCED_POWER, 0);
    last_extended >= ADVANCED_POWER && edx & 1 << 8 != 0
}

const _: () = assert!(GIP_APIC_TABLE_ENTRIES <= NO_CPU as usize);

#[cfg(test)]
#[cfg(not(loom))]
mod tests;
