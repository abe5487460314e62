//! [`Driver`]: the whole support driver, for one host.
//!
//! A backend starts one, opens sessions in it and drops it when the last session is closed. The
//! services are methods of `Driver`, each in the file of the object that it concerns.
//!
//! Start: cookie, Global Information Page, and the processors that the backend tells of. Stop (drop): the page's magic is cleared, then its memory
//! goes; no timer runs and no image is loaded any more, because no session is open.

use sup_abi::request::Counts;
use sup_abi::{PhysAddr, R0Ptr, SUPDRVOBJTYPE, SUPGLOBALINFOPAGE, Status};
use sup_alloc::Arc;

use crate::components::ComponentTable;
use crate::gip::Gip;
use crate::host::{CpuIdentity, GipMemory, Host, random_words};
use crate::image::calls::Ended;
use crate::image::table::ImageTable;
use crate::logger::{Loggers, Printers};
use crate::object::{Blocking, ObjectHandle, Registry, Released};
use crate::segments::lock_with_room;
use crate::slots::{Handle, HandleKind, Slots};
use crate::tracer::Tracing;
use crate::tracer::own::{OwnProbes, Probe};
use crate::{Lock, Session, SessionHandle};

/// All sessions; `None` for one that is just being opened.
type SessionTable<H> = Slots<Option<Arc<Session<H>>>>;

/// The support driver.
pub struct Driver<H: Host> {
    host: H,
    cookie: u32,
    gip: Arc<Gip<H>>,
    sessions: Lock<H::SpinLock, SessionTable<H>>,
    objects: Lock<H::SpinLock, Registry<H::Destructor>>,
    images: Lock<H::Mutex, ImageTable<H>>,
    ended_calls: Ended<H>,
    components: Lock<H::Mutex, ComponentTable<H>>,
    tracing: Tracing<H>,
    own_probes: OwnProbes,
    loggers: Loggers<H>,
    printers: Printers,
    /// The handles that modules know themselves by.
    modules: Lock<H::SpinLock, Slots<()>>,
}

impl<H: Host> Driver<H> {
    /// Starts a driver. The backend then tells of each processor that is there
    /// ([`cpu_comes`](Self::cpu_comes)), and from then on of each that comes or goes.
    ///
    /// # Errors
    /// `VERR_NO_MEMORY`, `VERR_TOO_MANY_CPUS`, `VERR_GENERAL_FAILURE` if the host has no random
    /// numbers. Nothing is left.
    ///
    /// # Context
    /// May sleep.
    #[inline(never)]
    pub fn start(host: H) -> Result<Arc<Self>, Status> {
        let [cookie] = random_words(&host)?;
        let [c0, c1, c2, c3, ..] = cookie.to_le_bytes();
        let gip = Arc::try_new(Gip::new(&host)?)?;
        let own_probes = OwnProbes::prepare(&host)?;
        let printers = Printers::try_new()?;
        // In its place at once: stacks in the kernel are short.
        let driver = Arc::try_new_with(|| Self {
            own_probes,
            host,
            cookie: u32::from_le_bytes([c0, c1, c2, c3]),
            gip,
            sessions: Lock::new(Slots::new(HandleKind::Session)),
            objects: Lock::new(Registry::new()),
            images: Lock::new(ImageTable::new()),
            ended_calls: Ended::new(),
            components: Lock::new(ComponentTable::new()),
            tracing: Tracing::new(),
            loggers: Loggers::new(),
            printers,
            modules: Lock::new(Slots::new(HandleKind::Module)),
        })?;
        driver.register_own_probes()?;
        Ok(driver)
    }

    /// The host.
    pub fn host(&self) -> &H {
        &self.host
    }

    /// The session behind the name that ring-0 code gives.
    ///
    /// # Errors
    /// `VERR_INVALID_PARAMETER` if no such session is open.
    ///
    /// # Context
    /// Never sleeps.
    pub fn session(&self, handle: SessionHandle) -> Result<Arc<Session<H>>, Status> {
        let sessions = self.sessions.lock();
        let session = sessions.get(handle.into()).and_then(Option::clone);
        session.ok_or(Status::VERR_INVALID_PARAMETER)
    }

    /// Corresponds to `SUPR0ObjRegister`. The type is one of the header's; `Invalid` is refused.
    ///
    /// # Errors
    /// `VERR_INVALID_PARAMETER`, `VERR_NO_MEMORY`.
    ///
    /// # Context
    /// May sleep.
    pub fn object_register(
        &self,
        session: &Session<H>,
        kind: SUPDRVOBJTYPE,
        destructor: H::Destructor,
    ) -> Result<ObjectHandle, Status> {
        if kind == SUPDRVOBJTYPE::Invalid {
            return Err(Status::VERR_INVALID_PARAMETER);
        }
        let creator = session.caller().user;
        let object = lock_with_room(&self.objects)?
            .register(session.objects(), kind, creator, destructor)
            .ok_or(Status::VERR_NO_MEMORY)?;
        let ObjectHandle(address) = object;
        self.probe(Probe::ObjectCreate, || {
            [session.handle().0.get(), address.get(), u32::from(kind).into()]
        });
        Ok(object)
    }

    /// Corresponds to `SUPR0ObjAddRef` and `SUPR0ObjAddRefEx`.
    ///
    /// # Errors
    /// `VERR_INVALID_PARAMETER` if there never was such an object, `VERR_WRONG_ORDER` if it is dead,
    /// `VERR_NO_MEMORY`; without blocking `VERR_TRY_AGAIN` if the session would need memory for its
    /// first reference.
    ///
    /// # Context
    /// May sleep if `blocking` allows it.
    pub fn object_add_ref(
        &self,
        session: &Session<H>,
        object: ObjectHandle,
        blocking: Blocking,
    ) -> Result<(), Status> {
        match blocking {
            Blocking::Allowed => lock_with_room(&self.objects)?.add_ref(object, session.objects()),
            Blocking::Never => self.objects.lock().add_ref(object, session.objects()),
        }
    }

    /// Corresponds to `SUPR0ObjRelease`. Returns `VINF_OBJECT_DESTROYED` if it was the last reference.
    ///
    /// # Errors
    /// `VERR_INVALID_PARAMETER` if the object is not alive or the session has no reference to it.
    ///
    /// # Context
    /// Runs the destructor of an object that dies, with no lock held.
    pub fn object_release(
        &self,
        session: &Session<H>,
        object: ObjectHandle,
    ) -> Result<Status, Status> {
        let released = self.objects.lock().release(object, session.objects())?;
        Ok(self.object_released(released))
    }

    /// Calls the destructor if it was the last reference, and says what happened.
    pub(crate) fn object_released(&self, released: Released<H::Destructor>) -> Status {
        if let Some(ObjectHandle(address)) = released.last() {
            self.probe(Probe::ObjectDestroy, || [address.get()]);
        }
        released.finish()
    }

    /// Corresponds to `SUPR0ObjVerifyAccess`: the creator's user may, and root.
    ///
    /// # Errors
    /// `VERR_INVALID_PARAMETER` if the object is not alive, `VERR_PERMISSION_DENIED`.
    ///
    /// # Context
    /// Never sleeps.
    pub fn object_verify_access(
        &self,
        session: &Session<H>,
        object: ObjectHandle,
    ) -> Result<(), Status> {
        self.objects.lock().verify_access(object, session.caller().user)
    }

    /// The Global Information Page, as ring 0 sees it. Corresponds to `SUPGetGIP`.
    pub fn gip_page(&self) -> &SUPGLOBALINFOPAGE {
        self.gip.memory().page()
    }

    /// A processor came online, or was there when the driver started. In asynchronous mode the caller
    /// runs on it. Of one that is known to be there nothing changes.
    ///
    /// # Context
    /// Never sleeps.
    pub fn cpu_comes(&self, cpu: CpuIdentity) {
        self.gip.cpu_comes(&self.host, cpu);
    }

    /// The processor with this set index goes offline.
    ///
    /// # Context
    /// Never sleeps.
    pub fn cpu_goes(&self, index: u16) {
        self.gip.cpu_goes(index);
    }

    /// The physical address of the Global Information Page.
    pub fn gip_physical_address(&self) -> PhysAddr {
        self.gip.memory().physical_address()
    }

    /// Counts what all sessions own together.
    ///
    /// # Context
    /// May sleep.
    pub fn counts(&self) -> Counts {
        // One lock at a time: a guard inside the literal would live to its end.
        let objects = self.objects.lock().count() as u64;
        let image_references = self.images.lock().references();
        let mut counts = Counts {
            sessions: 0,
            objects,
            handles: 0,
            memory_blocks: 0,
            memory_pages: 0,
            image_references,
        };
        // One session at a time and by handle: their own locks are not taken under this one.
        let mut after = None;
        while let Some((handle, session)) = self.session_after(after) {
            let of_session = self.session_counts(&session);
            counts.sessions = counts.sessions.saturating_add(1);
            counts.handles = counts.handles.saturating_add(of_session.handles);
            counts.memory_blocks = counts.memory_blocks.saturating_add(of_session.memory_blocks);
            counts.memory_pages = counts.memory_pages.saturating_add(of_session.memory_pages);
            after = Some(handle);
        }
        counts
    }

    /// The next open session in the order of their slots.
    pub(crate) fn session_after(&self, after: Option<Handle>) -> Option<(Handle, Arc<Session<H>>)> {
        let sessions = self.sessions.lock();
        sessions.iter_after(after).find_map(|(handle, session)| Some((handle, session.clone()?)))
    }

    pub(crate) fn cookie(&self) -> u32 {
        self.cookie
    }

    pub(crate) fn gip(&self) -> &Arc<Gip<H>> {
        &self.gip
    }

    pub(crate) fn sessions(&self) -> &Lock<H::SpinLock, SessionTable<H>> {
        &self.sessions
    }

    pub(crate) fn objects(&self) -> &Lock<H::SpinLock, Registry<H::Destructor>> {
        &self.objects
    }

    pub(crate) fn images(&self) -> &Lock<H::Mutex, ImageTable<H>> {
        &self.images
    }

    pub(crate) fn own_probes(&self) -> &OwnProbes {
        &self.own_probes
    }

    pub(crate) fn ended_calls(&self) -> &Ended<H> {
        &self.ended_calls
    }

    pub(crate) fn components(&self) -> &Lock<H::Mutex, ComponentTable<H>> {
        &self.components
    }

    pub(crate) fn loggers(&self) -> &Loggers<H> {
        &self.loggers
    }

    pub(crate) fn printers(&self) -> &Printers {
        &self.printers
    }

    pub(crate) fn tracing(&self) -> &Tracing<H> {
        &self.tracing
    }

    pub(crate) fn modules(&self) -> &Lock<H::SpinLock, Slots<()>> {
        &self.modules
    }
}

impl From<SessionHandle> for Handle {
    fn from(session: SessionHandle) -> Self {
        let SessionHandle(pointer) = session;
        Handle::from_raw(R0Ptr::get(pointer))
    }
}

impl<H: Host> core::fmt::Debug for Driver<H> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Driver").field("counts", &self.counts()).finish_non_exhaustive()
    }
}

impl<H: Host> Drop for Driver<H> {
    fn drop(&mut self) {
        self.end_all_printing();
    }
}
