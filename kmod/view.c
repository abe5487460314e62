// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * What ring 3 sees: mappings of pages, and copies from and to its memory; and copies from and to memory of
 * ring 0 that may not be there.
 *
 * What a process may do with pages is written in its mapping alone: a change of protection maps them anew
 * over what is there, which is one step for whoever touches them, and takes the rights to widen it from
 * the process. So there is no record beside the mapping, and no fault to race with.
 *
 * Locks: the address space's mmap_lock, then mappings_lock.
 */
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/module.h>
#include <linux/rcupdate.h>
#include <linux/sched/mm.h>
#include <linux/shmem_fs.h>
#include <linux/uaccess.h>
#include <linux/version.h>

#include "shim.h"

#if LINUX_VERSION_CODE >= KERNEL_VERSION(7, 0, 0)
#define UNRESERVED mk_vma_flags(VMA_NORESERVE_BIT)
#else
#define UNRESERVED VM_NORESERVE
#endif

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

/* ---- mappings in ring 3 ---- */

/* A call that maps, for the mmap handler that runs inside of it: the file's own data is not the place,
 * because several threads may be mapping, even the same pages. */
struct mapping {
	struct list_head link;
	const struct task_struct *task;
	const struct file *file;
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
		if (mapping->task == current && mapping->file == file && mapping->offset == offset)
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
	if (mapping->access == SUPDRV_USER_READ || mapping->access == SUPDRV_USER_NOTHING)
		vm_flags_clear(vma, VM_WRITE | VM_MAYWRITE);
	if (mapping->access == SUPDRV_USER_NOTHING)
		vm_flags_clear(vma, VM_READ | VM_MAYREAD);
	vma->vm_page_prot = vm_get_page_prot(vma->vm_flags);
	vma->vm_ops = &view_vm_operations;
	if (mapping->access == SUPDRV_USER_NOTHING)
		return 0;
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
	struct file *file = shmem_file_setup("supdrv", 0, UNRESERVED);

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

static unsigned long mmap_protection(u32 access)
{
	switch (access) {
	case SUPDRV_USER_NOTHING:
		return PROT_NONE;
	case SUPDRV_USER_READ:
		return PROT_READ;
	default:
		return PROT_READ | PROT_WRITE;
	}
}

/* Maps pages at `address`, whatever is there, or anywhere if that is zero. */
static long map_view(struct file *file, u64 offset, struct page **pages, u32 count, u32 access,
		     u64 address)
{
	struct mapping mapping = {
		.task = current,
		.file = file,
		.offset = offset,
		.pages = pages,
		.count = count,
		.access = access,
	};
	long result;

	spin_lock(&mappings_lock);
	list_add(&mapping.link, &mappings);
	spin_unlock(&mappings_lock);
	result = vm_mmap(file, address, (unsigned long)count << PAGE_SHIFT, mmap_protection(access),
			 address ? MAP_SHARED | MAP_FIXED : MAP_SHARED, offset << PAGE_SHIFT);
	spin_lock(&mappings_lock);
	list_del(&mapping.link);
	spin_unlock(&mappings_lock);
	return result;
}

long supdrv_view_map(struct file *file, u64 offset, struct page **pages, u32 count, u32 access)
{
	return map_view(file, offset, pages, count, access, 0);
}

/* The first piece between *start and *end where the current process has the file mapped so that `offset` is
 * at `address`. False if there is none. */
static bool find_piece(const struct file *file, u64 offset, u64 address, unsigned long *start,
		       unsigned long *end)
{
	struct vm_area_struct *vma;
	bool is_found = false;

	mmap_read_lock(current->mm);
	for (vma = find_vma(current->mm, *start); vma && vma->vm_start < *end;
	     vma = find_vma(current->mm, vma->vm_end)) {
		/* Wraps where the mapping starts before the address, on both sides alike. */
		is_found = vma->vm_file == file && (vma->vm_pgoff << PAGE_SHIFT) - vma->vm_start ==
							    (offset << PAGE_SHIFT) - address;
		if (is_found) {
			*start = max(*start, vma->vm_start);
			*end = min(*end, vma->vm_end);
			break;
		}
	}
	mmap_read_unlock(current->mm);
	return is_found;
}

int supdrv_view_protect(struct file *file, u64 offset, struct page **pages, u32 count, u32 access,
			u64 address)
{
	unsigned long bytes = (unsigned long)count << PAGE_SHIFT;
	unsigned long next = address, start = address, end = address + bytes;
	long result;

	/* If another thread maps something else there meanwhile, its process harms itself alone. */
	for (; next < address + bytes; next = end) {
		start = next;
		end = address + bytes;
		if (!find_piece(file, offset, address, &start, &end) || start != next)
			return -EFAULT;
	}
	result = map_view(file, offset, pages, count, access, address);
	return result < 0 ? result : 0;
}

void supdrv_view_unmap(struct file *file, u64 offset, u32 count, u64 address)
{
	unsigned long bytes = (unsigned long)count << PAGE_SHIFT;
	bool is_in_process = current->mm && !(current->flags & PF_EXITING);
	unsigned long start = address, end = address + bytes;

	/* In pieces: the process may have unmapped some, and the driver have protected some. If another
	 * thread maps something else there meanwhile, its process harms itself alone. */
	while (is_in_process && find_piece(file, offset, address, &start, &end)) {
		vm_munmap(start, end - start);
		start = end;
		end = address + bytes;
	}
	unmap_mapping_range(file->f_mapping, (loff_t)offset << PAGE_SHIFT, bytes, 1);
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
	const u64 *end = from + bytes / sizeof(u64);
	u32 i;

	if (!user_write_access_begin(user, bytes))
		return -EFAULT;
	/* Nearly every answer is a header and a little more. */
	if (likely(bytes >= 3 * sizeof(u64))) {
		unsafe_put_user(from[0], &user[0], fault);
		unsafe_put_user(from[1], &user[1], fault);
		unsafe_put_user(from[2], &user[2], fault);
		from += 3;
		user += 3;
	}
	for (; from != end; from++, user++)
		unsafe_put_user(*from, user, fault);
	if (likely(bytes % sizeof(u64) == sizeof(u32))) {
		unsafe_put_user(*(const u32 *)from, (u32 __user *)user, fault);
	} else {
		for (i = 0; i < bytes % sizeof(u64); i++)
			unsafe_put_user(((const u8 *)from)[i], &((u8 __user *)user)[i], fault);
	}
	user_write_access_end();
	return 0;

fault:
	user_write_access_end();
	return -EFAULT;
}

/* ---- memory of ring 0 that somebody else named ---- */

int supdrv_read_ring0(void *to, u64 from, size_t bytes)
{
	return copy_from_kernel_nofault(to, (const void *)from, bytes) ? -EFAULT : 0;
}

int supdrv_write_ring0(u64 to, const void *from, size_t bytes)
{
	const u32 *words = from;
	size_t i;

	if (to < TASK_SIZE_MAX + PAGE_SIZE || !IS_ALIGNED(to, sizeof(u32)))
		return -EFAULT;
	pagefault_disable();
	for (i = 0; i < bytes / sizeof(u32); i++)
		__put_kernel_nofault((u32 *)to + i, words + i, u32, fault);
	pagefault_enable();
	return 0;
fault:
	pagefault_enable();
	return -EFAULT;
}

void supdrv_wait_for_probes(void)
{
	/* Interrupts, and code that cannot be preempted; then all tasks. */
	synchronize_rcu();
	synchronize_rcu_tasks();
}
