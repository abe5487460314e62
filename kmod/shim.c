// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * The module and its device, for the Rust driver: see shim.h for the contract of each function.
 *
 * Start: the driver, then what the kernel tells it of processors, then its timers, then the device. Stop:
 * the other way round; the kernel keeps the module while a file is open or a mapping exists.
 */
#include <linux/fs.h>
#if __has_include(<linux/hex.h>)
#include <linux/hex.h>
#endif
#include <linux/kernel.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/random.h>

#include "shim.h"
#include "supdrv_idc.h"

/* ---- log ---- */

void supdrv_log(u32 level, const char *text, u32 bytes)
{
	switch (level) {
	case 0:
		pr_err_ratelimited("supdrv: %.*s\n", (int)bytes, text);
		break;
	case 1:
		pr_warn_ratelimited("supdrv: %.*s\n", (int)bytes, text);
		break;
	case 2:
		pr_info("supdrv: %.*s\n", (int)bytes, text);
		break;
	case 4:
		pr_alert("supdrv: %.*s\n", (int)bytes, text);
		break;
	default:
		pr_debug("supdrv: %.*s\n", (int)bytes, text);
	}
}

/* ---- what the kernel and its administrator give ---- */

u64 supdrv_random(void)
{
	/* Each processor has a few at hand, where get_random_bytes starts the generator for each call. */
	return get_random_u64();
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

static unsigned int print_limit = 20;
module_param(print_limit, uint, 0644);
MODULE_PARM_DESC(print_limit, "lines a second that each ring-0 module may print, ten seconds' at once; "
			      "0: as many as it likes");

u32 supdrv_print_limit(void)
{
	/* It changes at any time. */
	return READ_ONCE(print_limit);
}

static char *keys[8];
static unsigned int key_count;
module_param_array(keys, charp, &key_count, 0444);
MODULE_PARM_DESC(keys, "public keys whose ring-0 modules are loaded: up to 8 of 64 hexadecimal digits each, "
		       "with commas between them");

int supdrv_trusted_key(u32 index, u8 *key)
{
	if (index >= key_count)
		return 0;
	if (strlen(keys[index]) != 64 || hex2bin(key, keys[index], 32)) {
		pr_err("supdrv: keys=: number %u is not a key of 64 hexadecimal digits\n", index + 1);
		return -EINVAL;
	}
	return 1;
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

/* ---- other kernel modules ---- */

int SUPDrvLinuxIDC(u32 request, struct supdrv_idc_header *packet)
{
	return supdrv_idc(request, packet);
}
EXPORT_SYMBOL(SUPDrvLinuxIDC);

static int __init shim_init(void)
{
	int result = supdrv_start();

	if (result)
		return result;
	result = shim_crash_init();
	if (result)
		goto no_crash;
	result = shim_cpus_init();
	if (result)
		goto no_cpus;
	result = shim_timers_init();
	if (result)
		goto no_timers;
	result = misc_register(&device);
	if (result)
		goto no_device;
	return 0;

no_device:
	shim_timers_exit();
no_timers:
	shim_cpus_exit();
no_cpus:
	shim_crash_exit();
no_crash:
	supdrv_stop();
	return result;
}

static void __exit shim_exit(void)
{
	misc_deregister(&device);
	shim_timers_exit();
	shim_cpus_exit();
	shim_crash_exit();
	supdrv_stop();
}

module_init(shim_init);
module_exit(shim_exit);

MODULE_LICENSE("Dual MIT/GPL");
MODULE_DESCRIPTION("Support driver: sessions, memory, semaphores, time and ring-0 modules for ring 3");
MODULE_VERSION("0.1.0");
