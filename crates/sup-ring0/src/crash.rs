//! [`Images`]: the module images that a report of a fault names, and [`Images::trace`], which finds out
//! what a fault has to do with them.
//!
//! A fault is told of in a signal handler, or in the kernel with its locks held, perhaps in an NMI. So the
//! way of a report takes no lock and no memory, never waits, and reads doubtful memory only through
//! the backend, which says if nothing is there. The list of images is one that can be read at any time.
//!
//! Timeline of an entry: made, put in front of the list under `writers`; taken out under it; given back
//! unless somebody reads. A reader counts itself in `readers` before it looks, an owner looks there after
//! it took the entry out: one of them sees the other. An owner who sees a reader leaves the entry as it
//! is for good: who waited could wait for a thread that has just died.
//!
//! Modules have neither frame pointers nor tables for unwinding. So everything on the stack counts as a
//! caller that is the address behind a call in a module; now and then it is one that has returned.
//!
//! Neighbours: `sup-embedded` and `sup-kmod` list their images and write the reports; `elf` has the
//! [`Functions`]. Invariant: what the list leads to is whole as long as anybody can be reading.

use core::fmt;
use core::mem::ManuallyDrop;
use core::ops::{ControlFlow, Range};
use core::ptr;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};

use lock_api::{Mutex, RawMutex};
use sup_alloc::{Arc, OutOfMemory, Vec};

use crate::elf::functions;

#[cfg(test)]
mod tests;

/// Where in a function an address lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Function<'a> {
    /// As the compiler wrote it.
    pub name: &'a [u8],
    /// Bytes from its start.
    pub offset: u64,
}

/// What knows the functions of an image.
pub trait Symbols: Send + Sync + 'static {
    /// The function in which an address of ring 0 lies.
    ///
    /// # Context
    /// Any, also signal handlers and NMIs: it only reads.
    fn function_at(&self, address: u64) -> Option<Function<'_>>;
}

/// An image in the list.
#[derive(Debug)]
struct Entry<S> {
    next: AtomicPtr<Entry<S>>,
    name: Vec<u8>,
    addresses: Range<u64>,
    symbols: S,
    /// Whether a thread died in a call into the image.
    is_lost: AtomicBool,
}

/// The images of a backend; `L` guards changes of the list.
pub struct Images<L, S> {
    /// The entry in front.
    first: AtomicPtr<Entry<S>>,
    writers: Mutex<L, ()>,
    /// How many threads read the list.
    readers: AtomicUsize,
}

impl<L: RawMutex, S: Symbols> Images<L, S> {
    /// None yet.
    pub const fn new() -> Self {
        Self {
            first: AtomicPtr::new(ptr::null_mut()),
            writers: Mutex::from_raw(L::INIT, ()),
            readers: AtomicUsize::new(0),
        }
    }

    /// Lists the image of a module, which lies at `addresses`.
    ///
    /// # Errors
    /// [`OutOfMemory`].
    ///
    /// # Context
    /// Allocates: may sleep.
    pub fn list(
        &'static self,
        name: &str,
        addresses: Range<u64>,
        symbols: S,
    ) -> Result<Listing<L, S>, OutOfMemory> {
        let mut copy = Vec::new();
        copy.try_extend_from_slice(name.as_bytes())?;
        let next = AtomicPtr::new(ptr::null_mut());
        let is_lost = AtomicBool::new(false);
        let entry = Arc::try_new(Entry { next, name: copy, addresses, symbols, is_lost })?;
        let _guard = self.writers.lock();
        // Relaxed: the lock orders changes, and the store below shows the entry.
        entry.next.store(self.first.load(Ordering::Relaxed), Ordering::Relaxed);
        // SeqCst: as a release it pairs with the loads of `Reading::find`.
        self.first.store(place(&entry), Ordering::SeqCst);
        Ok(Listing { images: self, entry: ManuallyDrop::new(entry) })
    }

    /// Notes that a thread died in a call of the function at `address`, if that lies in an image.
    ///
    /// # Context
    /// Any, also signal handlers and NMIs.
    pub fn lose(&self, address: u64) {
        let reading = Reading::new(self);
        if let Some(entry) = reading.find(address) {
            // Release: pairs with the acquire in `is_lost`.
            entry.is_lost.store(true, Ordering::Release);
        }
    }

    /// Tells `visit` where in modules a fault was and where it was called from, innermost first, until
    /// `visit` has enough. `peek` copies memory if it is there, and says whether it was.
    ///
    /// # Context
    /// Any, also signal handlers and NMIs, as far as `peek` and `visit` are for them.
    pub fn trace(
        &self,
        fault: Fault,
        peek: impl Fn(u64, &mut [u8]) -> bool,
        mut visit: impl FnMut(Step, Place<'_, S>) -> ControlFlow<()>,
    ) {
        let reading = Reading::new(self);
        if let Some(entry) = reading.find(fault.instruction)
            && visit(Step::Fault, Place(entry, fault.instruction)).is_break()
        {
            return;
        }
        let mut callers = 0_usize;
        let mut start = fault.stack & !(PIECE_BYTES as u64).wrapping_sub(1);
        for _ in 0..MAX_PIECES {
            let mut piece = [0; PIECE_BYTES];
            if !peek(start, &mut piece) {
                return;
            }
            let words = piece.as_chunks().0.iter().map(|word| u64::from_le_bytes(*word));
            for (place, address) in (start..).step_by(8).zip(words) {
                let Some(entry) = reading.find(address) else { continue };
                if place < fault.stack || !follows_call(address, &peek) {
                    continue;
                }
                callers = callers.saturating_add(1);
                let step = visit(Step::Caller, Place(entry, address));
                if step.is_break() || callers == MAX_CALLERS {
                    return;
                }
            }
            let Some(next) = start.checked_add(PIECE_BYTES as u64) else { return };
            start = next;
        }
    }
}

impl<L: RawMutex, S: Symbols> Default for Images<L, S> {
    fn default() -> Self {
        Self::new()
    }
}

impl<L, S> fmt::Debug for Images<L, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Images").finish_non_exhaustive()
    }
}

/// How the list refers to an entry. It is only read through that.
fn place<S>(entry: &Arc<Entry<S>>) -> *mut Entry<S> {
    ptr::from_ref::<Entry<S>>(entry).cast_mut()
}

/// An image that reports name. Dropping it ends that.
pub struct Listing<L: RawMutex + 'static, S: Symbols> {
    images: &'static Images<L, S>,
    entry: ManuallyDrop<Arc<Entry<S>>>,
}

impl<L: RawMutex, S: Symbols> Listing<L, S> {
    /// Whether a thread died in a call into the image. It stays so.
    pub fn is_lost(&self) -> bool {
        // Acquire: pairs with the release in `Images::lose`.
        self.entry.is_lost.load(Ordering::Acquire)
    }
}

impl<L: RawMutex, S: Symbols> Drop for Listing<L, S> {
    fn drop(&mut self) {
        let own = place(&self.entry);
        let guard = self.images.writers.lock();
        let mut link = &self.images.first;
        // Relaxed: only holders of the lock write links.
        while let Some(entry) = ptr::NonNull::new(link.load(Ordering::Relaxed)) {
            // SAFETY: the lock is held, and an entry in the list lives until its owner, who needs the lock
            // for that, has taken it out.
            let next = unsafe { &entry.as_ref().next };
            if entry.as_ptr() == own {
                // SeqCst: before the look at the readers, in the one order of all such operations.
                link.store(next.load(Ordering::Relaxed), Ordering::SeqCst);
                break;
            }
            link = next;
        }
        drop(guard);
        // SeqCst: pairs with the count in `Reading::new`. Whoever is not counted here finds a list
        // without the entry.
        if self.images.readers.load(Ordering::SeqCst) == 0 {
            // SAFETY: this is the only drop of the entry, and `self` is not used any more. Nobody reads it:
            // it is out of the list.
            unsafe { ManuallyDrop::drop(&mut self.entry) };
        }
    }
}

impl<L: RawMutex, S: Symbols> fmt::Debug for Listing<L, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listing").field("addresses", &self.entry.addresses).finish_non_exhaustive()
    }
}

/// A look at the list, while which nothing that it leads to goes.
struct Reading<'a, L, S>(&'a Images<L, S>);

impl<'a, L, S> Reading<'a, L, S> {
    fn new(images: &'a Images<L, S>) -> Self {
        // SeqCst: pairs with the look in `Listing::drop`; it comes before the loads of `find`.
        images.readers.fetch_add(1, Ordering::SeqCst);
        Self(images)
    }

    /// The image in which an address lies.
    fn find(&self, address: u64) -> Option<&Entry<S>> {
        // SeqCst: pairs with the stores of `Images::list` and `Listing::drop`.
        let mut next = self.0.first.load(Ordering::SeqCst);
        // SAFETY: it was in the list after this reader was counted, so that its owner leaves it.
        while let Some(entry) = unsafe { next.as_ref() } {
            if entry.addresses.contains(&address) {
                return Some(entry);
            }
            next = entry.next.load(Ordering::SeqCst);
        }
        None
    }
}

impl<L, S> Drop for Reading<'_, L, S> {
    fn drop(&mut self) {
        // SeqCst: after the last use of an entry, for an owner that looks now.
        self.0.readers.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Where a thread was when it faulted.
#[derive(Debug, Clone, Copy)]
pub struct Fault {
    /// The address of the instruction.
    pub instruction: u64,
    /// The stack pointer.
    pub stack: u64,
}

/// What a place has to do with a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// There it was.
    Fault,
    /// From there was called, directly or not, what faulted.
    Caller,
}

/// A place in a module: `NAME+0xOFFSET (FUNCTION+0xOFFSET)`.
pub struct Place<'a, S>(&'a Entry<S>, u64);

impl<S: Symbols> fmt::Display for Place<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(entry, address) = *self;
        let offset = address.wrapping_sub(entry.addresses.start);
        write!(f, "{}+{offset:#x}", entry.name.escape_ascii())?;
        if let Some(Function { name, offset }) = entry.symbols.function_at(address) {
            write!(f, " ({}+{offset:#x})", name.escape_ascii())?;
        }
        Ok(())
    }
}

impl<S> fmt::Debug for Place<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Place").field(&self.1).finish_non_exhaustive()
    }
}

/// The stack is searched in such pieces, none of which crosses a page.
const PIECE_BYTES: usize = 512;
const MAX_PIECES: u32 = 64;
/// So many callers are named.
pub const MAX_CALLERS: usize = 16;

/// Whether an address is the one behind a call: `E8` with a distance, or `FF /2` with its operand.
fn follows_call(address: u64, peek: impl Fn(u64, &mut [u8]) -> bool) -> bool {
    let mut code = [0; 7];
    if !address.checked_sub(7).is_some_and(|start| peek(start, &mut code)) {
        return false;
    }
    let is_indirect = |pair: &[u8]| matches!(pair, [0xff, operand] if operand >> 3 & 7 == 2);
    matches!(code, [_, _, 0xe8, ..]) || code.windows(2).any(is_indirect)
}

/// The functions of an image, taken from its file, for backends that do not keep the file.
#[derive(Debug)]
pub struct Functions {
    base: u64,
    names: Vec<u8>,
    functions: Vec<Named>,
}

/// A function: its bytes in the image, and where its name is.
#[derive(Debug)]
struct Named {
    start: u32,
    end: u32,
    name: u32,
    name_bytes: u32,
}

/// So many functions are kept of an image.
const MAX_FUNCTIONS: usize = 16_384;

impl Functions {
    /// The functions of `file`, whose image lies at `base`. What its sections have wrong is left out.
    ///
    /// # Errors
    /// [`OutOfMemory`].
    ///
    /// # Context
    /// Allocates: may sleep.
    #[inline(never)]
    pub fn of(file: &[u8], base: u64) -> Result<Self, OutOfMemory> {
        let all = || functions(file).take(MAX_FUNCTIONS);
        let (count, bytes) = all().fold((0_usize, 0_usize), |(count, bytes), function| {
            (count.saturating_add(1), bytes.saturating_add(function.name.len()))
        });
        let mut names = Vec::try_with_capacity(bytes)?;
        let mut functions = Vec::try_with_capacity(count)?;
        for function in all() {
            let number = |number: u64| u32::try_from(number).ok();
            let start = number(function.address);
            let end = function.address.checked_add(function.bytes).and_then(number);
            let (Some(start), Some(end), Some(name)) = (start, end, number(names.len() as u64))
            else {
                continue;
            };
            let name_bytes = u32::try_from(function.name.len()).map_err(|_| OutOfMemory)?;
            names.try_extend_from_slice(function.name)?;
            functions.try_push(Named { start, end, name, name_bytes })?;
        }
        Ok(Self { base, names, functions })
    }
}

impl Symbols for Functions {
    fn function_at(&self, address: u64) -> Option<Function<'_>> {
        let place = u32::try_from(address.checked_sub(self.base)?).ok()?;
        let found =
            self.functions.iter().find(|named| (named.start..named.end).contains(&place))?;
        let start = found.name as usize;
        let name = self.names.get(start..start.saturating_add(found.name_bytes as usize))?;
        Some(Function { name, offset: place.saturating_sub(found.start).into() })
    }
}
