//! [`KernelHost`]: `Host` in the Linux kernel. Each method is a line that names who does the work.

use core::fmt::{self, Write};
use core::num::NonZeroU32;

use sup_abi::request::ModuleDemand;
use sup_abi::{Nanoseconds, Pages, R0Ptr, R3Ptr, SUPGIPMODE, Status};
use sup_alloc::Arc;
use sup_core::gip::GipTicker;
use sup_core::host::{
    AddressSpace, Allocation, Caller, ControlRegisters, CpuIdentity, CpuSummary, Host, LogLevel,
    ProbeRoom, ThreadId,
};
use sup_core::{LoadError, ModulePolicy};
use sup_ring0::absolute::Segments;
use sup_ring0::components::NativeFactory;
use sup_ring0::destructor::NativeDestructor;
use sup_ring0::exports::exports;
use sup_ring0::mapper::MappedImage;
use sup_ring0::tracer::NativeTracer;
use sup_ring0::{fire, own_probes};

use crate::calls::TaskCalls;
use crate::gip::GipPages;
use crate::image::ImagePages;
use crate::lock::{Mutex, SpinLock};
use crate::memory::Block;
use crate::process::{Client, UserMapping};
use crate::shim::page::UserAccess;
use crate::shim::user::UserAddress;
use crate::shim::{caller, log, ring0, task, time};
use crate::timer::GipTimer;
use crate::wait::Queue;
use crate::words::Words;
use crate::{Lock, cpu};

/// The host of the kernel's driver. Clones are the same host.
#[derive(Clone)]
pub(crate) struct KernelHost(Arc<Parts>);

struct Parts {
    timer: Lock<Mutex, Option<GipTimer>>,
    /// The bits that decide the paging mode stay as they are from the kernel's start on.
    registers: ControlRegisters,
    /// Those that the driver was started with.
    segments: Segments,
    policy: Arc<ModulePolicy>,
}

impl KernelHost {
    /// # Errors
    /// `VERR_NO_MEMORY`, `VERR_INVALID_PARAMETER` if the module's parameter `keys` is wrong.
    #[inline(never)]
    pub(crate) fn new() -> Result<Self, Status> {
        let parts = Parts {
            policy: policy()?,
            timer: Lock::new(None),
            registers: cpu::control_registers(),
            segments: cpu::segments(),
        };
        Ok(Self(Arc::try_new(parts)?))
    }

    /// The selectors that the driver was started with.
    pub(crate) fn start_segments(&self) -> Segments {
        self.0.segments
    }
}

/// What is demanded of code that comes into the kernel: a declaration that it is fit for it, by a holder
/// of one of the keys that came with the module. Without keys nothing is loaded.
#[inline(never)]
fn policy() -> Result<Arc<ModulePolicy>, Status> {
    let mut policy = ModulePolicy::new(ModuleDemand::KernelGrade);
    let mut index = 0_u32;
    while let Some(key) = caller::trusted_key(index).map_err(|_| Status::VERR_INVALID_PARAMETER)? {
        if !policy.trust(key) {
            return Err(Status::VERR_INVALID_PARAMETER);
        }
        index = index.saturating_add(1);
    }
    Ok(Arc::try_new(policy)?)
}

impl Host for KernelHost {
    type SpinLock = SpinLock;
    type Mutex = Mutex;
    type WaitQueue = Queue;
    type Client = Client;
    type WordPage = Words;
    type Memory = Block;
    type Image = MappedImage<ImagePages>;
    type Destructor = NativeDestructor;
    type Factory = NativeFactory;
    type Tracer = NativeTracer<TaskCalls>;
    type Gip = GipPages;
    type View = UserMapping;

    fn now(&self) -> Nanoseconds {
        time::now()
    }

    fn tsc(&self) -> u64 {
        cpu::tsc()
    }

    fn tsc_hz(&self) -> u64 {
        time::tsc_hz()
    }

    fn wait_resolution_ns(&self) -> u32 {
        time::resolution_ns()
    }

    fn caller(&self) -> Caller {
        caller::caller()
    }

    fn address_space(&self) -> AddressSpace {
        caller::address_space()
    }

    fn thread(&self) -> ThreadId {
        ThreadId(task::current_address() as u64)
    }

    fn read_ring0(&self, from: R0Ptr, into: &mut [u8]) -> Result<(), Status> {
        ring0::read(from, into).map_err(|_| Status::VERR_INVALID_POINTER)
    }

    fn write_ring0(&self, to: R0Ptr, bytes: &[u8]) -> Result<(), Status> {
        // SAFETY: the core writes into objects of modules that have told it of them to be written, which are
        // memory of modules alone.
        unsafe { ring0::write(to, bytes) }.map_err(|_| Status::VERR_INVALID_POINTER)
    }

    fn read_user(&self, from: R3Ptr, into: &mut [u8]) -> Result<(), Status> {
        UserAddress(from.get()).read(into).map_err(|_| Status::VERR_INVALID_POINTER)
    }

    fn write_user(&self, to: R3Ptr, bytes: &[u8]) -> Result<(), Status> {
        UserAddress(to.get()).write(bytes).map_err(|_| Status::VERR_INVALID_POINTER)
    }

    fn probe_room(&self) -> Option<ProbeRoom> {
        Some(own_probes::room(cpu::address_bits()))
    }

    fn fire_probe(&self, place: R0Ptr, arguments: [u64; 5]) {
        own_probes::fire(place, arguments);
    }

    fn aim_probes(&self, tracer: Option<&Self::Tracer>) {
        fire::aim(tracer.map(NativeTracer::entry));
        if tracer.is_none() {
            ring0::wait_for_probes();
        }
    }

    fn fill_random(&self, words: &mut [u64]) -> Result<(), Status> {
        words.fill_with(caller::random);
        Ok(())
    }

    fn log(&self, level: LogLevel, line: fmt::Arguments<'_>) {
        let mut text = log::Line::new();
        // A line that is full is cut.
        let _ = text.write_fmt(line);
        log::log(level, text.as_str());
    }

    fn word_page(&self) -> Result<Words, Status> {
        Words::zeroed()
    }

    fn map_words(&self, client: &Client, page: &Words) -> Result<UserMapping, Status> {
        UserMapping::new(client, page.pages(), UserAccess::Inherited)
    }

    fn allocate(&self, client: &Client, request: Allocation) -> Result<Block, Status> {
        Block::allocate(client, request)
    }

    fn lock(&self, _client: &Client, start: R3Ptr, pages: Pages) -> Result<Block, Status> {
        Block::lock(start, pages)
    }

    #[inline(never)]
    fn load_image(
        &self,
        name: &str,
        file: &[u8],
        provide: &mut dyn FnMut(&str) -> Option<R0Ptr>,
    ) -> Result<Self::Image, LoadError> {
        caller::may_load_code().map_err(|_| {
            LoadError::new(
                Status::VERR_PERMISSION_DENIED,
                format_args!(
                    "loading '{name}' into the kernel takes CAP_SYS_MODULE, and a kernel that is not \
                     locked down"
                ),
            )
        })?;
        let (exports, segments) = (exports::<Self>(), self.0.segments);
        let mut image = MappedImage::<ImagePages>::load(file, exports, segments, provide)?;
        image.memory_mut().show(name, file)?;
        Ok(image)
    }

    fn module_policy(&self) -> &ModulePolicy {
        &self.0.policy
    }

    fn may_see_ring0(&self) -> bool {
        caller::may_load_code().is_ok()
    }

    fn export_count(&self) -> u32 {
        u32::try_from(exports::<Self>().len()).unwrap_or(u32::MAX)
    }

    fn gip_memory(&self, cpus: u16) -> Result<GipPages, Status> {
        GipPages::new(cpus)
    }

    fn map_gip(&self, client: &Client, gip: &GipPages) -> Result<UserMapping, Status> {
        gip.map(client)
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
        // Taken out first: the ticks are waited for with no lock held.
        let timer = self.0.timer.lock().take();
        drop(timer);
    }

    /// Root may change it at any time in `/sys/module/supdrv/parameters/print_limit`.
    fn print_limit(&self) -> Option<NonZeroU32> {
        NonZeroU32::new(caller::print_limit())
    }

    /// `insmod supdrv.ko gip_mode=sync` or `async` decides for the machine.
    fn gip_mode_override(&self) -> Option<SUPGIPMODE> {
        match caller::gip_mode() {
            1 => Some(SUPGIPMODE::SyncTsc),
            2 => Some(SUPGIPMODE::AsyncTsc),
            _ => None,
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
        self.0.registers
    }

    fn cpuid(&self, leaf: u32, subleaf: u32) -> [u32; 4] {
        cpu::cpuid(leaf, subleaf)
    }

    fn read_msr(&self, register: u32) -> Option<u64> {
        cpu::read_msr(register)
    }
}
