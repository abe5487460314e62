// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Oopses: the kernel tells, with its own report written and its locks held, and the driver adds where in
 * modules of ring 0 it was. Nothing is decided here, and the kernel goes on as it would have.
 */
#include <linux/kdebug.h>
#include <linux/notifier.h>
#include <linux/ptrace.h>

#include "shim.h"

static int on_death(struct notifier_block *block, unsigned long event, void *data)
{
	const struct die_args *args = data;

	/* Other events come before the kernel has tried what it can: a fault may be nobody's death. */
	if (event == DIE_OOPS && args->regs && !user_mode(args->regs))
		supdrv_died(args->regs->ip, args->regs->sp);
	return NOTIFY_DONE;
}

static struct notifier_block deaths = { .notifier_call = on_death };

int shim_crash_init(void)
{
	return register_die_notifier(&deaths);
}

void shim_crash_exit(void)
{
	unregister_die_notifier(&deaths);
}
