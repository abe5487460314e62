//! Who loaded which image: the driver-wide table, and each session's own list.
//!
//! Loading and freeing are methods of the [`Driver`], because they concern the table, a session's list
//! and the objects whose destructors lie in an image.
//!
//! Lock order: the table (sleeping), then a session's list (sleeping), then the object registry.
//!
//! Invariant: an entry's `references` is the sum of the counts in all sessions' lists, and one more for an image
//! in which a thread died; an image is retired when neither those nor dependents are left.

use sup_abi::{R0Ptr, Status};
use sup_alloc::{Arc, Vec};

use super::calls::{Call, Drained};
use super::policy::{Admitted, Signer};
use super::vmm::{VmmEntries, import, refuse_service};
use super::{LoadError, LoadedImage, ModuleName, Rest, checked_name};
use crate::host::{Host, Image, LogLevel};
use crate::logger::groups::{Group, LEVEL_1};
use crate::segments::lock_with_room;
use crate::slots::Handle;
use crate::tracer::own::Probe;
use crate::{Driver, Session};

pub(super) enum State<H: Host> {
    /// Some thread loads or unloads it.
    Busy,
    Live {
        loaded: Arc<LoadedImage<H>>,
        /// Of the sessions that loaded it.
        references: u64,
        /// Of the VMM: modules that import from it, and sessions whose VM is set.
        dependents: u64,
    },
}

pub(super) struct Entry<H: Host> {
    pub(super) name: ModuleName,
    rest: Arc<Rest<H>>,
    pub(super) state: State<H>,
}

impl<H: Host> Entry<H> {
    /// Takes so many off. If none is left, the image is to be retired, and the entry is busy until then.
    #[must_use]
    pub(super) fn give_back(&mut self, fewer: u64, fewer_dependents: u64) -> Option<Arc<Rest<H>>> {
        let State::Live { references, dependents, .. } = &mut self.state else { return None };
        *references = references.saturating_sub(fewer);
        *dependents = dependents.saturating_sub(fewer_dependents);
        if (*references, *dependents) != (0, 0) {
            return None;
        }
        self.rest.set(true);
        self.state = State::Busy;
        Some(self.rest.clone())
    }
}

/// All images. The driver guards it with a sleeping lock.
pub(crate) struct ImageTable<H: Host> {
    pub(super) entries: Vec<Entry<H>>,
}

/// The references of one session to one image.
pub(crate) struct ImageUse<H: Host> {
    pub(super) loaded: Arc<LoadedImage<H>>,
    pub(super) count: u64,
}

/// A session's images, oldest first.
pub(crate) type ImageList<H> = Vec<ImageUse<H>>;

/// A place in a loaded module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ModulePlace {
    /// Name of the module.
    pub name: ModuleName,
    /// Bytes from the start of its image.
    pub offset: u64,
}

/// What a successful load tells.
pub(crate) struct Loaded {
    pub(crate) base: R0Ptr,
    pub(crate) bytes: usize,
    pub(crate) was_loaded: bool,
    pub(crate) signer: Signer,
}

/// What to do with a name, decided under the table's lock.
enum Plan<H: Host> {
    Share(Loaded),
    WaitFor(Arc<Rest<H>>),
    Load(Arc<Rest<H>>),
}

impl<H: Host> ImageTable<H> {
    pub(crate) const fn new() -> Self {
        Self { entries: Vec::new() }
    }

    /// Number of references to all images, of all sessions and of dependents.
    pub(crate) fn references(&self) -> u64 {
        let of = |entry: &Entry<H>| match entry.state {
            State::Live { references, dependents, .. } => references.saturating_add(dependents),
            State::Busy => 0,
        };
        self.entries.iter().map(of).fold(0, u64::saturating_add)
    }

    pub(super) fn find(&mut self, name: &str) -> Option<&mut Entry<H>> {
        self.entries.iter_mut().find(|entry| entry.name.as_str() == name)
    }

    fn remove(&mut self, name: &ModuleName) {
        self.entries.retain(|entry| entry.name != *name);
    }

    /// Decides how to load `name`; a new name is entered as busy.
    #[inline(never)]
    fn plan(
        &mut self,
        session: &Session<H>,
        name: &ModuleName,
        admitted: &Admitted<'_>,
        handler: &str,
    ) -> Result<Plan<H>, LoadError> {
        let Some(entry) = self.find(name) else {
            let rest = Arc::try_new(Rest::busy())?;
            let entry = Entry { name: *name, rest: rest.clone(), state: State::Busy };
            self.entries.try_push(entry)?;
            return Ok(Plan::Load(rest));
        };
        let State::Live { loaded, references, .. } = &mut entry.state else {
            return Ok(Plan::WaitFor(entry.rest.clone()));
        };
        let hash = admitted.hash;
        if loaded.hash != hash {
            return Err(LoadError::new(
                Status::VERR_ALREADY_EXISTS,
                format_args!(
                    "a module '{name}' with other contents is loaded (sha256 {} there, {hash} here)",
                    loaded.hash
                ),
            ));
        }
        loaded.set_handler(handler)?;
        add_use(&mut session.images().lock(), loaded)?;
        *references = references.saturating_add(1);
        Ok(Plan::Share(Loaded {
            base: loaded.image.base(),
            bytes: loaded.image.bytes(),
            was_loaded: true,
            signer: admitted.signer,
        }))
    }
}

/// Counts one more reference of the session whose list this is.
pub(super) fn add_use<H: Host>(
    list: &mut ImageList<H>,
    loaded: &Arc<LoadedImage<H>>,
) -> Result<(), sup_alloc::OutOfMemory> {
    match list.iter_mut().find(|used| Arc::ptr_eq(&used.loaded, loaded)) {
        Some(used) => used.count = used.count.saturating_add(1),
        None => list.try_push(ImageUse { loaded: loaded.clone(), count: 1 })?,
    }
    Ok(())
}

impl<H: Host> Driver<H> {
    /// Loads a module image, or adds a reference to it if it is loaded already.
    #[inline(never)]
    pub(crate) fn load_module(
        &self,
        session: &Session<H>,
        name: &str,
        handler: &str,
        file: &[u8],
    ) -> Result<Loaded, LoadError> {
        let name = checked_name(name)?;
        refuse_service(&name, handler)?;
        let admitted = self.host().module_policy().admit(&name, file)?;
        self.load_admitted(session, name, &admitted, handler)
    }

    #[inline(never)]
    fn load_admitted(
        &self,
        session: &Session<H>,
        name: ModuleName,
        admitted: &Admitted<'_>,
        handler: &str,
    ) -> Result<Loaded, LoadError> {
        loop {
            let plan = self.images().lock().plan(session, &name, admitted, handler)?;
            let rest = match plan {
                Plan::Share(loaded) => return Ok(loaded),
                Plan::WaitFor(rest) => {
                    rest.wait()?;
                    continue;
                }
                Plan::Load(rest) => rest,
            };
            let result = self.load_new(session, name, admitted, handler);
            rest.set(false);
            return result;
        }
    }

    /// Loads an image whose name was entered as busy; a failure takes the name out again.
    #[inline(never)]
    fn load_new(
        &self,
        session: &Session<H>,
        name: ModuleName,
        admitted: &Admitted<'_>,
        handler: &str,
    ) -> Result<Loaded, LoadError> {
        let provider = self.hold_provider(session, &name);
        let made = self.bring_up(name, admitted, handler, provider.as_ref());
        let imports = made.as_ref().is_ok_and(|loaded| loaded.provider.is_some());
        let result = made.and_then(|loaded| {
            self.publish(session, &loaded).inspect_err(|_| {
                // Nobody has called it but `ModuleInit`, which has returned.
                let _ = self.take_down(&loaded);
            })?;
            self.log_load(&loaded);
            let (base, bytes) = (loaded.image.base(), loaded.image.bytes());
            self.probe(Probe::ModuleLoad, || [base.get(), bytes as u64]);
            Ok(Loaded { base, bytes, was_loaded: false, signer: admitted.signer })
        });
        if let Some(provider) = provider.filter(|_| !imports || result.is_err()) {
            self.release_vmm(provider);
        }
        if result.is_err() {
            self.images().lock().remove(&name);
        }
        result
    }

    #[inline(never)]
    fn log_load(&self, loaded: &LoadedImage<H>) {
        let LoadedImage { name, hash, signer, .. } = loaded;
        let line = format_args!("module '{name}' is loaded (sha256 {hash}), {signer}");
        match signer {
            Signer::Trusted(_) => self.note(Group::SupDrv, line),
            Signer::Nobody | Signer::Unknown(_) => self.inform(Group::SupDrv, line),
        }
    }

    /// Maps an image and calls its `ModuleInit`. The name is busy meanwhile.
    #[inline(never)]
    fn bring_up(
        &self,
        name: ModuleName,
        admitted: &Admitted<'_>,
        handler: &str,
        provider: Option<&Arc<LoadedImage<H>>>,
    ) -> Result<Arc<LoadedImage<H>>, LoadError> {
        let module =
            lock_with_room(self.modules())?.insert_with(|_| ()).ok_or(Status::VERR_NO_MEMORY)?;
        let started = self
            .map_image(name, admitted, R0Ptr::new(module.raw()), provider)
            .and_then(|loaded| self.start_image(loaded, handler));
        if started.is_err() {
            self.modules().lock().remove(module);
        }
        started
    }

    /// Maps an image, with its imports from `provider` and from the driver. Nothing of it runs.
    #[inline(never)]
    fn map_image(
        &self,
        name: ModuleName,
        admitted: &Admitted<'_>,
        module: R0Ptr,
        provider: Option<&Arc<LoadedImage<H>>>,
    ) -> Result<Arc<LoadedImage<H>>, LoadError> {
        let mut imports = false;
        let image = self.host().load_image(&name, admitted.content, &mut |symbol| {
            import(provider, symbol).inspect(|_| imports = true)
        })?;
        let vmm = VmmEntries::of(&name, &image)?;
        let provider = provider.filter(|_| imports).cloned();
        Ok(LoadedImage::try_new(name, admitted, image, module, vmm, provider)?)
    }

    /// Finds the handler and calls `ModuleInit`.
    #[inline(never)]
    fn start_image(
        &self,
        loaded: Arc<LoadedImage<H>>,
        handler: &str,
    ) -> Result<Arc<LoadedImage<H>>, LoadError> {
        loaded.set_handler(handler)?;
        let place = (loaded.image.base(), loaded.image.bytes());
        self.printers().add(&loaded.name, place.0, place.1);
        let init = || loaded.initialise();
        self.initialising(loaded.module, loaded.name, place, init).inspect_err(|_| {
            self.forget_destructors(&loaded);
            self.withdraw(&loaded);
        })?;
        Ok(loaded)
    }

    /// Makes a loaded image visible, with one reference of `session`.
    #[inline(never)]
    fn publish(&self, session: &Session<H>, loaded: &Arc<LoadedImage<H>>) -> Result<(), LoadError> {
        let mut table = self.images().lock();
        let entry = table.find(&loaded.name).ok_or(Status::VERR_INTERNAL_ERROR)?;
        add_use(&mut session.images().lock(), loaded)?;
        entry.state = State::Live { loaded: loaded.clone(), references: 1, dependents: 0 };
        Ok(())
    }

    /// Gives one reference of `session` back.
    ///
    /// # Errors
    /// `VERR_INVALID_HANDLE` if the session has not loaded it, `VERR_DANGLING_OBJECTS` if objects live
    /// whose destructor lies in it.
    #[inline(never)]
    pub(crate) fn free_module(&self, session: &Session<H>, base: R0Ptr) -> Result<(), LoadError> {
        let mut table = self.images().lock();
        let mut list = session.images().lock();
        let position = list
            .iter()
            .position(|used| used.loaded.image.base() == base)
            .ok_or(Status::VERR_INVALID_HANDLE)?;
        let used = list.get_mut(position).ok_or(Status::VERR_INTERNAL_ERROR)?;
        let entry = table.find(&used.loaded.name).ok_or(Status::VERR_INTERNAL_ERROR)?;
        if used.count > 1 {
            used.count = used.count.saturating_sub(1);
            // The session keeps others, so there is nothing to retire.
            let _ = entry.give_back(1, 0);
            return Ok(());
        }
        let State::Live { references, dependents, .. } = entry.state else {
            return Err(Status::VERR_INTERNAL_ERROR.into());
        };
        let is_last = (references, dependents) == (1, 0);
        self.refuse_dangling((!is_last).then_some(session), &used.loaded)?;
        let last = entry.give_back(1, 0);
        let removed = list.remove(position);
        drop(list);
        drop(table);
        if let (Some(used), Some(rest)) = (removed, last) {
            self.retire(used.loaded, &rest);
        }
        Ok(())
    }

    /// Refuses to drop a reference that the destructors of living objects still need: of the session's
    /// objects, or of all.
    fn refuse_dangling(
        &self,
        session: Option<&Session<H>>,
        loaded: &LoadedImage<H>,
    ) -> Result<(), LoadError> {
        let (base, bytes) = (loaded.image.base(), loaded.image.bytes());
        let dangling =
            self.objects().lock().destructors_in(base, bytes, session.map(Session::objects));
        if dangling.count == 0 {
            return Ok(());
        }
        let sentence = format_args!("module '{}' stays loaded: {dangling}", loaded.name);
        self.host().log(LogLevel::Warning, sentence);
        Err(LoadError::new(Status::VERR_DANGLING_OBJECTS, sentence))
    }

    /// Gives everything back that `session` loaded, newest first. For the end of a session.
    pub(crate) fn free_all_modules(&self, session: &Session<H>) {
        while let Some(used) = { session.images().lock().pop() } {
            let last = {
                let mut table = self.images().lock();
                table.find(&used.loaded.name).and_then(|entry| entry.give_back(used.count, 0))
            };
            if let Some(rest) = last {
                self.retire(used.loaded, &rest);
            }
        }
    }

    /// Takes an image down that lost its last reference, and its name out of the table.
    #[inline(never)]
    pub(super) fn retire(&self, loaded: Arc<LoadedImage<H>>, rest: &Rest<H>) {
        if self.take_down(&loaded) == Drained::Lost {
            return self.keep_lost(loaded, rest);
        }
        let (name, provider) = (loaded.name, loaded.provider.clone());
        let (base, bytes) = (loaded.image.base(), loaded.image.bytes() as u64);
        // Unmaps: before the name can be loaded again, so that two never coexist.
        drop(loaded);
        self.images().lock().remove(&name);
        rest.set(false);
        self.debug(Group::SupDrv, LEVEL_1, format_args!("module '{name}' is unloaded"));
        self.probe(Probe::ModuleUnload, || [base.get(), bytes]);
        // The VMM imports from nobody, so this goes no deeper.
        if let Some(provider) = provider {
            self.release_vmm(provider);
        }
    }

    /// Keeps an image in which a thread died, with the reference that it was to lose.
    #[inline(never)]
    fn keep_lost(&self, loaded: Arc<LoadedImage<H>>, rest: &Rest<H>) {
        let name = loaded.name;
        let sentence = format_args!("module '{name}' stays loaded: a call in it faulted");
        self.host().log(LogLevel::Error, sentence);
        if let Some(entry) = self.images().lock().find(&name) {
            entry.state = State::Live { loaded, references: 1, dependents: 0 };
        }
        rest.set(false);
    }

    /// Lets the calls in an image end, then its objects and itself. It stays mapped. Nothing ends if a thread died
    /// in it.
    fn take_down(&self, loaded: &LoadedImage<H>) -> Drained {
        if loaded.image.drain(self.host(), self.ended_calls()) == Drained::Lost {
            return Drained::Lost;
        }
        self.forget_destructors(loaded);
        loaded.terminate();
        self.withdraw(loaded);
        self.modules().lock().remove(Handle::from_raw(loaded.module.get()));
        Drained::Idle
    }

    /// The module in which a ring-0 address lies, if it is loaded; for messages about it.
    ///
    /// # Context
    /// May sleep.
    pub fn module_at(&self, address: R0Ptr) -> Option<ModulePlace> {
        let table = self.images().lock();
        table.entries.iter().find_map(|entry| {
            let State::Live { loaded, .. } = &entry.state else { return None };
            let offset = address.get().checked_sub(loaded.image.base().get())?;
            (offset < loaded.image.bytes() as u64)
                .then_some(ModulePlace { name: entry.name, offset })
        })
    }

    /// Ends what an image left: its providers and its tracer, its sessions with their factories, factories of it in
    /// other sessions, and what it printed and nobody was told.
    fn withdraw(&self, loaded: &LoadedImage<H>) {
        let (base, bytes) = (loaded.image().base(), loaded.image().bytes());
        self.end_tracing_of_module(loaded.module);
        self.close_sessions_kept_in(base, bytes);
        self.remove_components_in(base, bytes);
        self.end_printing(&loaded.name, base, bytes);
    }

    /// Objects whose destructor lies in an image die without it from now on.
    fn forget_destructors(&self, loaded: &LoadedImage<H>) {
        let image = loaded.image();
        self.objects().lock().forget_destructors_in(image.base(), image.bytes());
    }

    /// The address of a symbol in an image that `session` loaded.
    ///
    /// # Errors
    /// `VERR_INVALID_HANDLE` if it has not, `VERR_SYMBOL_NOT_FOUND`.
    pub(crate) fn module_symbol(
        &self,
        session: &Session<H>,
        base: R0Ptr,
        name: &str,
    ) -> Result<R0Ptr, Status> {
        // Under the lock: a reference that is kept longer would keep the image mapped when it is retired.
        let list = session.images().lock();
        let used = list.iter().find(|used| used.loaded.image.base() == base);
        let used = used.ok_or(Status::VERR_INVALID_HANDLE)?;
        used.loaded.image.symbol(name).ok_or(Status::VERR_SYMBOL_NOT_FOUND)
    }

    /// Begins a call of the service that `session` loaded and that a field names; the newest image of that
    /// name. `None` if there is no such service.
    pub(crate) fn begin_service_call(
        &self,
        session: &Session<H>,
        name: &[u8],
    ) -> Option<Call<'_, H>> {
        let list = session.images().lock();
        list.iter()
            .rev()
            .filter(|used| is_terminated(name, used.loaded.name.as_bytes()))
            .find_map(|used| Call::begin(&used.loaded, self.ended_calls()))
    }
}

/// Whether a field holds that name and its terminator.
fn is_terminated(field: &[u8], name: &[u8]) -> bool {
    field.strip_prefix(name).is_some_and(|rest| rest.first() == Some(&0))
}

/// Number of references in a session's list.
pub(crate) fn references_in<H: Host>(list: &ImageList<H>) -> u64 {
    list.iter().map(|used| used.count).fold(0, u64::saturating_add)
}
