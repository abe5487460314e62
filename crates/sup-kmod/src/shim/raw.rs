//! `kmod/shim.h`, word for word. The contracts are there.

use core::ffi::{c_int, c_long, c_ulong, c_void};

macro_rules! opaque {
    ($($(#[$about:meta])* $name:ident)*) => {$(
        $(#[$about])*
        #[repr(C)]
        pub(crate) struct $name {
            _private: [u8; 0],
        }
    )*};
}

opaque! {
    /// `struct file`
    File
    /// `struct mm_struct`
    Mm
    /// `struct page`
    Page
    /// `struct task_struct`
    Task
    /// `struct supdrv_timer`
    Timer
}

/// `struct supdrv_cpus`
#[repr(C)]
#[derive(Default)]
pub(crate) struct Cpus {
    pub(crate) ids: u32,
    pub(crate) online: u32,
    pub(crate) present: u32,
    pub(crate) possible: u32,
}

/// `struct supdrv_caller`
#[repr(C)]
#[derive(Default)]
pub(crate) struct Caller {
    pub(crate) user: u32,
    pub(crate) group: u32,
    pub(crate) process: u32,
}

unsafe extern "C" {
    pub(crate) fn supdrv_alloc(bytes: usize, align: usize) -> *mut u8;
    pub(crate) fn supdrv_free(block: *mut u8);

    pub(crate) fn supdrv_log(level: u32, text: *const u8, bytes: u32);

    pub(crate) fn supdrv_spin_lock(lock: *mut u32) -> c_ulong;
    pub(crate) fn supdrv_spin_try_lock(lock: *mut u32, flags: *mut c_ulong) -> bool;
    pub(crate) fn supdrv_spin_unlock(lock: *mut u32, flags: c_ulong);
    pub(crate) fn supdrv_mutex_sleep(lock: *mut u32);
    pub(crate) fn supdrv_mutex_wake(lock: *mut u32);
    pub(crate) fn supdrv_might_sleep();

    pub(crate) fn supdrv_current() -> *mut Task;
    pub(crate) fn supdrv_task_sleep(woken: *const u32, deadline: u64, interruptible: bool)
    -> c_int;
    pub(crate) fn supdrv_task_wake(task: *mut Task);

    pub(crate) fn supdrv_pages_alloc(pages: *mut *mut Page, count: u32, placement: u32) -> c_int;
    pub(crate) fn supdrv_pages_free(pages: *mut *mut Page, count: u32);
    pub(crate) fn supdrv_pin(address: u64, pages: *mut *mut Page, count: u32) -> c_int;
    pub(crate) fn supdrv_unpin(pages: *mut *mut Page, count: u32);
    pub(crate) fn supdrv_page_phys(page: *const Page) -> u64;
    pub(crate) fn supdrv_page_address(page: *const Page) -> *mut c_void;
    pub(crate) fn supdrv_charge(pages: u32, mm: *mut *mut Mm) -> c_int;
    pub(crate) fn supdrv_uncharge(pages: u32, mm: *mut Mm);
    pub(crate) fn supdrv_vmap(pages: *mut *mut Page, count: u32, protection: u32) -> *mut c_void;
    pub(crate) fn supdrv_vunmap(address: *mut c_void);
    pub(crate) fn supdrv_protect(
        address: *mut c_void,
        pages: *mut *mut Page,
        count: u32,
        protection: u32,
    ) -> c_int;
    pub(crate) fn supdrv_flush();

    pub(crate) fn supdrv_view_file() -> *mut File;
    pub(crate) fn supdrv_view_file_put(file: *mut File);
    pub(crate) fn supdrv_view_map(
        file: *mut File,
        offset: u64,
        pages: *mut *mut Page,
        count: u32,
        access: u32,
    ) -> c_long;
    pub(crate) fn supdrv_view_protect(
        file: *mut File,
        offset: u64,
        pages: *mut *mut Page,
        count: u32,
        access: u32,
        address: u64,
    ) -> c_int;
    pub(crate) fn supdrv_view_unmap(file: *mut File, offset: u64, count: u32, address: u64);
    pub(crate) fn supdrv_space_get() -> *mut Mm;
    pub(crate) fn supdrv_space() -> *const Mm;
    pub(crate) fn supdrv_space_put(mm: *mut Mm);

    pub(crate) fn supdrv_copy_in(to: *mut c_void, from: u64, bytes: usize) -> c_int;
    pub(crate) fn supdrv_copy_out(to: u64, from: *const c_void, bytes: usize) -> c_int;
    pub(crate) fn supdrv_copy_words_in(to: *mut u64, from: u64, bytes: u32) -> c_int;
    pub(crate) fn supdrv_copy_header_in(to: *mut u64, from: u64) -> c_int;
    pub(crate) fn supdrv_copy_words_out(to: u64, from: *const u64, bytes: u32) -> c_int;

    pub(crate) fn supdrv_read_ring0(to: *mut c_void, from: u64, bytes: usize) -> c_int;
    pub(crate) fn supdrv_write_ring0(to: u64, from: *const c_void, bytes: usize) -> c_int;
    pub(crate) fn supdrv_wait_for_probes();

    pub(crate) fn supdrv_now() -> u64;
    pub(crate) fn supdrv_resolution() -> u32;
    pub(crate) fn supdrv_tsc_khz() -> u32;
    pub(crate) fn supdrv_timer_start(
        tick: unsafe extern "C" fn(*mut c_void),
        context: *mut c_void,
        interval: u64,
        per_cpu: bool,
    ) -> *mut Timer;
    pub(crate) fn supdrv_timer_stop(timer: *mut Timer);

    pub(crate) fn supdrv_cpus(cpus: *mut Cpus);
    pub(crate) fn supdrv_current_cpu() -> u32;
    pub(crate) fn supdrv_on_each_cpu(
        visit: unsafe extern "C" fn(*mut c_void),
        context: *mut c_void,
    );
    pub(crate) fn supdrv_read_msr(index: u32, value: *mut u64) -> c_int;

    pub(crate) fn supdrv_caller(caller: *mut Caller);
    pub(crate) fn supdrv_may_load_code() -> c_int;
    pub(crate) fn supdrv_random() -> u64;
    pub(crate) fn supdrv_gip_mode() -> u32;
    pub(crate) fn supdrv_print_limit() -> u32;
    pub(crate) fn supdrv_trusted_key(index: u32, key: *mut u8) -> c_int;
}
