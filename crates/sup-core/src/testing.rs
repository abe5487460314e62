//! [`TestHost`]: a host that exists in tests only, with everything in ordinary memory.
//!
//! Memory is numbers, an image is a file that starts with `image`, time moves when a test says so. What
//! it records (destructors and module calls that ran) shows order and count.

extern crate std;

pub(crate) mod bench;
mod queue;
pub(crate) mod tracer;

use core::ffi::CStr;
use core::fmt;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender};
use std::sync::{Arc as StdArc, Mutex};
use std::time::Duration;
use std::vec::Vec;

use sup_abi::request::ModuleDemand;
use sup_abi::{
    GroupId, Nanoseconds, PAGE_SIZE, Pages, PhysAddr, ProcessId, R0Ptr, R3Ptr, SUPGIPCPU,
    SUPGIPMODE, SUPGLOBALINFOPAGE, Status, UserId,
};

use self::queue::TestQueue;
use self::tracer::TestTracer;
use crate::gip::GipTicker;
use crate::host::*;
use crate::{LoadError, ModulePolicy, ObjectHandle, SessionHandle};

/// What happened in ring 0, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    Destroyed(u64),
    Init,
    Term,
    Unmapped,
    Service(u32),
    ProtectedUser(core::ops::Range<u32>, UserProtection),
    ProtectedKernel(core::ops::Range<u32>, KernelProtection),
    Vmm(u32),
}

/// What the parts of a test host share.
#[derive(Debug, Default)]
pub(crate) struct Record {
    pub(crate) events: Mutex<Vec<Event>>,
    /// Memory blocks, images and views that exist.
    pub(crate) live: AtomicU32,
    /// What `ModuleInit` returns.
    pub(crate) init_status: AtomicU32,
    /// Processors beyond the first; with any, the page is in asynchronous mode.
    pub(crate) more_cpus: AtomicU32,
    /// The address space that the host says to run in.
    pub(crate) address_space: AtomicU64,
    /// Added to the number of the user that the host says to act for; only the first sees ring 0.
    pub(crate) other_user: AtomicU32,
    /// The processor that the host says to run on.
    pub(crate) current_cpu: AtomicU32,
    /// Who is told that the symbol `meanwhile` is being looked up, and whom that look-up then waits for, if
    /// not for long: what it has locked may be what they need.
    pub(crate) look_up: Mutex<Option<(Sender<()>, Receiver<()>)>>,
    /// What `ModuleInit` does, with its handle and its image's base; else it returns `init_status`.
    pub(crate) on_init: Hook,
    /// Memory that the host can read and write, of both rings.
    pub(crate) memory: Mutex<Vec<(u64, Vec<u8>)>>,
    /// What was logged.
    pub(crate) log: Mutex<Vec<(LogLevel, std::string::String)>>,
    /// Whether hits of probes in ring 0 go to a tracer.
    pub(crate) has_aim: AtomicU32,
    /// How many calls into images have died in them.
    pub(crate) lost_calls: AtomicU32,
    next_address: AtomicU64,
    /// Nanoseconds, by which each look at the clock is later.
    pub(crate) clock: AtomicU64,
}

/// A function that a test gives to be called once.
#[derive(Default)]
pub(crate) struct Hook(pub(crate) Mutex<Option<Init>>);

/// What a test does in a `ModuleInit`.
pub(crate) type Init = std::boxed::Box<dyn FnOnce(R0Ptr, R0Ptr) -> Status + Send>;

impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hook")
    }
}

impl Record {
    /// Calls `with` with the bytes at an address, if they are there.
    pub(crate) fn at<R>(
        &self,
        address: u64,
        bytes: usize,
        with: impl FnOnce(&mut [u8]) -> R,
    ) -> Result<R, Status> {
        let mut memory = self.memory.lock().unwrap();
        let found = memory.iter_mut().find_map(|(start, region)| {
            let offset = usize::try_from(address.checked_sub(*start)?).ok()?;
            region.get_mut(offset..offset.checked_add(bytes)?)
        });
        found.map(with).ok_or(Status::VERR_INVALID_POINTER)
    }
}

/// A share in a record that counts as one living thing.
#[derive(Debug)]
pub(crate) struct Live(StdArc<Record>);

impl Live {
    fn new(record: &StdArc<Record>) -> Self {
        record.live.fetch_add(1, Ordering::Relaxed);
        Self(record.clone())
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.0.live.fetch_sub(1, Ordering::Relaxed);
    }
}

#[derive(Debug, Clone, Default)]
pub(crate) struct TestHost {
    pub(crate) record: StdArc<Record>,
}

impl TestHost {
    fn address(&self, bytes: u64) -> u64 {
        0x10_0000 + self.record.next_address.fetch_add(bytes, Ordering::Relaxed)
    }

    pub(crate) fn events(&self) -> Vec<Event> {
        std::mem::take(&mut *self.record.events.lock().unwrap())
    }
}

/// A destructor that records that it ran.
#[derive(Debug, Clone)]
pub(crate) struct TestDestructor {
    address: u64,
    record: StdArc<Record>,
    tag: u64,
}

impl TestDestructor {
    pub(crate) fn at(address: u64) -> Self {
        Self { address, record: StdArc::default(), tag: 0 }
    }

    pub(crate) fn recording(host: &TestHost, address: u64, tag: u64) -> Self {
        Self { address, record: host.record.clone(), tag }
    }
}

impl Destructor for TestDestructor {
    fn address(&self) -> R0Ptr {
        R0Ptr::new(self.address)
    }

    fn first_value(&self) -> R0Ptr {
        R0Ptr::new(self.tag)
    }

    fn run(self, _object: ObjectHandle) {
        self.record.events.lock().unwrap().push(Event::Destroyed(self.tag));
    }
}

/// A factory that is a closure over the UUID.
pub(crate) struct TestFactory {
    pub(crate) address: u64,
    pub(crate) answer: std::boxed::Box<dyn Fn(&CStr) -> u64 + Send + Sync>,
}

impl Factory for TestFactory {
    fn address(&self) -> R0Ptr {
        R0Ptr::new(self.address)
    }

    fn entry(&self) -> R0Ptr {
        R0Ptr::new(self.address)
    }

    fn query(&self, _session: SessionHandle, uuid: &CStr) -> R0Ptr {
        R0Ptr::new((self.answer)(uuid))
    }
}

#[derive(Debug, Clone)]
pub(crate) struct TestWords(StdArc<[AtomicU64; WORDS_PER_PAGE]>);

impl WordPage for TestWords {
    fn words(&self) -> &[AtomicU64; WORDS_PER_PAGE] {
        &self.0
    }
}

#[derive(Debug)]
pub(crate) struct TestMemory {
    user: u64,
    kernel: u64,
    pages: Pages,
    host: TestHost,
    _live: Live,
}

impl Memory for TestMemory {
    type KernelView = Live;

    fn pages(&self) -> Pages {
        self.pages
    }

    fn user_address(&self) -> R3Ptr {
        R3Ptr::new(self.user)
    }

    fn kernel_address(&self) -> R0Ptr {
        R0Ptr::new(self.kernel)
    }

    fn physical_address(&self, page: u32) -> PhysAddr {
        PhysAddr::new(self.user.max(self.kernel) + u64::from(page) * PAGE_SIZE as u64)
    }

    fn address_source(&self) -> AddressSource {
        AddressSource::Synthetic
    }

    fn map_kernel(&self, pages: core::ops::Range<u32>) -> Result<(R0Ptr, Live), Status> {
        let bytes = u64::from(pages.end - pages.start) * PAGE_SIZE as u64;
        Ok((R0Ptr::new(self.host.address(bytes)), Live::new(&self.host.record)))
    }

    fn protect_user(
        &self,
        pages: core::ops::Range<u32>,
        protection: UserProtection,
    ) -> Result<(), Status> {
        let event = Event::ProtectedUser(pages, protection);
        self.host.record.events.lock().unwrap().push(event);
        Ok(())
    }

    fn protect_kernel(
        &self,
        pages: core::ops::Range<u32>,
        protection: KernelProtection,
    ) -> Result<(), Status> {
        let event = Event::ProtectedKernel(pages, protection);
        self.host.record.events.lock().unwrap().push(event);
        Ok(())
    }
}

/// An image with one symbol for every entry point it is asked for.
#[derive(Debug)]
pub(crate) struct TestImage {
    base: u64,
    record: StdArc<Record>,
    _live: Live,
}

impl Drop for TestImage {
    fn drop(&mut self) {
        self.record.events.lock().unwrap().push(Event::Unmapped);
    }
}

impl Image for TestImage {
    fn base(&self) -> R0Ptr {
        R0Ptr::new(self.base)
    }

    fn bytes(&self) -> usize {
        PAGE_SIZE
    }

    fn symbol(&self, name: &str) -> Option<R0Ptr> {
        let pause = self.record.look_up.lock().unwrap().take_if(|_| name == "meanwhile");
        if let Some((told, others)) = pause {
            told.send(()).unwrap();
            let _ = others.recv_timeout(Duration::from_millis(100));
        }
        let offset = [
            "ModuleInit",
            "ModuleTerm",
            "handler",
            "other",
            "VMMR0EntryInt",
            "VMMR0EntryFast",
            "VMMR0EntryEx",
        ]
        .iter()
        .position(|known| *known == name)?;
        Some(R0Ptr::new(self.base + 16 * (offset as u64 + 1)))
    }

    fn entry_point(&self, name: &str) -> Option<EntryPoint> {
        self.symbol(name).map(EntryPoint)
    }

    fn is_lost(&self) -> bool {
        self.record.lost_calls.load(Ordering::Relaxed) != 0
    }

    fn call_init(&self, _entry: EntryPoint, module: R0Ptr) -> Status {
        self.record.events.lock().unwrap().push(Event::Init);
        let hook = self.record.on_init.0.lock().unwrap().take();
        if let Some(hook) = hook {
            return hook(module, self.base());
        }
        Status::new(self.record.init_status.load(Ordering::Relaxed).cast_signed())
    }

    fn call_term(&self, _entry: EntryPoint, _module: R0Ptr) {
        self.record.events.lock().unwrap().push(Event::Term);
    }

    fn call_service(&self, _entry: EntryPoint, call: ServiceCall<'_>) -> Status {
        self.record.events.lock().unwrap().push(Event::Service(call.operation));
        Status::new(call.argument as u32 as i32)
    }

    fn call_vmm(&self, _entry: EntryPoint, call: VmmCall<'_>) -> Status {
        self.record.events.lock().unwrap().push(Event::Vmm(call.operation));
        Status::new(call.argument as u32 as i32)
    }

    fn call_fast(_entry: EntryPoint, vm: R0Ptr, cpu: u32, operation: u32) {
        LAST_FAST_CALL.set((vm.get(), cpu, operation));
    }
}

std::thread_local! {
    /// VM, processor and operation of the thread's last fast call, which knows no image to record it.
    pub(crate) static LAST_FAST_CALL: std::cell::Cell<(u64, u32, u32)> =
        const { std::cell::Cell::new((0, 0, 0)) };
}

pub(crate) struct TestGip(SUPGLOBALINFOPAGE, Vec<SUPGIPCPU>);

#[expect(dead_code, reason = "counted as living while it exists")]
pub(crate) struct TestView(u64, Live);

impl View for TestView {
    fn address(&self) -> R3Ptr {
        R3Ptr::new(self.0)
    }
}

impl GipMemory for TestGip {
    fn page(&self) -> &SUPGLOBALINFOPAGE {
        &self.0
    }

    fn cpus(&self) -> &[SUPGIPCPU] {
        &self.1
    }

    fn physical_address(&self) -> PhysAddr {
        PhysAddr::new(0x6000)
    }

    fn address_source(&self) -> AddressSource {
        AddressSource::Synthetic
    }
}

impl Host for TestHost {
    type SpinLock = sup_alloc::locks::SpinLock;
    type Mutex = sup_alloc::locks::Mutex;
    type WaitQueue = TestQueue;
    type Client = ();
    type WordPage = TestWords;
    type Memory = TestMemory;
    type Image = TestImage;
    type Destructor = TestDestructor;
    type Factory = TestFactory;
    type Tracer = TestTracer;
    type Gip = TestGip;
    type View = TestView;

    fn now(&self) -> Nanoseconds {
        Nanoseconds::new(self.record.clock.fetch_add(1_000, Ordering::Relaxed))
    }

    fn tsc(&self) -> u64 {
        self.now().get()
    }

    fn now_and_tsc(&self) -> (Nanoseconds, u64) {
        let now = self.now();
        (now, now.get())
    }

    fn tsc_hz(&self) -> u64 {
        1_000_000_000
    }

    fn wait_resolution_ns(&self) -> u32 {
        50_000
    }

    fn caller(&self) -> Caller {
        let user = 7 + self.record.other_user.load(Ordering::Relaxed);
        Caller { user: UserId::new(user), group: GroupId::new(7), process: ProcessId::new(user) }
    }

    fn address_space(&self) -> AddressSpace {
        AddressSpace(self.record.address_space.load(Ordering::Relaxed))
    }

    fn thread(&self) -> ThreadId {
        std::thread_local! { static MARK: u8 = const { 0 } }
        ThreadId(MARK.with(|mark| core::ptr::from_ref(mark).addr() as u64))
    }

    fn read_ring0(&self, from: R0Ptr, into: &mut [u8]) -> Result<(), Status> {
        self.record.at(from.get(), into.len(), |bytes| into.copy_from_slice(bytes))
    }

    fn write_ring0(&self, to: R0Ptr, from: &[u8]) -> Result<(), Status> {
        self.record.at(to.get(), from.len(), |bytes| bytes.copy_from_slice(from))
    }

    fn read_user(&self, from: R3Ptr, into: &mut [u8]) -> Result<(), Status> {
        self.read_ring0(R0Ptr::new(from.get()), into)
    }

    fn write_user(&self, to: R3Ptr, from: &[u8]) -> Result<(), Status> {
        self.write_ring0(R0Ptr::new(to.get()), from)
    }

    fn aim_probes(&self, tracer: Option<&TestTracer>) {
        self.record.has_aim.store(tracer.is_some().into(), Ordering::SeqCst);
    }

    fn fill_random(&self, words: &mut [u64]) -> Result<(), Status> {
        static SEED: AtomicU64 = AtomicU64::new(1);
        for word in words {
            *word = SEED.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        }
        Ok(())
    }

    fn log(&self, level: LogLevel, line: fmt::Arguments<'_>) {
        self.record.log.lock().unwrap().push((level, std::format!("{line}")));
    }

    fn print_limit(&self) -> Option<core::num::NonZeroU32> {
        crate::logger::PRINT_LIMIT_DEFAULT
    }

    fn word_page(&self) -> Result<TestWords, Status> {
        Ok(TestWords(StdArc::new([const { AtomicU64::new(0) }; WORDS_PER_PAGE])))
    }

    fn map_words(&self, (): &(), _page: &TestWords) -> Result<TestView, Status> {
        Ok(TestView(self.address(PAGE_SIZE as u64), Live::new(&self.record)))
    }

    fn allocate(&self, (): &(), request: Allocation) -> Result<TestMemory, Status> {
        let bytes = request.pages.bytes();
        let [user, kernel] = match request.views {
            Views::User => [self.address(bytes), 0],
            Views::UserAndKernel => [(); 2].map(|()| self.address(bytes)),
            Views::Kernel => [0, self.address(bytes)],
        };
        let (host, _live) = (self.clone(), Live::new(&self.record));
        Ok(TestMemory { user, kernel, pages: request.pages, host, _live })
    }

    /// A process of the tests has all memory but the first gigabyte.
    fn lock(&self, (): &(), start: R3Ptr, pages: Pages) -> Result<TestMemory, Status> {
        if start.get() < 1 << 30 {
            return Err(Status::VERR_LOCK_FAILED);
        }
        let (host, _live) = (self.clone(), Live::new(&self.record));
        Ok(TestMemory { user: start.get(), kernel: 0, pages, host, _live })
    }

    /// An image that ends with `imports` needs what the VMM exports.
    fn load_image(
        &self,
        _name: &str,
        file: &[u8],
        provide: &mut dyn FnMut(&str) -> Option<R0Ptr>,
    ) -> Result<TestImage, LoadError> {
        if file.ends_with(b"imports") && provide("VMMR0EntryFast").is_none() {
            return Err(Status::VERR_SYMBOL_NOT_FOUND.into());
        }
        if !file.starts_with(b"image") {
            return Err(LoadError::new(Status::VERR_BAD_EXE_FORMAT, format_args!("not an image")));
        }
        let (record, live) = (self.record.clone(), Live::new(&self.record));
        Ok(TestImage { base: self.address(PAGE_SIZE as u64), record, _live: live })
    }

    fn module_policy(&self) -> &ModulePolicy {
        static POLICY: ModulePolicy = ModulePolicy::new(ModuleDemand::Nothing);
        &POLICY
    }

    fn may_see_ring0(&self) -> bool {
        self.record.other_user.load(Ordering::Relaxed) == 0
    }

    fn export_count(&self) -> u32 {
        3
    }

    fn gip_memory(&self, cpus: u16) -> Result<TestGip, Status> {
        let page = zerocopy::FromZeros::new_zeroed();
        let cpus = (0..cpus).map(|_| zerocopy::FromZeros::new_zeroed()).collect();
        Ok(TestGip(page, cpus))
    }

    fn map_gip(&self, (): &(), _gip: &TestGip) -> Result<TestView, Status> {
        Ok(TestView(self.address(PAGE_SIZE as u64), Live::new(&self.record)))
    }

    fn start_gip_timer(
        &self,
        _ticker: GipTicker<Self>,
        _interval: Nanoseconds,
    ) -> Result<(), Status> {
        Ok(())
    }

    fn stop_gip_timer(&self) {}

    fn gip_mode_override(&self) -> Option<SUPGIPMODE> {
        (self.cpus().online > 1).then_some(SUPGIPMODE::AsyncTsc)
    }

    fn cpus(&self) -> CpuSummary {
        let count = 1 + self.record.more_cpus.load(Ordering::Relaxed) as u16;
        CpuSummary { table_size: count, online: count, present: count, possible: count }
    }

    fn on_each_cpu(&self, visit: &mut dyn FnMut(CpuIdentity)) {
        for index in 0..self.cpus().online {
            self.record.current_cpu.store(index.into(), Ordering::Relaxed);
            visit(self.current_cpu());
        }
        self.record.current_cpu.store(0, Ordering::Relaxed);
    }

    fn current_cpu(&self) -> CpuIdentity {
        let index = self.record.current_cpu.load(Ordering::Relaxed);
        CpuIdentity { index: index as u16, apic: index }
    }

    fn control_registers(&self) -> ControlRegisters {
        ControlRegisters { cr0: 0x8000_0001, cr4: 0xa0, efer: 0xc00 }
    }

    fn cpuid(&self, _leaf: u32, _subleaf: u32) -> [u32; 4] {
        [0; 4]
    }

    fn read_msr(&self, _register: u32) -> Option<u64> {
        None
    }
}
