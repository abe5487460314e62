//! The global allocator: the kernel's, charged to the caller's control group.
//!
//! It sleeps, so nothing allocates under a spin lock or in the timer; the core sees to that
//! (`segments.rs`), and a debug kernel complains otherwise.

use core::alloc::{GlobalAlloc, Layout};

use crate::shim::raw;

struct KernelAllocator;

// SAFETY: the shim's memory is at least as large and as aligned as asked for and belongs to nobody
// else until it is freed (`supdrv_alloc` in shim.h); an alignment above a page is refused here.
unsafe impl GlobalAlloc for KernelAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.align() > sup_abi::PAGE_SIZE {
            return core::ptr::null_mut();
        }
        // SAFETY: the caller may sleep, see the head of this file; any size is allowed.
        unsafe { raw::supdrv_alloc(layout.size(), layout.align()) }
    }

    unsafe fn dealloc(&self, block: *mut u8, _layout: Layout) {
        // SAFETY: by this trait's contract `block` came from `alloc` and is not used any more.
        unsafe { raw::supdrv_free(block) }
    }
}

#[cfg_attr(target_os = "none", global_allocator)]
#[cfg_attr(
    not(target_os = "none"),
    expect(dead_code, reason = "a host build links std's allocator")
)]
static ALLOCATOR: KernelAllocator = KernelAllocator;
