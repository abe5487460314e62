//! [`Host`]: everything that the driver needs from an operating system.
//!
//! A backend implements this trait once. Everything that only unsafe code can do (mapping memory,
//! calling into a module, reading a register) is behind it, with a safe signature: the types that a
//! host returns ([`Memory`], [`Image`], [`Destructor`], ...) are the proof that the thing exists, and
//! dropping one gives it back.
//!
//! Contexts: a method may sleep unless its documentation says "never sleeps".

mod tracer;

pub use tracer::{Provider, ProviderDescription, Tracer};

use core::ffi::CStr;
use core::fmt;
use core::num::NonZeroU32;
use core::ops::Range;
use core::sync::atomic::AtomicU32;

use lock_api::RawMutex;
use sup_abi::{
    GroupId, Nanoseconds, Pages, PhysAddr, ProcessId, R0Ptr, R3Ptr, SUPGIPCPU, SUPGIPMODE,
    SUPGLOBALINFOPAGE, Status, UserId,
};

use crate::gip::GipTicker;
use crate::sync::AtomicU64;
use crate::{Deadline, LoadError, ModulePolicy, ObjectHandle, SessionHandle};

/// Words in ring 0 that stay for as long as the driver, at a multiple of 8 bytes.
#[derive(Debug, Clone, Copy)]
pub struct ProbeRoom {
    /// The words.
    pub words: &'static [AtomicU32],
    /// Where they are.
    pub address: R0Ptr,
    /// The width of addresses in ring 0.
    pub address_bits: u32,
}

/// An operating system, as far as the driver needs one.
pub trait Host: Sized + Send + Sync + 'static {
    /// A lock for a few instructions. Whoever holds one never sleeps.
    type SpinLock: RawMutex + Send + Sync + 'static;
    /// A lock that may be held across a sleep.
    type Mutex: RawMutex + Send + Sync + 'static;
    /// Where threads wait for a semaphore or for a module to come to rest.
    type WaitQueue: WaitQueue;
    /// The way into the processes of a session: what mapping memory there takes.
    type Client: Send + Sync + 'static;
    /// A page of words that a session's process shares with the driver.
    type WordPage: WordPage;
    /// A block of pages with its mappings.
    type Memory: Memory;
    /// A module image mapped for execution.
    type Image: Image;
    /// The function that a module wants called when an object dies.
    type Destructor: Destructor;
    /// The factory that a module registers.
    type Factory: Factory;
    /// A tracer in a module, or in another kernel driver.
    type Tracer: Tracer;
    /// The memory of the Global Information Page.
    type Gip: GipMemory;
    /// A mapping of words or of the Global Information Page in a process.
    type View: View;

    /// The monotonic clock: not changed by setting the time, stopped in suspend. Never sleeps.
    fn now(&self) -> Nanoseconds;

    /// The time stamp counter of the current processor. Never sleeps.
    fn tsc(&self) -> u64;

    /// The clock and the counter at one instant, as exactly as the host can take them. Never sleeps.
    fn now_and_tsc(&self) -> (Nanoseconds, u64) {
        crate::gip::sample(|| self.now(), || self.tsc())
    }

    /// Frequency of the time stamp counter in Hz, as well as it is known without the page's own
    /// measurement. The first call may take milliseconds.
    fn tsc_hz(&self) -> u64;

    /// The true resolution of a deadline in nanoseconds.
    fn wait_resolution_ns(&self) -> u32;

    /// Who the current thread acts for.
    fn caller(&self) -> Caller;

    /// The address space that the current thread runs in. Never sleeps.
    fn address_space(&self) -> AddressSpace;

    /// The current thread. Never sleeps.
    fn thread(&self) -> ThreadId;

    /// Copies memory of ring 0, as far as it can be read: any address may be given.
    ///
    /// # Errors
    /// `VERR_INVALID_POINTER`.
    fn read_ring0(&self, from: R0Ptr, into: &mut [u8]) -> Result<(), Status>;

    /// Writes memory of ring 0 that was just read, and that its owner has put there to be written.
    ///
    /// # Errors
    /// `VERR_INVALID_POINTER`.
    fn write_ring0(&self, to: R0Ptr, bytes: &[u8]) -> Result<(), Status>;

    /// Copies memory of the calling process, as far as it can be read: any address may be given.
    ///
    /// # Errors
    /// `VERR_INVALID_POINTER`.
    fn read_user(&self, from: R3Ptr, into: &mut [u8]) -> Result<(), Status>;

    /// Writes memory of the calling process, as far as it may write there itself.
    ///
    /// # Errors
    /// `VERR_INVALID_POINTER`.
    fn write_user(&self, to: R3Ptr, bytes: &[u8]) -> Result<(), Status>;

    /// From now on hits of probes in ring 0 go to this tracer, or nowhere. Returns when no thread is in
    /// the tracer before it with a hit.
    fn aim_probes(&self, tracer: Option<&Self::Tracer>);

    /// Fills `words` with unpredictable values.
    ///
    /// # Errors
    /// `VERR_GENERAL_FAILURE` if the host has none to give.
    fn fill_random(&self, words: &mut [u64]) -> Result<(), Status>;

    /// Room in ring 0 for the object of the driver's own probes; `None` on a host without tracers.
    fn probe_room(&self) -> Option<ProbeRoom> {
        None
    }

    /// Sends a hit of one of the driver's own probes to the tracer, if there is one. Sleeps only if that does.
    fn fire_probe(&self, _location: R0Ptr, _arguments: [u64; 5]) {}

    /// Writes one line to the host's log. Never sleeps.
    fn log(&self, level: LogLevel, line: fmt::Arguments<'_>);

    /// How many lines a second each module may print; `None`: as many as it likes. Never sleeps.
    fn print_limit(&self) -> Option<NonZeroU32>;

    /// A zeroed page of words.
    ///
    /// # Errors
    /// `VERR_NO_MEMORY`.
    fn word_page(&self) -> Result<Self::WordPage, Status>;

    /// Maps a page of words into the calling process, readable and writable.
    ///
    /// # Errors
    /// `VERR_NO_MEMORY` or `VERR_MAP_FAILED`.
    fn map_words(&self, client: &Self::Client, page: &Self::WordPage)
    -> Result<Self::View, Status>;

    /// Allocates zeroed, locked pages and maps them as asked, into the calling process where ring 3
    /// gets a mapping.
    ///
    /// # Errors
    /// What the host ran out of; the caller replaces it by the status of the service. Nothing is left.
    fn allocate(&self, client: &Self::Client, request: Allocation) -> Result<Self::Memory, Status>;

    /// Pins `pages` pages of the calling process from `start` on, which is page aligned, and where the
    /// range does not wrap. Contents are untouched. The block has no mapping in ring 0 yet.
    ///
    /// # Errors
    /// `VERR_LOCK_FAILED` if not all of it is mapped and writable, `VERR_NO_MEMORY` if memory is out or
    /// the caller's limit on locked memory is reached, with that in the log. Nothing stays pinned.
    fn lock(
        &self,
        client: &Self::Client,
        start: R3Ptr,
        pages: Pages,
    ) -> Result<Self::Memory, Status>;

    /// Checks and maps the image of a module. Its imports are what `provide` finds, and else the driver's
    /// exports. Nothing of the module runs.
    ///
    /// # Errors
    /// The specification's status and a sentence. Nothing is left.
    fn load_image(
        &self,
        name: &str,
        file: &[u8],
        provide: &mut dyn FnMut(&str) -> Option<R0Ptr>,
    ) -> Result<Self::Image, LoadError>;

    /// What is demanded of modules. The same for as long as the driver runs. Never sleeps.
    fn module_policy(&self) -> &ModulePolicy;

    /// Whether the current thread may know of ring 0 what is kept from others: where code lies, and whose
    /// sessions use it. Who may bring code into ring 0 can find out anyway.
    fn may_see_ring0(&self) -> bool;

    /// Number of functions that modules can import.
    fn export_count(&self) -> u32;

    /// Allocates the zeroed memory of the Global Information Page for `cpus` processors.
    ///
    /// # Errors
    /// `VERR_NO_MEMORY`.
    fn gip_memory(&self, cpus: u16) -> Result<Self::Gip, Status>;

    /// Maps the Global Information Page into the calling process, read-only for ever.
    ///
    /// # Errors
    /// `VERR_NO_MEMORY` or `VERR_MAP_FAILED`.
    fn map_gip(&self, client: &Self::Client, gip: &Self::Gip) -> Result<Self::View, Status>;

    /// Starts to call `ticker` every `interval`: on whatever processor, or on every online processor
    /// if it [is per processor](GipTicker::is_per_cpu). The first calls come at once.
    ///
    /// # Errors
    /// What kept the timer from starting.
    fn start_gip_timer(&self, ticker: GipTicker<Self>, interval: Nanoseconds)
    -> Result<(), Status>;

    /// Stops the calls and returns when none is running. Does nothing if there is no timer.
    fn stop_gip_timer(&self);

    /// The mode that an administrator ordered for the Global Information Page, if any.
    fn gip_mode_override(&self) -> Option<SUPGIPMODE>;

    /// The processors of the machine.
    fn cpus(&self) -> CpuSummary;

    /// Calls `visit` on each processor in turn that is online, as far as the host can.
    fn on_each_cpu(&self, visit: &mut dyn FnMut(CpuIdentity));

    /// The processor that the caller runs on. It may have changed when this returns. Never sleeps.
    fn current_cpu(&self) -> CpuIdentity;

    /// The registers that decide the paging mode, or what stands in for them.
    fn control_registers(&self) -> ControlRegisters;

    /// `CPUID` on the current processor: EAX, EBX, ECX, EDX. Never sleeps.
    fn cpuid(&self, leaf: u32, subleaf: u32) -> [u32; 4];

    /// A model specific register of the current processor, if the host can read it.
    fn read_msr(&self, register: u32) -> Option<u64>;
}

/// How a line of log concerns its reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    /// Something failed that should not have.
    Error,
    /// Something is odd, and the driver goes on.
    Warning,
    /// What a module or the driver has to say.
    Info,
    /// For those who develop the driver.
    Debug,
}

/// Who asks: taken once when a session is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    /// The real user.
    pub user: UserId,
    /// The real group.
    pub group: GroupId,
    /// The process.
    pub process: ProcessId,
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.process.is_nil() {
            return f.write_str("ring 0");
        }
        write!(f, "process {} of user {}", self.process.get(), self.user.get())
    }
}

/// A thread, by a number that no other has while it lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ThreadId(pub u64);

/// The name of an address space, unique while a [`View`] in it exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressSpace(pub u64);

/// A queue of waiting threads. It holds no state of its own beyond who waits: the condition is the
/// caller's, and is evaluated again whenever somebody was woken.
pub trait WaitQueue: Send + Sync + Default + 'static {
    /// Blocks until `ready` gives a value.
    ///
    /// `ready` is called first, and after every wake-up, and once more before the wait gives up. A
    /// wake-up that comes after the condition changed is never lost: the thread is in the queue
    /// before `ready` is called.
    ///
    /// # Errors
    /// [`WaitEnd`], and `ready` had nothing to give.
    fn wait<R>(&self, wait: Wait, ready: impl FnMut() -> Option<R>) -> Result<R, WaitEnd>;

    /// Lets one waiting thread evaluate its condition. Never sleeps.
    fn wake_one(&self);

    /// Lets every waiting thread evaluate its condition. Never sleeps.
    fn wake_all(&self);
}

/// How long a wait may take, and what may end it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wait {
    /// When it gives up.
    pub deadline: Deadline,
    /// Whether a signal to the thread ends it.
    pub interruption: Interruption,
}

/// Whether a signal to the thread ends its wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interruption {
    /// It does.
    Allowed,
    /// The wait goes on.
    Ignored,
}

/// Why a wait ended without what it waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitEnd {
    /// The deadline is over.
    TimedOut,
    /// A signal came in.
    Interrupted,
}

impl From<WaitEnd> for Status {
    fn from(end: WaitEnd) -> Self {
        match end {
            WaitEnd::TimedOut => Status::VERR_TIMEOUT,
            WaitEnd::Interrupted => Status::VERR_INTERRUPTED,
        }
    }
}

/// Words in a [`WordPage`].
pub const WORDS_PER_PAGE: usize = 512;

/// A page of words that a session's process shares with the driver. Clones are the same page.
///
/// The process may write anything there at any time.
pub trait WordPage: Clone + Send + Sync + 'static {
    /// The words.
    fn words(&self) -> &[AtomicU64; WORDS_PER_PAGE];
}

/// What [`Host::allocate`] shall give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allocation {
    /// How many pages.
    pub pages: Pages,
    /// Where in physical memory.
    pub placement: Placement,
    /// Who sees them.
    pub views: Views,
}

/// Where pages have to lie in physical memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    /// Anywhere.
    Anywhere,
    /// Below 4 GiB.
    Below4GiB,
    /// Below 4 GiB, in one run.
    ContiguousBelow4GiB,
}

/// Which mappings a block gets. Each is readable and writable, and never executable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Views {
    /// In the calling process.
    User,
    /// In the calling process and in ring 0.
    UserAndKernel,
    /// In ring 0 alone.
    Kernel,
}

/// A block of pages with its mappings. Dropping it unmaps ring 3, then ring 0, then frees the pages.
///
/// A block of locked pages has the same face: its mapping in ring 3 is the process' own and stays.
pub trait Memory: Send + Sync + 'static {
    /// A further mapping in ring 0. It may outlive the block, and keeps the pages.
    type KernelView: Send + 'static;

    /// Number of pages.
    fn pages(&self) -> Pages;
    /// The mapping in the process that allocated the block, NIL if there is none.
    fn user_address(&self) -> R3Ptr;
    /// The mapping in ring 0, NIL if there is none.
    fn kernel_address(&self) -> R0Ptr;
    /// Physical address of page `page`; NIL if there is no such page.
    fn physical_address(&self, page: u32) -> PhysAddr;
    /// Whose numbers the physical addresses are.
    fn address_source(&self) -> AddressSource;

    /// Maps a range of the block's pages into ring 0, readable and writable, never executable.
    ///
    /// # Errors
    /// `VERR_MAP_FAILED`, `VERR_NO_MEMORY`.
    fn map_kernel(&self, pages: Range<u32>) -> Result<(R0Ptr, Self::KernelView), Status>;

    /// Changes what the process may do with a range of its mapping; never makes it executable.
    ///
    /// # Errors
    /// `VERR_INVALID_PARAMETER` if the calling process has no longer mapped all of it; what the host ran
    /// out of.
    fn protect_user(&self, pages: Range<u32>, protection: UserProtection) -> Result<(), Status>;

    /// Changes what ring 0 may do with a range of the mapping at
    /// [`kernel_address`](Self::kernel_address), on every processor when this returns.
    ///
    /// # Errors
    /// `VERR_INVALID_PARAMETER` if there is no such mapping; `VERR_PERMISSION_DENIED` if the caller may
    /// not bring code into ring 0 and asks for execution; what the host ran out of.
    fn protect_kernel(&self, pages: Range<u32>, protection: KernelProtection)
    -> Result<(), Status>;
}

/// What a process may do with pages of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UserProtection {
    /// Nothing.
    Nothing,
    /// Read.
    Read,
    /// Read and write: no processor has pages that can only be written.
    ReadWrite,
}

/// What ring 0 may do with pages of a block. Nothing is ever writable and executable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KernelProtection {
    /// Nothing.
    Nothing,
    /// Read.
    Read,
    /// Read and write.
    ReadWrite,
    /// Read and run.
    ReadExecute,
}

/// Whose numbers physical addresses are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressSource {
    /// The machine's.
    Machine,
    /// The driver's own: unique, stable, and within the limits that the service promises.
    Synthetic,
}

/// A place in a module image where execution may enter: made by an [`Image`] for itself only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntryPoint(pub R0Ptr);

/// A module image mapped for execution, relocated and bound. Dropping it unmaps it.
///
/// The driver never drops an image while one of the calls below runs.
pub trait Image: Send + Sync + 'static {
    /// Where it starts.
    fn base(&self) -> R0Ptr;
    /// How many bytes it takes.
    fn bytes(&self) -> usize;
    /// The address of an exported symbol.
    fn symbol(&self, name: &str) -> Option<R0Ptr>;
    /// An exported function, if it lies in an executable part of the image.
    fn entry_point(&self, name: &str) -> Option<EntryPoint>;
    /// Calls `int entry(void *hMod)`.
    fn call_init(&self, entry: EntryPoint, module: R0Ptr) -> Status;
    /// Calls `void entry(void *hMod)`.
    fn call_term(&self, entry: EntryPoint, module: R0Ptr);
    /// Calls `int entry(PSUPDRVSESSION, uint32_t uOperation, uint64_t u64Arg, PSUPR0SERVICEREQHDR)`.
    fn call_service(&self, entry: EntryPoint, call: ServiceCall<'_>) -> Status;
    /// Calls `int entry(PVM, VMCPUID, unsigned uOperation, PSUPVMMR0REQHDR, uint64_t u64Arg,
    /// PSUPDRVSESSION)`.
    fn call_vmm(&self, entry: EntryPoint, call: VmmCall<'_>) -> Status;
    /// Calls `void entry(PVM, VMCPUID, unsigned uOperation)`. Without the image, which would have to be
    /// looked for: the driver takes entries of images only, while it keeps them from being dropped.
    fn call_fast(entry: EntryPoint, vm: R0Ptr, cpu: u32, operation: u32);
    /// Whether a thread died in a call into the image, so that this call never returns. It stays so.
    fn is_lost(&self) -> bool {
        false
    }
}

/// One call of a service.
#[derive(Debug)]
pub struct ServiceCall<'a> {
    /// On whose behalf.
    pub session: SessionHandle,
    /// The operation, for the service to interpret.
    pub operation: u32,
    /// The argument, for the service to interpret.
    pub argument: u64,
    /// The request packet, aligned to 8 bytes, changed in place; starts with its checked header.
    pub packet: Option<&'a mut [u8]>,
}

/// One call of VMMR0's entry for all that is not fast.
#[derive(Debug)]
pub struct VmmCall<'a> {
    /// On whose behalf.
    pub session: SessionHandle,
    /// The VM, as ring 3 names it: for VMMR0 to check.
    pub vm: R0Ptr,
    /// The virtual processor, for VMMR0 to interpret.
    pub cpu: u32,
    /// The operation, for VMMR0 to interpret.
    pub operation: u32,
    /// The argument, for VMMR0 to interpret.
    pub argument: u64,
    /// The request packet, aligned to 8 bytes, changed in place; starts with its checked header.
    pub packet: Option<&'a mut [u8]>,
}

/// The function that a module wants called when an object of its own dies.
pub trait Destructor: Send + 'static {
    /// Where it is, to find out whether it lies in an image that shall be unloaded.
    fn address(&self) -> R0Ptr;
    /// The first of the two values that the module registered with it.
    fn first_value(&self) -> R0Ptr;
    /// Calls it, once.
    fn run(self, object: ObjectHandle);
}

/// A factory of interfaces in a module.
pub trait Factory: Send + Sync + 'static {
    /// Where its structure is, which is its identity.
    fn address(&self) -> R0Ptr;
    /// Where its function is.
    fn entry(&self) -> R0Ptr;
    /// Asks it for an interface on behalf of a session; NIL if it has none.
    fn query(&self, session: SessionHandle, uuid: &CStr) -> R0Ptr;
}

/// The memory of the Global Information Page.
pub trait GipMemory: Send + Sync + 'static {
    /// The head of the page.
    fn page(&self) -> &SUPGLOBALINFOPAGE;
    /// The entries of the processors.
    fn cpus(&self) -> &[SUPGIPCPU];
    /// Physical address of the page.
    fn physical_address(&self) -> PhysAddr;
    /// Whose number that is.
    fn address_source(&self) -> AddressSource;
}

/// A mapping in the process that asked for it. Dropping it unmaps it, from whatever process.
pub trait View: Send + 'static {
    /// Where it is.
    fn address(&self) -> R3Ptr;
}

/// The processors of the machine, as counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CpuSummary {
    /// The highest set index that a processor may ever have, plus one.
    pub table_size: u16,
    /// Processors that run.
    pub online: u16,
    /// Processors that are there.
    pub present: u16,
    /// Processors that may ever be there.
    pub possible: u16,
}

/// One processor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CpuIdentity {
    /// Its number in the host, which is also its index in processor sets.
    pub index: u16,
    /// Its APIC id.
    pub apic: u32,
}

/// The registers that decide the paging mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ControlRegisters {
    /// CR0.
    pub cr0: u64,
    /// CR4.
    pub cr4: u64,
    /// The EFER MSR.
    pub efer: u64,
}

/// Words that are neither guessable nor zero, for the names of sessions and for cookies.
pub(crate) fn random_words<const N: usize>(host: &impl Host) -> Result<[u64; N], Status> {
    let mut words = [0_u64; N];
    host.fill_random(&mut words)?;
    Ok(words.map(|word| word.max(1)))
}
