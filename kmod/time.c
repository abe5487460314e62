// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Clocks, timers and processors.
 */
#include <linux/cpu.h>
#include <linux/cpuhotplug.h>
#include <linux/hrtimer.h>
#include <linux/mm.h>
#include <linux/preempt.h>
#include <linux/smp.h>
#include <linux/timekeeping.h>
#include <linux/version.h>
#include <asm/msr.h>
#include <asm/tsc.h>

#include "shim.h"

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 16, 0)
#define read_msr_safely rdmsrq_safe
#else
#define read_msr_safely rdmsrl_safe
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

/* ---- time ---- */

u64 supdrv_now(void)
{
	/* The exact one waits for whoever sets the clock, whom an NMI may have interrupted. */
	return in_nmi() ? ktime_get_mono_fast_ns() : ktime_get_ns();
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

int shim_timers_init(void)
{
	int result = cpuhp_setup_state_multi(CPUHP_AP_ONLINE_DYN, "supdrv:gip", cpu_comes, cpu_goes);

	if (result < 0)
		return result;
	hotplug_state = result;
	return 0;
}

void shim_timers_exit(void)
{
	cpuhp_remove_multi_state(hotplug_state);
}

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

/* On the processor itself. */
static int driver_gains_cpu(unsigned int cpu)
{
	supdrv_cpu_comes();
	return 0;
}

static int driver_loses_cpu(unsigned int cpu)
{
	supdrv_cpu_goes(cpu);
	return 0;
}

/* The state that tells the driver, before that of its timers in the kernel's order. */
static int cpus_state;

int shim_cpus_init(void)
{
	int result = cpuhp_setup_state(CPUHP_AP_ONLINE_DYN, "supdrv:cpus", driver_gains_cpu,
				       driver_loses_cpu);

	if (result < 0)
		return result;
	cpus_state = result;
	return 0;
}

void shim_cpus_exit(void)
{
	cpuhp_remove_state_nocalls(cpus_state);
}

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
	return read_msr_safely(index, value);
}
