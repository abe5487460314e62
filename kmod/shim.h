/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The contract between the C shim and the Rust driver. */
#ifndef SUPDRV_SHIM_H
#define SUPDRV_SHIM_H
#include <linux/types.h>
/* C, called by Rust. */
void *supdrv_alloc(size_t bytes, size_t align);
void supdrv_free(void *block);
/* Rust, called by C. */
int supdrv_start(void);
void supdrv_stop(void);
#endif
