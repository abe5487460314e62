//! The driver in the Linux kernel.
#![no_std]
extern crate alloc;
#[cfg(target_os = "none")]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    unsafe { core::arch::asm!("ud2", options(noreturn)) }
}
struct K;
unsafe extern "C" {
    fn supdrv_alloc(n: usize, align: usize) -> *mut u8;
    fn supdrv_free(p: *mut u8);
}
unsafe impl core::alloc::GlobalAlloc for K {
    unsafe fn alloc(&self, l: core::alloc::Layout) -> *mut u8 {
        unsafe { supdrv_alloc(l.size(), l.align()) }
    }
    unsafe fn dealloc(&self, p: *mut u8, _l: core::alloc::Layout) {
        unsafe { supdrv_free(p) }
    }
}
#[cfg(target_os = "none")]
#[global_allocator]
static A: K = K;
#[unsafe(no_mangle)]
extern "C" fn supdrv_start() -> i32 {
    match sup_alloc::Arc::try_new(7) {
        Ok(_) => 0,
        Err(_) => -12,
    }
}
#[unsafe(no_mangle)]
extern "C" fn supdrv_stop() {}
