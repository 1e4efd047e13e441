/* SPDX-License-Identifier: GPL-2.0 */
/* Boost.Context's C ABI: its own headers are C++. */
#ifndef SHIM_FCONTEXT_H
#define SHIM_FCONTEXT_H

#include <stddef.h>

typedef void *fcontext_t;
typedef struct {
	fcontext_t fctx;
	void *data;
} transfer_t;
transfer_t jump_fcontext(fcontext_t to, void *data);
fcontext_t make_fcontext(void *stack_top, size_t size, void (*fn)(transfer_t));

#endif /* SHIM_FCONTEXT_H */
