// SPDX-License-Identifier: MIT OR GPL-2.0-only
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/mm.h>
#include "shim.h"
void *supdrv_alloc(size_t bytes, size_t align) { return kvmalloc(ALIGN(bytes, align), GFP_KERNEL_ACCOUNT); }
void supdrv_free(void *block) { kvfree(block); }
static int __init supdrv_init(void) { return supdrv_start(); }
static void __exit supdrv_exit(void) { supdrv_stop(); }
module_init(supdrv_init);
module_exit(supdrv_exit);
MODULE_LICENSE("Dual MIT/GPL");
MODULE_DESCRIPTION("Support driver");
