// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Memory of the driver, pages, and their mappings in ring 0.
 */
#include <linux/io.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/smp.h>
#include <linux/vmalloc.h>
#include <asm/tlbflush.h>

#include "shim.h"

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

/* ---- pages ---- */

/* Runs of pages that are taken and given back in one piece: of 2^6 pages at most, which the kernel mostly
 * has without looking for them. */
#define RUN_ORDER_MAX 6

static gfp_t page_flags(u32 placement)
{
	gfp_t flags = GFP_KERNEL_ACCOUNT | __GFP_ZERO | __GFP_NOWARN | __GFP_RETRY_MAYFAIL;

	return placement == SUPDRV_ANYWHERE ? flags : flags | GFP_DMA32;
}

/* As many pages of up to `count` as are there in one piece, one behind the other and with one reference for
 * all of them; returns how many these are. Only a single page is worth reclaiming memory for. */
static u32 alloc_piece(struct page **pages, u32 count, u32 placement)
{
	gfp_t flags = page_flags(placement);
	gfp_t hasty = (flags & ~(__GFP_RECLAIM | __GFP_RETRY_MAYFAIL)) | __GFP_COMP;
	unsigned int order = min_t(unsigned int, ilog2(count), RUN_ORDER_MAX);
	struct page *first = NULL;
	u32 i;

	for (; order && !first; order -= !first)
		first = alloc_pages(hasty, order);
	if (!first)
		first = alloc_page(flags);
	if (!first)
		return 0;
	for (i = 0; i < 1U << order; i++)
		pages[i] = first + i;
	return i;
}

static int alloc_contiguous(struct page **pages, u32 count)
{
	unsigned int order = get_order((unsigned long)count << PAGE_SHIFT);
	gfp_t flags = page_flags(SUPDRV_CONTIGUOUS_BELOW_4G);
	bool is_whole = count == 1U << order;
	struct page *first = alloc_pages(is_whole ? flags | __GFP_COMP : flags, order);
	u32 i;

	if (!first)
		return -ENOMEM;
	/* What is left over goes back now, so the others have to be pages of their own. */
	if (!is_whole)
		split_page(first, order);
	for (i = 0; i < count; i++)
		pages[i] = first + i;
	for (; i < 1U << order; i++)
		__free_page(first + i);
	return 0;
}

int supdrv_pages_alloc(struct page **pages, u32 count, u32 placement)
{
	u32 done = 0;

	if (placement == SUPDRV_CONTIGUOUS_BELOW_4G)
		return alloc_contiguous(pages, count);
	while (done < count) {
		bool killed = fatal_signal_pending(current);
		u32 piece = killed ? 0 : alloc_piece(pages + done, count - done, placement);

		if (!piece) {
			supdrv_pages_free(pages, done);
			return killed ? -EINTR : -ENOMEM;
		}
		done += piece;
		cond_resched();
	}
	return 0;
}

void supdrv_pages_free(struct page **pages, u32 count)
{
	u32 i = 0;

	while (i < count) {
		struct page *first = pages[i];

		/* A piece has one reference, and its first page tells its length while that is there. */
		i += compound_nr(first);
		put_page(first);
		cond_resched();
	}
}

int supdrv_pin(u64 address, struct page **pages, u32 count)
{
	u32 done = 0;

	/* In pieces, so that a long one can be killed and nothing keeps others waiting. */
	while (done < count) {
		u32 piece = min_t(u32, count - done, 512);
		int pinned = -EINTR;

		if (!fatal_signal_pending(current))
			pinned = pin_user_pages_fast(address + ((u64)done << PAGE_SHIFT), piece,
						     FOLL_WRITE | FOLL_LONGTERM, pages + done);
		if (pinned > 0)
			done += pinned;
		if (pinned != piece) {
			supdrv_unpin(pages, done);
			return pinned == -ENOMEM || pinned == -EINTR ? pinned : -EFAULT;
		}
		cond_resched();
	}
	return 0;
}

void supdrv_unpin(struct page **pages, u32 count)
{
	unpin_user_pages_dirty_lock(pages, count, true);
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
