//! The VM of a session's fast calls: which one it is, what is kept alive for it, and the calls.
//!
//! A program that runs a virtual machine calls VMMR0 with it all the time. So the VM is checked once, when
//! it is chosen, and a call finds two words and no lock. Corresponds to `SUPR3SetVMForFastIOCtl` and
//! `SUPR3CallVMMR0Fast`.
//!
//! ```text
//! None ── set: VMM held, object or block kept, words written ──▶ Set ── clear ──▶ Leaving ──▶ None
//! ```
//! While it is Leaving no call begins, those that run are waited for, and then what was kept is given
//! back: first the object or the block, whose destructor may lie in the VMM, then the VMM.
//!
//! A call counts itself before it reads the words, and the end of a VM clears the words before it reads
//! the count: either the call sees that there is no VM, or the end sees the call and waits for it.
//!
//! Lock order: the session's VM, then the session's memory table or the object registry.
//!
//! Invariant: while `vm` is not zero, and while a call runs, the VMM is loaded, and the object or the
//! block that the VM is exists.

use core::sync::atomic::{AtomicBool, Ordering};

use sup_abi::{R0Ptr, SUP_VMMR0_DO_NOP, Status};
use sup_alloc::Arc;

use crate::host::{EntryPoint, Host, Image, Interruption, Wait, WaitQueue};
use crate::image::LoadedImage;
use crate::memory::Block;
use crate::sync::AtomicU64;
use crate::{Deadline, Driver, ObjectHandle, Session};

/// The way of the fast calls.
pub(crate) struct FastCalls<H: Host> {
    /// What VMMR0 gets; 0 while there is no VM.
    vm: AtomicU64,
    /// The address of its fast entry. Changes only while no call runs.
    entry: AtomicU64,
    /// Calls that run, or find out that there is no VM.
    running: AtomicU64,
    /// Set while somebody waits for `running` to become zero.
    is_draining: AtomicBool,
    drained: H::WaitQueue,
}

impl<H: Host> FastCalls<H> {
    pub(crate) fn new() -> Self {
        Self {
            vm: AtomicU64::new(0),
            entry: AtomicU64::new(0),
            running: AtomicU64::new(0),
            is_draining: AtomicBool::new(false),
            drained: H::WaitQueue::default(),
        }
    }

    #[inline]
    fn call(&self, operation: u32, cpu: u32) -> Status {
        // SeqCst, here and in `close`: the argument at the top of this file.
        self.running.fetch_add(1, Ordering::SeqCst);
        let vm = self.vm.load(Ordering::SeqCst);
        let status = if vm == 0 {
            Status::VERR_INTERNAL_ERROR
        } else {
            // Relaxed: it was written before `vm`, which was read just now.
            let entry = EntryPoint(R0Ptr::new(self.entry.load(Ordering::Relaxed)));
            H::Image::call_fast(entry, R0Ptr::new(vm), cpu, operation);
            Status::VINF_SUCCESS
        };
        let was_last = self.running.fetch_sub(1, Ordering::SeqCst) == 1;
        if was_last && self.is_draining.load(Ordering::SeqCst) {
            self.drained.wake_all();
        }
        status
    }

    fn open(&self, vm: R0Ptr, EntryPoint(entry): EntryPoint) {
        // Relaxed: the store below orders it, and no call runs that could read it.
        self.entry.store(entry.get(), Ordering::Relaxed);
        // SeqCst: pairs with the load in `call`.
        self.vm.store(vm.get(), Ordering::SeqCst);
    }

    /// Lets no call begin, and waits for those that run.
    fn close(&self) {
        self.vm.store(0, Ordering::SeqCst);
        self.is_draining.store(true, Ordering::SeqCst);
        let wait = Wait { deadline: Deadline::Never, interruption: Interruption::Ignored };
        let is_idle = || (self.running.load(Ordering::SeqCst) == 0).then_some(());
        // An uninterruptible wait without a deadline ends only with what it waits for.
        let _ = self.drained.wait(wait, is_idle);
        // Relaxed: a call that still sees it wakes nobody.
        self.is_draining.store(false, Ordering::Relaxed);
    }
}

/// What the VM is, kept so that it cannot end while it is the session's VM.
enum Kept<H: Host> {
    /// A pinned object.
    Object(ObjectHandle),
    /// A block, which stays mapped even if the session frees it meanwhile.
    Block(Arc<Block<H>>),
}

/// Whether a session has a VM, and what is kept for it.
pub(crate) enum VmState<H: Host> {
    None,
    Set(Binding<H>),
    /// It had one, and calls that run with it are waited for.
    Leaving,
}

/// A session's VM.
pub(crate) struct Binding<H: Host> {
    vmm: Arc<LoadedImage<H>>,
    kept: Kept<H>,
}

impl<H: Host> Session<H> {
    /// Calls the fast entry of VMMR0 with the session's VM. Corresponds to `SUPR3CallVMMR0Fast`.
    ///
    /// What came of it is in the VM; the status tells whether the entry was called.
    ///
    /// # Errors
    /// `VERR_INTERNAL_ERROR` without a VM, or for an operation that is none of `SUP_VMMR0_DO_*`.
    ///
    /// # Context
    /// Runs code of VMMR0, which may sleep.
    #[inline]
    pub fn call_vmm_fast(&self, operation: u32, cpu: u32) -> Status {
        if operation > SUP_VMMR0_DO_NOP {
            return Status::VERR_INTERNAL_ERROR;
        }
        self.fast_calls().call(operation, cpu)
    }
}

impl<H: Host> Driver<H> {
    /// Chooses the VM of the session's fast calls; NIL for none.
    ///
    /// # Errors
    /// `VERR_WRONG_ORDER` if no VMM is loaded, `VERR_ALREADY_EXISTS` if the session has a VM,
    /// `VERR_ACCESS_DENIED` if that is neither an object of type VM that the session references, nor the
    /// ring-0 address of a memory block of its own.
    #[inline(never)]
    pub(crate) fn set_vm(&self, session: &Session<H>, vm: R0Ptr) -> Result<(), Status> {
        if vm.is_nil() {
            self.clear_vm(session);
            return Ok(());
        }
        let vmm = self.hold_vmm().ok_or(Status::VERR_WRONG_ORDER)?;
        let bound = self.bind_vm(session, vm, &vmm);
        if bound.is_err() {
            self.release_vmm(vmm);
        }
        bound
    }

    fn bind_vm(
        &self,
        session: &Session<H>,
        vm: R0Ptr,
        vmm: &Arc<LoadedImage<H>>,
    ) -> Result<(), Status> {
        let entries = vmm.vmm_entries().ok_or(Status::VERR_INTERNAL_ERROR)?;
        let mut state = session.vm().lock();
        if !matches!(*state, VmState::None) {
            return Err(Status::VERR_ALREADY_EXISTS);
        }
        let kept = self.keep_vm(session, vm).ok_or(Status::VERR_ACCESS_DENIED)?;
        session.fast_calls().open(vm, entries.fast);
        *state = VmState::Set(Binding { vmm: vmm.clone(), kept });
        Ok(())
    }

    /// Keeps what a session says is a VM, if it is one and the session's.
    fn keep_vm(&self, session: &Session<H>, vm: R0Ptr) -> Option<Kept<H>> {
        let object = self.objects().lock().pin_vm(session.objects(), vm);
        if let Some(object) = object {
            return Some(Kept::Object(object));
        }
        session.memory().lock().block_in_ring0(vm).map(Kept::Block)
    }

    /// Takes the session's VM away, if it has one. No lock may be held.
    #[inline(never)]
    pub(crate) fn clear_vm(&self, session: &Session<H>) {
        let Binding { vmm, kept } = {
            let mut state = session.vm().lock();
            match core::mem::replace(&mut *state, VmState::Leaving) {
                VmState::Set(binding) => binding,
                VmState::None => {
                    *state = VmState::None;
                    return;
                }
                // Another thread takes it away.
                VmState::Leaving => return,
            }
        };
        session.fast_calls().close();
        *session.vm().lock() = VmState::None;
        match kept {
            Kept::Object(object) => {
                let released = self.objects().lock().unpin(object);
                // The module that registered it was told that it lives on.
                let _ = released.finish();
            }
            Kept::Block(block) => drop(block),
        }
        self.release_vmm(vmm);
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests;
