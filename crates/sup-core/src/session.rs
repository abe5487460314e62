//! [`Session`]: one client of the driver, and the owner of everything that it asked for.
//!
//! A session begins with an open of the device (or its equivalent) and ends when the backend closes
//! it. The backend guarantees that no request runs in a session that it closes; ring-0 code that still
//! names it by its [`SessionHandle`] is refused from the first step of the close on.
//!
//! The end of a session takes back, in this order: the handle in ring 0; with a session of ring 0, its
//! semaphores and component factories; the VM of its fast calls, semaphores (their waiters are woken),
//! references to objects (newest first; destructors run), providers, the tracer and user modules with
//! probes, memory blocks, module images (newest first; `ModuleTerm` runs), the mappings of words and of the
//! Global Information Page.
//!
//! Invariant: what a session owns is reachable only through it, and each table is guarded by its own
//! lock.

use sup_abi::request::{Counts, SessionId};
use sup_abi::{GroupId, ProcessId, R0Ptr, Status, UserId};
use sup_alloc::Arc;

use crate::host::{Caller, Host, random_words};
use crate::image::table::{ImageList, references_in};
use crate::logger::groups::{Group, LEVEL_2};
use crate::memory::MemoryTable;
use crate::object::SessionSlot;
use crate::segments::lock_with_room;
use crate::semaphore::table::{Block, SemaphoreTable};
use crate::tracer::SessionTracing;
use crate::tracer::own::Probe;
use crate::views::ViewTable;
use crate::vm::{FastCalls, VmState};
use crate::{Driver, Lock};

/// The opaque value that names a session in ring 0: `PSUPDRVSESSION`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionHandle(pub R0Ptr);

/// One client of the driver.
pub struct Session<H: Host> {
    id: SessionId,
    cookie: u32,
    handle: SessionHandle,
    caller: Caller,
    /// Where a kernel client keeps its handle.
    kept_at: R0Ptr,
    objects: SessionSlot,
    semaphores: Lock<H::SpinLock, SemaphoreTable<H>>,
    memory: Lock<H::Mutex, MemoryTable<H>>,
    images: Lock<H::Mutex, ImageList<H>>,
    views: Lock<H::Mutex, ViewTable<H>>,
    vm: Lock<H::Mutex, VmState<H>>,
    fast_calls: FastCalls<H>,
    tracing: Lock<H::SpinLock, SessionTracing<H>>,
    client: H::Client,
}

impl<H: Host> Session<H> {
    /// The random name that the client knows.
    pub fn id(&self) -> SessionId {
        self.id
    }

    /// The name in ring 0.
    pub fn handle(&self) -> SessionHandle {
        self.handle
    }

    /// Who opened it.
    pub fn caller(&self) -> Caller {
        self.caller
    }

    /// A page of the state words of its semaphores.
    pub fn word_page(&self, number: usize) -> Option<H::WordPage> {
        self.semaphores.lock().page(number)
    }

    /// The way into its processes.
    pub fn client(&self) -> &H::Client {
        &self.client
    }

    /// Refuses a session that a process opened.
    ///
    /// # Errors
    /// `VERR_ACCESS_DENIED`.
    pub fn require_kernel(&self) -> Result<(), Status> {
        if self.caller.process.is_nil() { Ok(()) } else { Err(Status::VERR_ACCESS_DENIED) }
    }

    pub(crate) fn kept_at(&self) -> R0Ptr {
        self.kept_at
    }

    pub(crate) fn cookie(&self) -> u32 {
        self.cookie
    }

    pub(crate) fn objects(&self) -> SessionSlot {
        self.objects
    }

    pub(crate) fn semaphores(&self) -> &Lock<H::SpinLock, SemaphoreTable<H>> {
        &self.semaphores
    }

    pub(crate) fn memory(&self) -> &Lock<H::Mutex, MemoryTable<H>> {
        &self.memory
    }

    pub(crate) fn views(&self) -> &Lock<H::Mutex, ViewTable<H>> {
        &self.views
    }

    pub(crate) fn vm(&self) -> &Lock<H::Mutex, VmState<H>> {
        &self.vm
    }

    pub(crate) fn fast_calls(&self) -> &FastCalls<H> {
        &self.fast_calls
    }

    pub(crate) fn tracing(&self) -> &Lock<H::SpinLock, SessionTracing<H>> {
        &self.tracing
    }

    pub(crate) fn images(&self) -> &Lock<H::Mutex, ImageList<H>> {
        &self.images
    }
}

impl<H: Host> core::fmt::Debug for Session<H> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Session").field("id", &self.id).field("caller", &self.caller).finish()
    }
}

impl<H: Host> Driver<H> {
    /// Opens a session for the calling process, which `client` leads into. The backend closes it with
    /// [`Driver::close_session`].
    ///
    /// # Errors
    /// `VERR_NO_MEMORY`, `VERR_GENERAL_FAILURE` if the host has no random numbers.
    ///
    /// # Context
    /// May sleep.
    pub fn open_session(&self, client: H::Client) -> Result<Arc<Session<H>>, Status> {
        self.open(self.host().caller(), client, R0Ptr::NIL)
    }

    /// Opens a session for a kernel client, which has no process, and keeps its handle at an address in
    /// ring 0. It is closed with [`Driver::close_kernel_session`].
    ///
    /// # Errors
    /// `VERR_NO_MEMORY`, `VERR_GENERAL_FAILURE` if the host has no random numbers.
    ///
    /// # Context
    /// May sleep.
    pub fn open_kernel_session(
        &self,
        client: H::Client,
        kept_at: R0Ptr,
    ) -> Result<Arc<Session<H>>, Status> {
        let nobody = Caller { user: UserId::NIL, group: GroupId::NIL, process: ProcessId::NIL };
        self.open(nobody, client, kept_at)
    }

    fn open(
        &self,
        caller: Caller,
        client: H::Client,
        kept_at: R0Ptr,
    ) -> Result<Arc<Session<H>>, Status> {
        // All at once, because generators are slow to start.
        let [id, seed, cookie] = random_words(self.host())?;
        let [c0, c1, c2, c3, ..] = cookie.to_le_bytes();
        let objects =
            lock_with_room(self.objects())?.add_session().ok_or(Status::VERR_NO_MEMORY)?;

        let give_back = || self.objects().lock().remove_session(objects);
        let reserve = || {
            let inserted = lock_with_room(self.sessions())?.insert_with(|_| None);
            inserted.ok_or(sup_alloc::OutOfMemory)
        };
        let handle = reserve().inspect_err(|_| give_back())?;
        let session = Arc::try_new(Session {
            id: SessionId(id),
            cookie: u32::from_le_bytes([c0, c1, c2, c3]),
            handle: SessionHandle(R0Ptr::new(handle.raw())),
            caller,
            kept_at,
            objects,
            semaphores: Lock::new(SemaphoreTable::new()),
            memory: Lock::new(MemoryTable::new(seed)),
            images: Lock::new(ImageList::new()),
            views: Lock::new(ViewTable::new()),
            vm: Lock::new(VmState::None),
            fast_calls: FastCalls::new(),
            tracing: Lock::new(SessionTracing::new()),
            client,
        });
        let mut sessions = self.sessions().lock();
        match session {
            Ok(session) => {
                if let Some(slot) = sessions.get_mut(handle) {
                    *slot = Some(session.clone());
                }
                drop(sessions);
                self.debug(Group::Sup, LEVEL_2, format_args!("{caller} opens a session"));
                self.probe(Probe::SessionOpen, || {
                    [session.handle.0.get(), caller.process.get().into()]
                });
                Ok(session)
            }
            Err(error) => {
                sessions.remove(handle);
                drop(sessions);
                give_back();
                Err(error.into())
            }
        }
    }

    /// Takes everything back that the session owns. No request may be running in it.
    ///
    /// # Context
    /// May sleep; runs destructors and `ModuleTerm`. No lock may be held.
    pub fn close_session(&self, session: Arc<Session<H>>) {
        let removed = self.sessions().lock().remove(session.handle.into());
        if removed.is_some() {
            self.end_factories(&session);
            self.end_session(&session);
        }
    }

    /// Takes back what calls from outside can be inside of, when the session's name is gone: factories. Their
    /// queries may sleep in its semaphores, so these go first.
    pub(crate) fn end_factories(&self, session: &Session<H>) {
        if session.require_kernel().is_ok() {
            self.end_semaphores(session);
            self.remove_components_of(session);
        }
    }

    fn end_semaphores(&self, session: &Session<H>) {
        let semaphores = session.semaphores.lock().take_all();
        semaphores.into_iter().for_each(Block::destroy);
    }

    /// The rest of a session's end, when its name and its factories are gone.
    pub(crate) fn end_session(&self, session: &Session<H>) {
        self.debug(Group::Sup, LEVEL_2, format_args!("{} closes a session", session.caller));
        self.probe(Probe::SessionClose, || [session.handle.0.get()]);
        self.clear_vm(session);
        self.end_semaphores(session);
        loop {
            let released = self.objects().lock().take_next_of(session.objects);
            let Some(released) = released else { break };
            let _ = self.object_released(released);
        }
        self.objects().lock().remove_session(session.objects);
        self.end_tracing_of_session(session);
        let memory = core::mem::replace(&mut *session.memory.lock(), MemoryTable::new(0));
        memory.free_all();
        self.free_all_modules(session);
        self.unmap_all(session);
    }

    /// Counts what the session owns.
    pub(crate) fn session_counts(&self, session: &Session<H>) -> Counts {
        let (memory_blocks, memory_pages) = {
            let memory = session.memory.lock();
            (memory.blocks(), memory.pages())
        };
        // One lock at a time: a guard inside the literal would live to its end.
        let objects = self.objects().lock().count_of(session.objects) as u64;
        let handles = session.semaphores.lock().count() as u64;
        let image_references = references_in(&session.images.lock());
        Counts { sessions: 1, objects, handles, memory_blocks, memory_pages, image_references }
    }
}
