/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Modules. A module is every file compiled with one KBUILD_MODNAME; its init, exit and parameters
 * are registered before main(), sim_module_load() runs them.
 */
#ifndef SHIM_MODULE_H
#define SHIM_MODULE_H

#include "shim_types.h"

/* Each file of a module has its own of these; the shim finds the module by its name. */
struct module {
	const char *name;
	void *state;
	u32 world;	/* state is of this world */
};

#ifdef KBUILD_MODNAME
static struct module __this_module __maybe_unused = { .name = KBUILD_MODNAME };
#define THIS_MODULE (&__this_module)
#else
#define THIS_MODULE ((struct module *)0)
#endif

bool try_module_get(struct module *module);
void __module_get(struct module *module);
void module_put(struct module *module);
int request_module(const char *fmt, ...) __printf(1, 2);

void shim_module_register(const char *name, int (*init)(void), void (*exit)(void));
void shim_module_param_register(const char *module, const char *name, void *value, size_t size,
				bool is_bool, bool is_signed);

#define module_init(fn)                                                                         \
	static void __attribute__((constructor)) shim_register_init_##fn(void)                  \
	{                                                                                       \
		shim_module_register(KBUILD_MODNAME, fn, NULL);                                 \
	}                                                                                       \
	struct shim_module_info

#define module_exit(fn)                                                                         \
	static void __attribute__((constructor)) shim_register_exit_##fn(void)                  \
	{                                                                                       \
		shim_module_register(KBUILD_MODNAME, NULL, fn);                                 \
	}                                                                                       \
	struct shim_module_info

/* Integers and bool; @perm as in sysfs, unused. */
#define module_param(param, type, perm) module_param_named(param, param, type, perm)
#define module_param_named(name, variable, type, perm)                                          \
	static void __attribute__((constructor)) shim_register_param_##name(void)               \
	{                                                                                       \
		shim_module_param_register(KBUILD_MODNAME, #name, &(variable),                  \
					   sizeof(variable),                                    \
					   shim_same_type(variable, bool),                      \
					   (__typeof__(variable))-1 < (__typeof__(variable))1); \
	}                                                                                       \
	struct shim_module_info

#define MODULE_LICENSE(text) struct shim_module_info
#define MODULE_AUTHOR(text) struct shim_module_info
#define MODULE_DESCRIPTION(text) struct shim_module_info
#define MODULE_VERSION(text) struct shim_module_info
#define MODULE_ALIAS(text) struct shim_module_info
#define MODULE_SOFTDEP(text) struct shim_module_info
#define MODULE_PARM_DESC(param, text) struct shim_module_info
#define EXPORT_SYMBOL_GPL(symbol) extern __typeof__(symbol) symbol
#define EXPORT_SYMBOL(symbol) extern __typeof__(symbol) symbol

#endif /* SHIM_MODULE_H */
