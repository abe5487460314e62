// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * The C shim: see shim.h for the contract of each function.
 *
 * Start: the driver, then the device. Stop: the device, then the driver; the kernel keeps the module
 * while a file is open or a mapping exists.
 */
#include <linux/capability.h>
#include <linux/cpu.h>
#include <linux/cpuhotplug.h>
#include <linux/cred.h>
#include <linux/fs.h>
#include <linux/hrtimer.h>
#include <linux/io.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/module.h>
#include <linux/random.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/security.h>
#include <linux/shmem_fs.h>
#include <linux/slab.h>
#include <linux/smp.h>
#include <linux/timekeeping.h>
#include <linux/uaccess.h>
#include <linux/version.h>
#include <linux/vmalloc.h>
#include <linux/wait_bit.h>
#include <asm/msr.h>
#include <asm/tlbflush.h>
#include <asm/tsc.h>

#include "shim.h"

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 3, 0)
static inline void vm_flags_set(struct vm_area_struct *vma, vm_flags_t flags)
{
	vma->vm_flags |= flags;
}

static inline void vm_flags_clear(struct vm_area_struct *vma, vm_flags_t flags)
{
	vma->vm_flags &= ~flags;
}
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 13, 0)
static inline void hrtimer_setup(struct hrtimer *timer,
				 enum hrtimer_restart (*function)(struct hrtimer *),
				 clockid_t clock, enum hrtimer_mode mode)
{
	hrtimer_init(timer, clock, mode);
	timer->function = function;
}
#endif

/* ---- memory of the driver itself ---- */

void *supdrv_alloc(size_t bytes, size_t align)
{
	/* The slabs align a power of two to itself. */
	return kvmalloc(align > ARCH_KMALLOC_MINALIGN ? roundup_pow_of_two(max(bytes, align)) : bytes,
			GFP_KERNEL_ACCOUNT | __GFP_NOWARN | __GFP_RETRY_MAYFAIL);
}

void supdrv_free(void *block)
{
	kvfree(block);
}

/* ---- log ---- */

void supdrv_log(u32 level, const char *text, u32 bytes)
{
	switch (level) {
	case 0:
		pr_err("supdrv: %.*s\n", (int)bytes, text);
		break;
	case 1:
		pr_warn("supdrv: %.*s\n", (int)bytes, text);
		break;
	case 2:
		pr_info("supdrv: %.*s\n", (int)bytes, text);
		break;
	default:
		pr_debug("supdrv: %.*s\n", (int)bytes, text);
	}
}

/* ---- locks ---- */

/* arch_spinlock_t is four bytes in every configuration, which spinlock_t is not. */
static_assert(sizeof(arch_spinlock_t) == sizeof(u32));

unsigned long supdrv_spin_lock(u32 *lock)
{
	unsigned long flags;

	local_irq_save(flags);
	arch_spin_lock((arch_spinlock_t *)lock);
	return flags;
}

bool supdrv_spin_try_lock(u32 *lock, unsigned long *flags)
{
	local_irq_save(*flags);
	if (arch_spin_trylock((arch_spinlock_t *)lock))
		return true;
	local_irq_restore(*flags);
	return false;
}

void supdrv_spin_unlock(u32 *lock, unsigned long flags)
{
	arch_spin_unlock((arch_spinlock_t *)lock);
	local_irq_restore(flags);
}

void supdrv_mutex_sleep(u32 *lock)
{
	wait_var_event(lock, xchg(lock, 2) == 0);
}

void supdrv_mutex_wake(u32 *lock)
{
	wake_up_var(lock);
}

void supdrv_might_sleep(void)
{
	might_sleep();
}

/* ---- tasks ---- */

struct task_struct *supdrv_current(void)
{
	return current;
}

int supdrv_task_sleep(const u32 *woken, u64 deadline, bool interruptible)
{
	ktime_t until = deadline > KTIME_MAX ? KTIME_MAX : (ktime_t)deadline;
	int result = 0;

	/* Not counted as load, and no hung task: a wait may last for ever. */
	set_current_state(interruptible ? TASK_INTERRUPTIBLE : TASK_IDLE);
	/* The barrier above pairs with the one in wake_up_process. */
	if (READ_ONCE(*woken)) {
		/* Nothing to wait for. */
	} else if (interruptible && signal_pending(current)) {
		result = -EINTR;
	} else if (deadline == U64_MAX) {
		schedule();
		if (interruptible && !READ_ONCE(*woken) && signal_pending(current))
			result = -EINTR;
	} else if (schedule_hrtimeout(&until, HRTIMER_MODE_ABS) == 0) {
		result = -ETIME;
	} else if (interruptible && !READ_ONCE(*woken) && signal_pending(current)) {
		result = -EINTR;
	}
	__set_current_state(TASK_RUNNING);
	return result;
}

void supdrv_task_wake(struct task_struct *task)
{
	wake_up_process(task);
}

/* ---- pages ---- */

static gfp_t page_flags(u32 placement)
{
	gfp_t flags = GFP_KERNEL_ACCOUNT | __GFP_ZERO | __GFP_NOWARN | __GFP_RETRY_MAYFAIL;

	return placement == SUPDRV_ANYWHERE ? flags : flags | GFP_DMA32;
}

static int alloc_run(struct page **pages, u32 count)
{
	unsigned int order = get_order((unsigned long)count << PAGE_SHIFT);
	struct page *first = alloc_pages(page_flags(SUPDRV_CONTIGUOUS_BELOW_4G), order);
	u32 i;

	if (!first)
		return -ENOMEM;
	if (order)
		split_page(first, order);
	for (i = 0; i < count; i++)
		pages[i] = first + i;
	for (; i < 1U << order; i++)
		__free_page(first + i);
	return 0;
}

int supdrv_pages_alloc(struct page **pages, u32 count, u32 placement)
{
	u32 i;

	if (placement == SUPDRV_CONTIGUOUS_BELOW_4G)
		return alloc_run(pages, count);
	for (i = 0; i < count; i++) {
		bool killed = fatal_signal_pending(current);

		pages[i] = killed ? NULL : alloc_page(page_flags(placement));
		if (!pages[i]) {
			supdrv_pages_free(pages, i);
			return killed ? -EINTR : -ENOMEM;
		}
		cond_resched();
	}
	return 0;
}

void supdrv_pages_free(struct page **pages, u32 count)
{
	u32 i;

	for (i = 0; i < count; i++) {
		put_page(pages[i]);
		cond_resched();
	}
}

u64 supdrv_page_phys(const struct page *page)
{
	return page_to_phys((struct page *)page);
}

void *supdrv_page_address(const struct page *page)
{
	return page_address(page);
}

int supdrv_charge(u32 pages, struct mm_struct **mm)
{
	int error;

	if (!current->mm)
		return -ESRCH;
	error = account_locked_vm(current->mm, pages, true);
	if (error)
		return error;
	mmgrab(current->mm);
	*mm = current->mm;
	return 0;
}

void supdrv_uncharge(u32 pages, struct mm_struct *mm)
{
	account_locked_vm(mm, pages, false);
	mmdrop(mm);
}

static pgprot_t protection_of(u32 protection)
{
	switch (protection) {
	case SUPDRV_READ_WRITE:
		return PAGE_KERNEL;
	case SUPDRV_READ_EXECUTE:
		return PAGE_KERNEL_ROX;
	default:
		return PAGE_KERNEL_RO;
	}
}

void *supdrv_vmap(struct page **pages, u32 count, u32 protection)
{
	return vmap(pages, count, VM_MAP, protection_of(protection));
}

void supdrv_vunmap(void *address)
{
	vunmap(address);
}

int supdrv_protect(void *address, struct page **pages, u32 count, u32 protection)
{
	u32 i;

	for (i = 0; i < count; i++) {
		unsigned int level;
		pte_t *pte = lookup_address((unsigned long)address + i * PAGE_SIZE, &level);

		if (!pte || level != PG_LEVEL_4K)
			return -EFAULT;
		if (pte_present(*pte) && pte_pfn(*pte) != page_to_pfn(pages[i]))
			return -EFAULT;
		set_pte(pte, protection == SUPDRV_NONE ?
				     __pte(0) :
				     pfn_pte(page_to_pfn(pages[i]), protection_of(protection)));
	}
	return 0;
}

/* Toggling CR4.PGE drops every translation, global ones too; the kernel exports nothing that does. */
static void flush_this_cpu(void *unused)
{
	unsigned long flags, cr4;

	raw_local_irq_save(flags);
	asm volatile("mov %%cr4, %0" : "=r"(cr4));
	asm volatile("mov %0, %%cr4" : : "r"(cr4 ^ X86_CR4_PGE) : "memory");
	asm volatile("mov %0, %%cr4" : : "r"(cr4) : "memory");
	raw_local_irq_restore(flags);
}

void supdrv_flush(void)
{
	on_each_cpu(flush_this_cpu, NULL, 1);
}

/* ---- mappings in ring 3 ---- */

/* A call of supdrv_view_map, for the mmap handler that runs inside of it: the file's own data is not
 * the place, because several threads may be mapping. */
struct mapping {
	struct list_head link;
	struct file *file;
	u64 offset;
	struct page **pages;
	u32 count;
	u32 access;
};

static LIST_HEAD(mappings);
static DEFINE_SPINLOCK(mappings_lock);

static struct mapping *find_mapping(const struct file *file, u64 offset)
{
	struct mapping *mapping, *found = NULL;

	spin_lock(&mappings_lock);
	list_for_each_entry(mapping, &mappings, link)
		if (mapping->file == file && mapping->offset == offset)
			found = mapping;
	spin_unlock(&mappings_lock);
	return found;
}

/* The pages are there from the start; who touches what was taken out again gets a signal. */
static vm_fault_t view_fault(struct vm_fault *fault)
{
	return VM_FAULT_SIGBUS;
}

/* A moved mapping would not be found again when its memory is freed. */
static int view_mremap(struct vm_area_struct *vma)
{
	return -EINVAL;
}

static const struct vm_operations_struct view_vm_operations = {
	.fault = view_fault,
	.mremap = view_mremap,
};

static int view_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct mapping *mapping = find_mapping(file, vma->vm_pgoff);
	unsigned long count = vma_pages(vma);

	if (!mapping || mapping->count != count || !(vma->vm_flags & VM_SHARED))
		return -EINVAL;
	vm_flags_set(vma, VM_DONTEXPAND | VM_DONTDUMP | VM_MIXEDMAP);
	/* A process may have asked for every readable mapping to be executable. */
	vm_flags_clear(vma, VM_EXEC | VM_MAYEXEC);
	if (mapping->access != SUPDRV_USER_INHERITED)
		vm_flags_set(vma, VM_DONTCOPY);
	if (mapping->access == SUPDRV_USER_READ)
		vm_flags_clear(vma, VM_WRITE | VM_MAYWRITE);
	vma->vm_page_prot = vm_get_page_prot(vma->vm_flags);
	vma->vm_ops = &view_vm_operations;
	return vm_insert_pages(vma, vma->vm_start, mapping->pages, &count);
}

static const struct file_operations view_operations = {
	.owner = THIS_MODULE,
	.mmap = view_mmap,
};

struct file *supdrv_view_file(void)
{
	/* A file of the kernel's own memory file system, for its inode: the mappings of an inode can be
	 * found again. Its contents are not used. */
	struct file *file = shmem_file_setup("supdrv", 0, VM_NORESERVE);

	if (IS_ERR(file))
		return NULL;
	/* The caller has a file of the device open, so the module cannot be going. */
	__module_get(THIS_MODULE);
	fops_put(file->f_op);
	file->f_op = &view_operations;
	return file;
}

void supdrv_view_file_put(struct file *file)
{
	fput(file);
}

long supdrv_view_map(struct file *file, u64 offset, struct page **pages, u32 count, u32 access)
{
	unsigned long protection = access == SUPDRV_USER_READ ? PROT_READ : PROT_READ | PROT_WRITE;
	struct mapping mapping = {
		.file = file,
		.offset = offset,
		.pages = pages,
		.count = count,
		.access = access,
	};
	long address;

	spin_lock(&mappings_lock);
	list_add(&mapping.link, &mappings);
	spin_unlock(&mappings_lock);
	address = vm_mmap(file, 0, (unsigned long)count << PAGE_SHIFT, protection, MAP_SHARED,
			  offset << PAGE_SHIFT);
	spin_lock(&mappings_lock);
	list_del(&mapping.link);
	spin_unlock(&mappings_lock);
	return address;
}

void supdrv_view_unmap(struct file *file, u64 offset, u32 count, u64 address)
{
	unsigned long bytes = (unsigned long)count << PAGE_SHIFT;
	bool is_there = false;

	unmap_mapping_range(file->f_mapping, (loff_t)offset << PAGE_SHIFT, bytes, 1);
	if (current->mm && !(current->flags & PF_EXITING)) {
		struct vm_area_struct *vma;

		mmap_read_lock(current->mm);
		vma = find_vma(current->mm, address);
		is_there = vma && vma->vm_start == address && vma->vm_end == address + bytes &&
			   vma->vm_file == file && vma->vm_pgoff == offset;
		mmap_read_unlock(current->mm);
	}
	/* If another thread maps something else there meanwhile, its process harms itself alone. */
	if (is_there)
		vm_munmap(address, bytes);
}

struct mm_struct *supdrv_space_get(void)
{
	if (current->mm)
		mmgrab(current->mm);
	return current->mm;
}

const struct mm_struct *supdrv_space(void)
{
	return current->mm;
}

void supdrv_space_put(struct mm_struct *mm)
{
	mmdrop(mm);
}

/* ---- memory of ring 3 ---- */

int supdrv_copy_in(void *to, u64 from, size_t bytes)
{
	return copy_from_user(to, (const void __user *)from, bytes) ? -EFAULT : 0;
}

int supdrv_copy_out(u64 to, const void *from, size_t bytes)
{
	return copy_to_user((void __user *)to, from, bytes) ? -EFAULT : 0;
}

int supdrv_copy_header_in(u64 *to, u64 from)
{
	const u64 __user *user = (const u64 __user *)from;

	if (!user_read_access_begin(user, 3 * sizeof(u64)))
		return -EFAULT;
	unsafe_get_user(to[0], &user[0], fault);
	unsafe_get_user(to[1], &user[1], fault);
	unsafe_get_user(to[2], &user[2], fault);
	user_read_access_end();
	return 0;

fault:
	user_read_access_end();
	return -EFAULT;
}

int supdrv_copy_words_in(u64 *to, u64 from, u32 bytes)
{
	const u64 __user *user = (const u64 __user *)from;
	const u8 __user *tail;
	u32 words = bytes / sizeof(u64), rest = bytes % sizeof(u64);
	u64 last = 0;
	u32 i;

	if (!user_read_access_begin(user, bytes))
		return -EFAULT;
	for (i = 0; i < words; i++)
		unsafe_get_user(to[i], &user[i], fault);
	tail = (const u8 __user *)&user[words];
	if (rest == sizeof(u32)) {
		unsafe_get_user(*(u32 *)&last, (const u32 __user *)tail, fault);
	} else {
		for (i = 0; i < rest; i++)
			unsafe_get_user(((u8 *)&last)[i], &tail[i], fault);
	}
	user_read_access_end();
	if (rest)
		to[words] = last;
	return 0;

fault:
	user_read_access_end();
	return -EFAULT;
}

int supdrv_copy_words_out(u64 to, const u64 *from, u32 bytes)
{
	u64 __user *user = (u64 __user *)to;
	u8 __user *tail;
	u32 words = bytes / sizeof(u64), rest = bytes % sizeof(u64);
	u32 i;

	if (!user_write_access_begin(user, bytes))
		return -EFAULT;
	for (i = 0; i < words; i++)
		unsafe_put_user(from[i], &user[i], fault);
	tail = (u8 __user *)&user[words];
	if (rest == sizeof(u32)) {
		unsafe_put_user(*(const u32 *)&from[words], (u32 __user *)tail, fault);
	} else {
		for (i = 0; i < rest; i++)
			unsafe_put_user(((const u8 *)&from[words])[i], &tail[i], fault);
	}
	user_write_access_end();
	return 0;

fault:
	user_write_access_end();
	return -EFAULT;
}

/* ---- time ---- */

u64 supdrv_now(void)
{
	return ktime_get_ns();
}

u32 supdrv_resolution(void)
{
	return hrtimer_resolution;
}

u32 supdrv_tsc_khz(void)
{
	return tsc_khz;
}

struct one_timer {
	struct hrtimer hrtimer;
	struct supdrv_timer *all;
	bool is_running;
};

struct supdrv_timer {
	void (*tick)(void *context);
	void *context;
	u64 interval;
	bool per_cpu;
	int hotplug_state;
	/* For multi-instance hotplug states. */
	struct hlist_node node;
	u32 count;
	struct one_timer each[];
};

static enum hrtimer_restart timer_fires(struct hrtimer *hrtimer)
{
	struct one_timer *timer = container_of(hrtimer, struct one_timer, hrtimer);

	timer->all->tick(timer->all->context);
	hrtimer_forward_now(hrtimer, ns_to_ktime(timer->all->interval));
	return HRTIMER_RESTART;
}

static void start_one(struct supdrv_timer *all, u32 index, enum hrtimer_mode mode)
{
	struct one_timer *timer = &all->each[index];

	hrtimer_setup(&timer->hrtimer, timer_fires, CLOCK_MONOTONIC, mode);
	timer->all = all;
	timer->is_running = true;
	hrtimer_start(&timer->hrtimer, 0, mode);
}

static void stop_one(struct supdrv_timer *all, u32 index)
{
	struct one_timer *timer = &all->each[index];

	if (timer->is_running)
		hrtimer_cancel(&timer->hrtimer);
	timer->is_running = false;
}

/* The hotplug callbacks run on the processor that they are about. */
static int cpu_comes(unsigned int cpu, struct hlist_node *node)
{
	struct supdrv_timer *all = hlist_entry(node, struct supdrv_timer, node);

	if (cpu < all->count)
		start_one(all, cpu, HRTIMER_MODE_REL_PINNED);
	return 0;
}

static int cpu_goes(unsigned int cpu, struct hlist_node *node)
{
	struct supdrv_timer *all = hlist_entry(node, struct supdrv_timer, node);

	if (cpu < all->count)
		stop_one(all, cpu);
	return 0;
}

/* The state of the per-processor timers in the kernel's order of hotplug steps. */
static int hotplug_state;

struct supdrv_timer *supdrv_timer_start(void (*tick)(void *context), void *context, u64 interval,
					bool per_cpu)
{
	u32 count = per_cpu ? nr_cpu_ids : 1;
	struct supdrv_timer *all = kvzalloc(struct_size(all, each, count), GFP_KERNEL_ACCOUNT);

	if (!all)
		return NULL;
	all->tick = tick;
	all->context = context;
	all->interval = interval;
	all->per_cpu = per_cpu;
	all->count = count;
	if (!per_cpu) {
		start_one(all, 0, HRTIMER_MODE_REL);
	} else if (cpuhp_state_add_instance(hotplug_state, &all->node)) {
		kvfree(all);
		return NULL;
	}
	return all;
}

void supdrv_timer_stop(struct supdrv_timer *all)
{
	if (all->per_cpu)
		cpuhp_state_remove_instance(hotplug_state, &all->node);
	else
		stop_one(all, 0);
	kvfree(all);
}

/* ---- processors ---- */

void supdrv_cpus(struct supdrv_cpus *cpus)
{
	cpus->ids = nr_cpu_ids;
	cpus->online = num_online_cpus();
	cpus->present = num_present_cpus();
	cpus->possible = num_possible_cpus();
}

u32 supdrv_current_cpu(void)
{
	return raw_smp_processor_id();
}

void supdrv_on_each_cpu(void (*visit)(void *context), void *context)
{
	unsigned int cpu;

	cpus_read_lock();
	for_each_online_cpu(cpu)
		smp_call_function_single(cpu, visit, context, 1);
	cpus_read_unlock();
}

int supdrv_read_msr(u32 index, u64 *value)
{
	return rdmsrl_safe(index, value);
}

/* ---- who calls ---- */

void supdrv_caller(struct supdrv_caller *caller)
{
	caller->user = from_kuid(&init_user_ns, current_uid());
	caller->group = from_kgid(&init_user_ns, current_gid());
	caller->process = task_tgid_nr(current);
}

int supdrv_may_load_code(void)
{
	if (!capable(CAP_SYS_MODULE))
		return -EPERM;
	return security_locked_down(LOCKDOWN_MODULE_SIGNATURE);
}

void supdrv_random(void *to, size_t bytes)
{
	get_random_bytes(to, bytes);
}

static char *gip_mode = "auto";
module_param(gip_mode, charp, 0444);
MODULE_PARM_DESC(gip_mode, "mode of the Global Information Page: auto, sync or async");

u32 supdrv_gip_mode(void)
{
	if (!strcmp(gip_mode, "sync"))
		return 1;
	if (!strcmp(gip_mode, "async"))
		return 2;
	if (strcmp(gip_mode, "auto"))
		pr_warn("supdrv: gip_mode=%s is neither auto, sync nor async\n", gip_mode);
	return 0;
}

/* ---- the device ---- */

static int device_open(struct inode *inode, struct file *file)
{
	return supdrv_open(&file->private_data);
}

static int device_release(struct inode *inode, struct file *file)
{
	supdrv_close(file->private_data);
	return 0;
}

static long device_ioctl(struct file *file, unsigned int number, unsigned long argument)
{
	return supdrv_ioctl(file->private_data, number, argument);
}

/* No compat_ioctl: callers of 32 bits get ENOTTY. No mmap: what is to be mapped is asked for. */
static const struct file_operations device_operations = {
	.owner = THIS_MODULE,
	.open = device_open,
	.release = device_release,
	.unlocked_ioctl = device_ioctl,
	.llseek = noop_llseek,
};

static struct miscdevice device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "supdrv",
	.fops = &device_operations,
	.mode = 0600,
};

static int __init shim_init(void)
{
	int result = cpuhp_setup_state_multi(CPUHP_AP_ONLINE_DYN, "supdrv:gip", cpu_comes, cpu_goes);

	if (result < 0)
		return result;
	hotplug_state = result;
	result = supdrv_start();
	if (result)
		goto no_driver;
	result = misc_register(&device);
	if (result)
		goto no_device;
	return 0;

no_device:
	supdrv_stop();
no_driver:
	cpuhp_remove_multi_state(hotplug_state);
	return result;
}

static void __exit shim_exit(void)
{
	misc_deregister(&device);
	supdrv_stop();
	cpuhp_remove_multi_state(hotplug_state);
}

module_init(shim_init);
module_exit(shim_exit);

MODULE_LICENSE("Dual MIT/GPL");
MODULE_DESCRIPTION("Support driver: sessions, memory, semaphores, time and ring-0 modules for ring 3");
MODULE_VERSION("0.1.0");
