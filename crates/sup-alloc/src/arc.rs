//! [`Arc`]: shared ownership whose constructor can fail.
//!
//! Differs from the standard one in three points: [`Arc::try_new`] reports a failed allocation, there
//! are no weak references, and the count saturates: a value referenced more often than
//! [`SATURATION`] is never freed, so that a leaked reference can waste memory but never corrupt it.
//!
//! Orderings: a clone is `Relaxed`, because whoever clones holds a reference already; a drop is
//! `Release`, and the last one pairs with an `Acquire` load before the value is dropped, so that every
//! use by other owners happens before the destructor. (A load and not a fence, because
//! ThreadSanitizer does not understand fences.)

use alloc::alloc::{alloc, dealloc};
use core::alloc::Layout;
use core::marker::PhantomData;
use core::ops::Deref;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicUsize, Ordering};

use crate::OutOfMemory;

/// From this count on a value is immortal. Half of the range is left for clones that race past it.
const SATURATION: usize = usize::MAX / 2;

struct Inner<T> {
    /// Number of owners; at [`SATURATION`] or above: immortal.
    count: AtomicUsize,
    value: T,
}

/// A shared owner of a `T`. See the [file's introduction](self) for how it differs from the
/// standard one.
///
/// ```
/// let first = sup_alloc::Arc::try_new(7)?;
/// let second = first.clone();
/// assert_eq!(*second, 7);
/// assert!(sup_alloc::Arc::ptr_eq(&first, &second));
/// # Ok::<(), sup_alloc::OutOfMemory>(())
/// ```
pub struct Arc<T> {
    inner: NonNull<Inner<T>>,
    owns: PhantomData<Inner<T>>,
}

// SAFETY: an `Arc` hands out `&T` on any thread that holds it and drops the `T` on whichever thread
// holds the last one; both are what `T: Send + Sync` promises. Nothing else is reachable.
unsafe impl<T: Send + Sync> Send for Arc<T> {}
// SAFETY: as a shared `Arc` can be cloned, sharing it is the same as sending it; the bounds are equal.
unsafe impl<T: Send + Sync> Sync for Arc<T> {}

impl<T> Arc<T> {
    /// Moves `value` into a new allocation with one owner.
    ///
    /// # Errors
    /// [`OutOfMemory`]; the value is dropped.
    ///
    /// # Context
    /// Allocates: may sleep.
    pub fn try_new(value: T) -> Result<Self, OutOfMemory> {
        Self::try_new_with(|| value)
    }

    /// The same with a value that is made when there is room for it, so that a large one need not be on the stack
    /// before.
    ///
    /// # Errors
    /// [`OutOfMemory`]; nothing is made.
    ///
    /// # Context
    /// Allocates: may sleep.
    #[inline]
    pub fn try_new_with(make: impl FnOnce() -> T) -> Result<Self, OutOfMemory> {
        crate::may_allocate()?;
        let layout = Layout::new::<Inner<T>>();
        // SAFETY: the layout is not of size zero: it contains at least the count.
        let memory = unsafe { alloc(layout) };
        let inner = NonNull::new(memory.cast::<Inner<T>>()).ok_or(OutOfMemory)?;
        // SAFETY: `alloc` returned memory of exactly this layout, unshared and uninitialised. (If `make` panics, the
        // memory is lost, and nothing else.)
        unsafe { inner.write(Inner { count: AtomicUsize::new(1), value: make() }) };
        Ok(Self { inner, owns: PhantomData })
    }

    /// Gives the owner away as a pointer, for C to keep. [`from_raw`](Self::from_raw) takes it back.
    pub fn into_raw(this: Self) -> NonNull<()> {
        core::mem::ManuallyDrop::new(this).inner.cast()
    }

    /// Takes an owner back that was given away.
    ///
    /// # Safety
    /// `raw` came from [`into_raw`](Self::into_raw) of an `Arc` of the same type, and is taken back
    /// once, or the result is never dropped.
    pub unsafe fn from_raw(raw: NonNull<()>) -> Self {
        Self { inner: raw.cast(), owns: PhantomData }
    }

    /// True if both own the same value.
    pub fn ptr_eq(this: &Self, other: &Self) -> bool {
        this.inner == other.inner
    }

    /// The number of owners at this moment; other threads may change it at any time. It is in one order with the
    /// drops of owners and with other sequentially consistent operations.
    pub fn strong_count(this: &Self) -> usize {
        // SeqCst: pairs with the drop of an owner.
        this.inner().count.load(Ordering::SeqCst)
    }

    /// The value, to be changed, if `this` is its only owner.
    ///
    /// ```
    /// use sup_alloc::Arc;
    ///
    /// let mut first = Arc::try_new(7)?;
    /// let second = first.clone();
    /// assert_eq!(Arc::get_mut(&mut first), None);
    /// drop(second);
    /// assert_eq!(Arc::get_mut(&mut first), Some(&mut 7));
    /// # Ok::<(), sup_alloc::OutOfMemory>(())
    /// ```
    pub fn get_mut(this: &mut Self) -> Option<&mut T> {
        // Acquire: pairs with the decrement of every other owner's drop.
        if this.inner().count.load(Ordering::Acquire) != 1 {
            return None;
        }
        // SAFETY: the count is one, so `this`, which is borrowed exclusively, is the only owner: nobody
        // else reads the value, and a clone can only be made of `this`.
        Some(unsafe { &mut this.inner.as_mut().value })
    }

    fn inner(&self) -> &Inner<T> {
        // SAFETY: the allocation lives as long as any owner, and `self` is one; it was initialised
        // by `try_new` and is only ever borrowed shared.
        unsafe { self.inner.as_ref() }
    }
}

impl<T> Clone for Arc<T> {
    fn clone(&self) -> Self {
        // Relaxed: this owner keeps the value alive meanwhile.
        let before = self.inner().count.fetch_add(1, Ordering::Relaxed);
        if before >= SATURATION {
            // Keep the count at the saturation point; the value lives for ever from here on.
            self.inner().count.store(SATURATION, Ordering::Relaxed);
        }
        Self { inner: self.inner, owns: PhantomData }
    }
}

impl<T> Drop for Arc<T> {
    fn drop(&mut self) {
        // SeqCst: pairs with the load below in whichever thread drops the last owner, and with
        // `strong_count`.
        let before = self.inner().count.fetch_sub(1, Ordering::SeqCst);
        if before >= SATURATION {
            self.inner().count.store(SATURATION, Ordering::Relaxed);
            return;
        }
        if before != 1 {
            return;
        }
        // Acquire: pairs with the decrement of every other owner's drop.
        self.inner().count.load(Ordering::Acquire);
        // SAFETY: the count went from one to zero, so this was the last owner and nobody can reach
        // the value any more; it is dropped exactly once, here.
        unsafe { self.inner.drop_in_place() };
        // SAFETY: `try_new` allocated the memory with this same layout.
        unsafe { dealloc(self.inner.as_ptr().cast::<u8>(), Layout::new::<Inner<T>>()) };
    }
}

impl<T> Deref for Arc<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.inner().value
    }
}

impl<T: core::fmt::Debug> core::fmt::Debug for Arc<T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        (**self).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use core::sync::atomic::AtomicU32;

    struct CountsDrops<'a>(&'a AtomicU32);

    impl Drop for CountsDrops<'_> {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn value_is_dropped_once_with_its_last_owner() {
        let drops = AtomicU32::new(0);
        let first = Arc::try_new(CountsDrops(&drops)).unwrap();
        let second = first.clone();
        assert_eq!(Arc::strong_count(&first), 2);
        drop(first);
        assert_eq!(drops.load(Ordering::Relaxed), 0);
        drop(second);
        assert_eq!(drops.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn owners_on_many_threads_drop_it_once() {
        let drops = AtomicU32::new(0);
        let owner = Arc::try_new(CountsDrops(&drops)).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                let owner = owner.clone();
                scope.spawn(move || {
                    for _ in 0..1_000 {
                        drop(owner.clone());
                    }
                });
            }
        });
        drop(owner);
        assert_eq!(drops.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn saturated_count_makes_the_value_immortal() {
        let drops = AtomicU32::new(0);
        let owner = Arc::try_new(CountsDrops(&drops)).unwrap();
        owner.inner().count.store(SATURATION, Ordering::Relaxed);
        let inner = owner.inner;
        drop(owner.clone());
        drop(owner);
        assert_eq!(drops.load(Ordering::Relaxed), 0);
        // Free it after all, so that leak checkers see what the test itself does.
        // SAFETY: the value is still alive, as just checked, and no owner is left but the one made here.
        unsafe { inner.as_ref() }.count.store(1, Ordering::Relaxed);
        drop(Arc { inner, owns: PhantomData });
        assert_eq!(drops.load(Ordering::Relaxed), 1);
    }
}
