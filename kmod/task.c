// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Locks, tasks that sleep and wake, and who the current task is.
 */
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/hrtimer.h>
#include <linux/sched/signal.h>
#include <linux/security.h>
#include <linux/spinlock.h>
#include <linux/wait_bit.h>

#include "shim.h"

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
	bool is_over = false;

	/* Not counted as load, and no hung task: a wait may last for ever. */
	set_current_state(interruptible ? TASK_INTERRUPTIBLE : TASK_IDLE);
	/* The barrier above pairs with the one in wake_up_process. A signal that is pending already makes
	 * both calls return at once. */
	if (READ_ONCE(*woken))
		__set_current_state(TASK_RUNNING);
	else if (deadline == U64_MAX)
		schedule();
	else
		is_over = !schedule_hrtimeout(&until, HRTIMER_MODE_ABS);
	__set_current_state(TASK_RUNNING);
	if (READ_ONCE(*woken))
		return 0;
	if (is_over)
		return -ETIME;
	return interruptible && signal_pending(current) ? -EINTR : 0;
}

void supdrv_task_wake(struct task_struct *task)
{
	wake_up_process(task);
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
