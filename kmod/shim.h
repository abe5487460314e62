/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The contract between the C shim and the Rust driver.
 *
 * The shim holds what macros, inline functions and configuration-dependent structures force into C,
 * and nothing else: no decision, no state of the driver. One object of Rust serves every kernel, so
 * nothing here has a layout or a value that depends on the kernel's version or configuration.
 *
 * Each function has one safe wrapper in crates/sup-kmod/src/shim/. "May sleep" means: process context,
 * interrupts on, no spinning lock held. Everything else may be called in any context but NMI.
 * Sizes are in bytes, times in nanoseconds of CLOCK_MONOTONIC, errors are negative errno values.
 */
#ifndef SUPDRV_SHIM_H
#define SUPDRV_SHIM_H

#include <linux/types.h>

struct file;
struct supdrv_idc_header;
struct mm_struct;
struct page;
struct task_struct;
struct supdrv_timer;

/* ---- memory of the driver itself ---- */

/* Memory that is charged to the caller's control group, or NULL. `align` is a power of two up to a
 * page. May sleep. */
void *supdrv_alloc(size_t bytes, size_t align);
void supdrv_free(void *block);

/* ---- log ---- */

/* One line, without a line end, which need not be terminated. Level: 0 error, 1 warning, 2 info, 3 debug,
 * 4 of an oops. Ring 3 can cause errors and warnings, so the kernel drops them when they come too often.
 * In an NMI too. */
void supdrv_log(u32 level, const char *text, u32 bytes);

/* ---- locks ---- */

/* A fair spinning lock of four bytes; zero is free. Interrupts are off while it is held; what they
 * were before is what `lock` returns and `unlock` restores. */
unsigned long supdrv_spin_lock(u32 *lock);
/* True, and *flags set, if the lock was free. */
bool supdrv_spin_try_lock(u32 *lock, unsigned long *flags);
void supdrv_spin_unlock(u32 *lock, unsigned long flags);

/* The slow halves of a sleeping lock of four bytes: 0 free, 1 taken, 2 taken and perhaps awaited.
 * `sleep` returns with the lock taken as 2. `wake` is called after the owner stored 0 over a 2; the
 * lock may be gone by then. `sleep` may sleep. */
void supdrv_mutex_sleep(u32 *lock);
void supdrv_mutex_wake(u32 *lock);
/* Complains on a debug kernel if the caller may not sleep. */
void supdrv_might_sleep(void);

/* ---- tasks ---- */

/* The current task. The pointer is good until the task ends. */
struct task_struct *supdrv_current(void);
/* Sleeps until `*woken` is set and the task woken, until the deadline (all ones: none), or, if
 * `interruptible`, until a signal. Returns 0, -ETIME or -EINTR; may return 0 too early. May sleep. */
int supdrv_task_sleep(const u32 *woken, u64 deadline, bool interruptible);
/* Wakes a task that is in supdrv_task_sleep or about to be. The task must not have ended. */
void supdrv_task_wake(struct task_struct *task);

/* ---- pages ---- */

enum supdrv_placement {
	SUPDRV_ANYWHERE = 0,
	SUPDRV_BELOW_4G = 1,
	SUPDRV_CONTIGUOUS_BELOW_4G = 2,
};

/* Fills `pages` with `count` zeroed pages, or with none. They come in pieces of one reference each, to be
 * given back together. Returns 0, -ENOMEM, or -EINTR if the caller is being killed. May sleep. */
int supdrv_pages_alloc(struct page **pages, u32 count, u32 placement);
/* Drops the references of supdrv_pages_alloc, whose array it takes whole. May sleep. */
void supdrv_pages_free(struct page **pages, u32 count);
/* Pins `count` writable pages of the current process from `address` on where they are, and names them
 * in `pages`. Returns 0, -ENOMEM, -EINTR, or -EFAULT if not all are mapped and writable; then none stays
 * pinned. May sleep. */
int supdrv_pin(u64 address, struct page **pages, u32 count);
/* Undoes supdrv_pin. The pages count as written to. May sleep. */
void supdrv_unpin(struct page **pages, u32 count);
u64 supdrv_page_phys(const struct page *page);
/* The page in the kernel's linear mapping, readable and writable. */
void *supdrv_page_address(const struct page *page);

/* Counts pages against RLIMIT_MEMLOCK of the current address space, of which it returns a reference in
 * *mm. Returns 0, -ENOMEM if the limit forbids it, or -ESRCH for a kernel thread. May sleep. */
int supdrv_charge(u32 pages, struct mm_struct **mm);
/* Undoes supdrv_charge and drops the reference. May sleep. */
void supdrv_uncharge(u32 pages, struct mm_struct *mm);

enum supdrv_protection {
	SUPDRV_NONE = 0,
	SUPDRV_READ = 1,
	SUPDRV_READ_WRITE = 2,
	SUPDRV_READ_EXECUTE = 3,
};

/* Maps pages one behind the other in ring 0, with guard pages, readable and writable or only readable,
 * never executable. NULL if there is no room. May sleep. */
void *supdrv_vmap(struct page **pages, u32 count, u32 protection);
void supdrv_vunmap(void *address);
/* Changes the protection of some pages of a mapping of supdrv_vmap; a page that was made NONE has to
 * be named with its struct page. The old protection may be in effect until supdrv_flush returned.
 * Returns 0, or -EFAULT if a page is not mapped as expected. */
int supdrv_protect(void *address, struct page **pages, u32 count, u32 protection);
/* Makes every processor forget old translations of ring 0. May sleep. */
void supdrv_flush(void);

/* ---- mappings in ring 3 ---- */

/* A file with an address space of its own that no process can open; it keeps the module in memory, as
 * do mappings of it. NULL if memory is out. May sleep. */
struct file *supdrv_view_file(void);
void supdrv_view_file_put(struct file *file);

enum supdrv_access {
	SUPDRV_USER_READ = 0,
	SUPDRV_USER_READ_WRITE = 1,
	/* Readable and writable, and children of a fork have it too. */
	SUPDRV_USER_INHERITED = 2,
	SUPDRV_USER_NOTHING = 3,
};

/* Maps pages into the current process, shared, never executable, not growable, as page `offset` and
 * following of the file. Nobody else may use these offsets. Returns the address, or a negative errno
 * value. A mapping holds a reference of each page. May sleep. */
long supdrv_view_map(struct file *file, u64 offset, struct page **pages, u32 count, u32 access);
/* Maps some of the pages of a supdrv_view_map anew where they are, with an access that the process cannot
 * widen: `offset`, `pages` and `address` are those of the first one. Whoever touches them meanwhile waits.
 * Returns 0; -EFAULT if the current process has no longer mapped all of them there; or another negative
 * errno value, after which some kernels (before 6.12) have nothing mapped there. May sleep. */
int supdrv_view_protect(struct file *file, u64 offset, struct page **pages, u32 count, u32 access,
			u64 address);
/* Takes the pages out of every mapping of these offsets, in whatever process, and removes the mappings
 * from `address` on as far as the current process still has them there. May sleep. */
void supdrv_view_unmap(struct file *file, u64 offset, u32 count, u64 address);
/* The current address space, with a reference that keeps its name unique; NULL for a kernel thread. */
struct mm_struct *supdrv_space_get(void);
/* The current address space's name without a reference. */
const struct mm_struct *supdrv_space(void);
void supdrv_space_put(struct mm_struct *mm);

/* ---- memory of ring 3 ---- */

/* Copy and return 0, or -EFAULT. Any address may be given. May sleep. */
int supdrv_copy_in(void *to, u64 from, size_t bytes);
int supdrv_copy_out(u64 to, const void *from, size_t bytes);
/* The same for a few words: each word of user memory is read or written once, in ascending order.
 * `to` and `from` in ring 0 are aligned to 8 and hold whole words; what lies behind `bytes` in the last
 * one is set to zero, or not written. */
int supdrv_copy_words_in(u64 *to, u64 from, u32 bytes);
/* The same for three whole words, the header of a packet. */
int supdrv_copy_header_in(u64 *to, u64 from);
int supdrv_copy_words_out(u64 to, const u64 *from, u32 bytes);

/* ---- memory of ring 0 that somebody else named ---- */

/* Copy and return 0, or -EFAULT if not all of it can be read or written. Any address of ring 0 may be
 * given; those of ring 3 are refused. `bytes` is a multiple of 4 for a write, and `to` aligned to 4. A read in
 * an NMI too. */
int supdrv_read_ring0(void *to, u64 from, size_t bytes);
int supdrv_write_ring0(u64 to, const void *from, size_t bytes);
/* Returns when every task has slept, or run in ring 3, and every interrupt that was being handled has
 * been. May sleep, for seconds. */
void supdrv_wait_for_probes(void);

/* ---- time ---- */

/* CLOCK_MONOTONIC in nanoseconds. Any context, also an NMI. */
u64 supdrv_now(void);
/* The resolution of a sleep. */
u32 supdrv_resolution(void);
/* Frequency of the time stamp counter in kHz, as the kernel knows it. */
u32 supdrv_tsc_khz(void);

/* Calls `tick(context)` with interrupts off at once and then every `interval`: on one processor, or on
 * every online processor, also on those that come later. NULL if memory is out. May sleep. */
struct supdrv_timer *supdrv_timer_start(void (*tick)(void *context), void *context, u64 interval,
					bool per_cpu);
/* Returns when no call runs and none will come. May sleep. */
void supdrv_timer_stop(struct supdrv_timer *timer);

/* ---- processors ---- */

struct supdrv_cpus {
	u32 ids;      /* the highest number that a processor may have, plus one */
	u32 online;
	u32 present;
	u32 possible;
};
void supdrv_cpus(struct supdrv_cpus *cpus);
u32 supdrv_current_cpu(void);
/* Calls `visit(context)` on every online processor in turn, with interrupts off. May sleep. */
void supdrv_on_each_cpu(void (*visit)(void *context), void *context);
/* 0, or -EIO if the processor has no such register. */
int supdrv_read_msr(u32 index, u64 *value);

/* ---- who calls ---- */

struct supdrv_caller {
	u32 user;    /* real, as the initial user namespace numbers it */
	u32 group;
	u32 process; /* thread group */
};
void supdrv_caller(struct supdrv_caller *caller);
/* 0 if the caller may bring code into ring 0; -EPERM without CAP_SYS_MODULE or under lockdown. */
int supdrv_may_load_code(void);
/* A number that nobody can foresee, of the kernel's generator. */
u64 supdrv_random(void);
/* The module's parameter gip_mode: 0 none, 1 sync, 2 async. */
u32 supdrv_gip_mode(void);
/* The module's parameter print_limit, as it is now. Any context. */
u32 supdrv_print_limit(void);
/* Key number `index` of the module's parameter keys, 32 bytes: 1, or 0 if there are no more, or -EINVAL
 * if it is no key. */
int supdrv_trusted_key(u32 index, u8 *key);

/* ---- Rust, called by C ---- */

/* Before the device is registered, and after it is gone. 0 or a negative errno value. */
int supdrv_start(void);
void supdrv_stop(void);
/* While the driver is there: on a processor that is online or comes to be, and for one that goes. One call
 * at a time. Neither sleeps. */
void supdrv_cpu_comes(void);
void supdrv_cpu_goes(u32 cpu);
/* An open file of the device. Each is called once a file; *session is what the others get. */
int supdrv_open(void **session);
void supdrv_close(void *session);
long supdrv_ioctl(void *session, u32 number, u64 argument);
/* A packet of another kernel module, which cannot outlive this one. May sleep. */
int supdrv_idc(u32 request, struct supdrv_idc_header *packet);

/* The kernel has written its report of an oops at this instruction, with this stack pointer. It holds locks,
 * and may be in an NMI. */
void supdrv_died(u64 instruction, u64 stack);

/* ---- between the files of the shim ---- */

/* After the driver's start and before its end. 0 or a negative errno value. */
int shim_cpus_init(void);
void shim_cpus_exit(void);
int shim_crash_init(void);
void shim_crash_exit(void);
/* Before the first timer, and after the last; within the former, so that a processor that comes is known
 * before it ticks. 0 or a negative errno value. */
int shim_timers_init(void);
void shim_timers_exit(void);

#endif
