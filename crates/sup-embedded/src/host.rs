//! [`EmbeddedHost`]: `Host` in a process. Each method is one line that names who does the work.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;

use parking_lot::Mutex;
use rustix::process::{getgid, getpid, getuid};
use sup_abi::{GroupId, Nanoseconds, Pages, ProcessId, R0Ptr, R3Ptr, SUPGIPMODE, Status, UserId};
use sup_core::gip::GipTicker;
use sup_core::host::{
    AddressSpace, Allocation, Caller, ControlRegisters, CpuIdentity, CpuSummary, Host, LogLevel,
    ProbeRoom, ThreadId,
};
use sup_core::{LoadError, ModulePolicy};
use sup_ring0::Ring0;
use sup_ring0::components::NativeFactory;
use sup_ring0::destructor::NativeDestructor;
use sup_ring0::exports::exports;
use sup_ring0::mapper::MappedImage;
use sup_ring0::tracer::NativeTracer;
use sup_ring0::{fire, own_probes};
use zerocopy::IntoBytes;

use crate::calls::ThreadCalls;
use crate::gip::GipPages;
use crate::image::ImagePages;
use crate::memory::{Block, PhysicalMemory};
use crate::timer::GipTimer;
use crate::view::{GipMapping, ProcessView};
use crate::wait::FutexQueue;
use crate::words::Words;
use crate::{access, clock, cpu, printing, trust};

/// The host of the driver in this process. Clones are the same host.
#[derive(Debug, Clone)]
pub struct EmbeddedHost(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    memory: Arc<PhysicalMemory>,
    timer: Mutex<Option<GipTimer>>,
    policy: ModulePolicy,
    print_limit: Option<NonZeroU32>,
}

impl EmbeddedHost {
    /// # Errors
    /// `VERR_NO_MEMORY`.
    pub(crate) fn new() -> Result<Self, Status> {
        Ok(Self(Arc::new(Parts {
            memory: Arc::new(PhysicalMemory::new()?),
            timer: Mutex::new(None),
            policy: trust::policy(),
            print_limit: printing::limit(),
        })))
    }
}

impl Host for EmbeddedHost {
    type SpinLock = parking_lot::RawMutex;
    type Mutex = parking_lot::RawMutex;
    type WaitQueue = FutexQueue;
    /// The driver is in the process already.
    type Client = ();
    type WordPage = Words;
    type Memory = Block;
    type Image = MappedImage<ImagePages>;
    type Destructor = NativeDestructor;
    type Factory = NativeFactory;
    type Tracer = NativeTracer<ThreadCalls>;
    type Gip = GipPages;
    type View = ProcessView;

    fn now(&self) -> Nanoseconds {
        clock::now()
    }

    fn tsc(&self) -> u64 {
        clock::Tsc.read()
    }

    fn tsc_hz(&self) -> u64 {
        clock::tsc_hz()
    }

    /// The clock's own resolution is finer; what delays a wake-up is the thread's timer slack.
    fn wait_resolution_ns(&self) -> u32 {
        let slack = rustix::thread::current_timer_slack().unwrap_or(50_000);
        let clock = rustix::time::clock_getres(rustix::time::ClockId::Monotonic).tv_nsec;
        u32::try_from(slack.max(clock.cast_unsigned())).unwrap_or(u32::MAX)
    }

    fn caller(&self) -> Caller {
        Caller {
            user: UserId::new(getuid().as_raw()),
            group: GroupId::new(getgid().as_raw()),
            process: ProcessId::new(getpid().as_raw_nonzero().get().cast_unsigned()),
        }
    }

    fn address_space(&self) -> AddressSpace {
        AddressSpace(0)
    }

    fn thread(&self) -> ThreadId {
        ThreadId(rustix::thread::gettid().as_raw_nonzero().get().cast_unsigned().into())
    }

    fn read_ring0(&self, from: R0Ptr, into: &mut [u8]) -> Result<(), Status> {
        access::read(from.get(), into)
    }

    fn write_ring0(&self, to: R0Ptr, bytes: &[u8]) -> Result<(), Status> {
        // SAFETY: the core writes into objects of modules that have told it of them to be written, which are
        // memory of modules alone.
        unsafe { access::write(to.get(), bytes) }
    }

    fn read_user(&self, from: R3Ptr, into: &mut [u8]) -> Result<(), Status> {
        access::read(from.get(), into)
    }

    fn write_user(&self, to: R3Ptr, bytes: &[u8]) -> Result<(), Status> {
        // SAFETY: the core writes into records of the client's that it has registered to be written, as the
        // library's documentation demands of them.
        unsafe { access::write(to.get(), bytes) }
    }

    fn probe_room(&self) -> Option<ProbeRoom> {
        Some(own_probes::room(<Self as Ring0>::address_bits()))
    }

    fn fire_probe(&self, place: R0Ptr, arguments: [u64; 5]) {
        own_probes::fire(place, arguments);
    }

    fn aim_probes(&self, tracer: Option<&Self::Tracer>) {
        fire::aim(tracer.map(NativeTracer::entry));
        while tracer.is_none() && !fire::is_quiet() {
            std::thread::sleep(std::time::Duration::from_micros(100));
        }
    }

    fn fill_random(&self, words: &mut [u64]) -> Result<(), Status> {
        getrandom::fill(words.as_mut_bytes()).map_err(|_| Status::VERR_GENERAL_FAILURE)
    }

    fn log(&self, level: LogLevel, line: fmt::Arguments<'_>) {
        match level {
            LogLevel::Error => tracing::error!(target: "supdrv", "{line}"),
            LogLevel::Warning => tracing::warn!(target: "supdrv", "{line}"),
            LogLevel::Info => tracing::info!(target: "supdrv", "{line}"),
            LogLevel::Debug => tracing::debug!(target: "supdrv", "{line}"),
        }
    }

    fn print_limit(&self) -> Option<NonZeroU32> {
        self.0.print_limit
    }

    fn word_page(&self) -> Result<Words, Status> {
        Ok(Words::zeroed())
    }

    fn map_words(&self, (): &(), page: &Words) -> Result<ProcessView, Status> {
        Ok(ProcessView::Words(page.clone()))
    }

    fn allocate(&self, (): &(), request: Allocation) -> Result<Block, Status> {
        self.0.memory.allocate(request)
    }

    fn lock(&self, (): &(), start: R3Ptr, pages: Pages) -> Result<Block, Status> {
        self.0.memory.lock(start, pages)
    }

    fn load_image(
        &self,
        name: &str,
        file: &[u8],
        provide: &mut dyn FnMut(&str) -> Option<R0Ptr>,
    ) -> Result<Self::Image, LoadError> {
        let (exports, segments) = (exports::<Self>(), self.segments());
        let mut image = MappedImage::<ImagePages>::load(file, exports, segments, provide)?;
        image.memory_mut().show(name, file)?;
        Ok(image)
    }

    /// `SUP_MODULE_POLICY` and the key files decide, when the driver starts.
    fn module_policy(&self) -> &ModulePolicy {
        &self.0.policy
    }

    /// Ring 0 is memory of the process.
    fn may_see_ring0(&self) -> bool {
        true
    }

    fn export_count(&self) -> u32 {
        u32::try_from(exports::<Self>().len()).unwrap_or(u32::MAX)
    }

    fn gip_memory(&self, cpus: u16) -> Result<GipPages, Status> {
        GipPages::new(cpus)
    }

    fn map_gip(&self, (): &(), gip: &GipPages) -> Result<ProcessView, Status> {
        gip.map().map(GipMapping).map(ProcessView::Gip)
    }

    fn start_gip_timer(
        &self,
        ticker: GipTicker<Self>,
        interval: Nanoseconds,
    ) -> Result<(), Status> {
        let timer = GipTimer::start(self, ticker, interval)?;
        *self.0.timer.lock() = Some(timer);
        Ok(())
    }

    fn stop_gip_timer(&self) {
        // Taken out first: the thread is waited for with no lock held.
        let timer = self.0.timer.lock().take();
        drop(timer);
    }

    /// `SUP_GIP_MODE=async` or `sync` decides for the machine.
    fn gip_mode_override(&self) -> Option<SUPGIPMODE> {
        match std::env::var("SUP_GIP_MODE").ok()?.as_str() {
            "async" => Some(SUPGIPMODE::AsyncTsc),
            "sync" => Some(SUPGIPMODE::SyncTsc),
            other => {
                tracing::warn!(target: "supdrv", other, "SUP_GIP_MODE is neither async nor sync");
                None
            }
        }
    }

    fn cpus(&self) -> CpuSummary {
        cpu::summary()
    }

    fn on_each_cpu(&self, visit: &mut dyn FnMut(CpuIdentity)) {
        cpu::on_each(visit);
    }

    fn current_cpu(&self) -> CpuIdentity {
        cpu::current()
    }

    fn control_registers(&self) -> ControlRegisters {
        cpu::control_registers()
    }

    fn cpuid(&self, leaf: u32, subleaf: u32) -> [u32; 4] {
        cpu::cpuid(leaf, subleaf)
    }

    fn read_msr(&self, register: u32) -> Option<u64> {
        cpu::read_msr(register)
    }
}
