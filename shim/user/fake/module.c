// SPDX-License-Identifier: GPL-2.0
/*
 * Modules: registered before main(), loaded and unloaded on request, counted references,
 * parameters.
 *
 * The code is always there; what loading does is run init. A parameter has its initial value again
 * in every world.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "world.h"

struct param {
	const char *name;
	void *value;
	size_t size;
	bool is_bool, is_signed;
	u64 initial;
	struct param *next;
};

struct loadable {
	const char *name;
	int (*init)(void);
	void (*exit)(void);
	struct param *params;
	bool loaded, coming, going;
	int references;
	struct list_head waiters; /* for init to end */
	u32 order; /* of loading */
	struct loadable *next;
};

static struct {
	struct loadable *all;
	u32 order;
	bool autoload;
} modules;

/* modprobe takes '-' and '_' for the same. */
static bool same_name(const char *a, const char *b)
{
	for (; *a && *b; a++, b++)
		if (*a != *b && !((*a == '-' || *a == '_') && (*b == '-' || *b == '_')))
			return false;
	return *a == *b;
}

static struct loadable *find_module(const char *name)
{
	struct loadable *mod;

	for (mod = modules.all; mod; mod = mod->next)
		if (same_name(mod->name, name))
			return mod;
	return NULL;
}

/* ---- registration, before main() ---- */

static struct loadable *make_module(const char *name)
{
	struct loadable *mod = find_module(name), **end;

	if (mod)
		return mod;
	mod = calloc(1, sizeof(*mod));
	if (!mod)
		abort();
	mod->name = name;
	for (end = &modules.all; *end; end = &(*end)->next)
		;
	*end = mod;
	return mod;
}

void shim_module_register(const char *name, int (*init)(void), void (*exit)(void))
{
	struct loadable *mod = make_module(name);

	if (init)
		mod->init = init;
	if (exit)
		mod->exit = exit;
}

void shim_module_param_register(const char *module, const char *name, void *value, size_t size,
				bool is_bool, bool is_signed)
{
	struct loadable *mod = make_module(module);
	struct param *param = calloc(1, sizeof(*param));

	if (!param || size > sizeof(param->initial))
		abort();
	param->name = name;
	param->value = value;
	param->size = size;
	param->is_bool = is_bool;
	param->is_signed = is_signed;
	memcpy(&param->initial, value, size);
	param->next = mod->params;
	mod->params = param;
}

/* ---- loading ---- */

static int begin_load(struct loadable *mod)
{
	static const struct sched_wait wait = { .what = "loading of a module" };

	sched_point("init_module", mod->name, NULL);
	sched_enter();
	sched_access(mod, SIM_WRITE);
	while (mod->coming) {
		sched_wait_on(&mod->waiters, &wait);
		sched_access(mod, SIM_WRITE);
	}
	if (mod->loaded) {
		sched_exit();
		return -EEXIST;
	}
	mod->loaded = true;
	mod->coming = true;
	mod->going = false;
	mod->references = 0;
	mod->order = ++modules.order;
	sched_exit();
	return 0;
}

static void end_load(struct loadable *mod, bool loaded)
{
	sched_enter();
	sched_access(mod, SIM_WRITE);
	mod->coming = false;
	mod->loaded = loaded;
	sched_wake_all(&mod->waiters);
	sched_exit();
	if (!loaded)
		work_check_module(mod->name);
}

int sim_module_load(const char *name)
{
	struct loadable *mod = find_module(name);
	int r;

	if (!mod || !mod->init)
		return -ENOENT;
	r = begin_load(mod);
	if (r)
		return r;
	r = mod->init();
	end_load(mod, !r);
	return r;
}

int sim_module_unload(const char *name)
{
	struct loadable *mod = find_module(name);

	if (!mod)
		return -ENOENT;
	sched_point("delete_module", mod->name, NULL);
	sched_access(mod, SIM_WRITE);
	if (!mod->loaded)
		return -ENOENT;
	if (mod->references || !mod->exit || mod->coming || mod->going)
		return -EBUSY;
	mod->going = true;
	mod->exit();
	sched_access(mod, SIM_WRITE);
	mod->loaded = false;
	work_check_module(mod->name);
	return 0;
}

int request_module(const char *fmt, ...)
{
	struct loadable *mod;
	int length, r;
	char name[64];
	va_list args;

	shim_might_sleep("request_module()", fmt);
	va_start(args, fmt);
	length = vsnprintf(name, sizeof(name), fmt, args);
	va_end(args);
	if (length >= (int)sizeof(name))
		return -ENAMETOOLONG;
	mod = find_module(name);
	if (!modules.autoload || !mod)
		return -ENOENT;
	r = sim_module_load(name);
	return r == -EEXIST ? 0 : r;
}

bool sim_module_autoload(bool on)
{
	bool before = modules.autoload;

	modules.autoload = on;
	return before;
}

/* ---- references ---- */

static struct loadable *resolve(struct module *module)
{
	if (module->world != world.number || !module->state) {
		module->state = find_module(module->name);
		module->world = world.number;
		if (!module->state)
			sim_fail("module '%s' has no module_init()", module->name);
	}
	return module->state;
}

bool try_module_get(struct module *module)
{
	struct loadable *mod;
	bool got;

	if (!module)
		return true;
	sched_enter();
	mod = resolve(module);
	sched_access(mod, SIM_ADD);
	got = mod->loaded && !mod->going;
	if (got)
		mod->references++;
	sched_exit();
	return got;
}

void __module_get(struct module *module)
{
	if (module && !try_module_get(module))
		sim_fail("__module_get() of '%s', which is not loaded", module->name);
}

void module_put(struct module *module)
{
	struct loadable *mod;

	if (!module)
		return;
	sched_enter();
	mod = resolve(module);
	sched_access(mod, SIM_ADD);
	if (!mod->loaded || mod->references-- <= 0)
		sim_fail("module_put() of '%s' without a reference", module->name);
	sched_exit();
}

int module_references(const char *name)
{
	const struct loadable *mod = find_module(name);

	return mod && mod->loaded ? mod->references : 0;
}

/* ---- parameters ---- */

int sim_module_param_set(const char *module, const char *name, u64 value)
{
	const struct loadable *mod = find_module(module);
	const struct param *param;
	unsigned int bits;

	for (param = mod ? mod->params : NULL; param; param = param->next)
		if (!strcmp(param->name, name))
			break;
	if (!param)
		return -ENOENT;
	if (param->is_bool) {
		*(bool *)param->value = value != 0;
		return 0;
	}
	bits = (unsigned int)param->size * 8 - param->is_signed;
	if (bits < 64 && value >> bits)
		return -ERANGE;
	switch (param->size) {
	case 1:
		*(u8 *)param->value = (u8)value;
		break;
	case 2:
		*(u16 *)param->value = (u16)value;
		break;
	case 4:
		*(u32 *)param->value = (u32)value;
		break;
	default:
		*(u64 *)param->value = value;
		break;
	}
	return 0;
}

/* ---- the world ---- */

void module_start(void)
{
	struct loadable *mod;
	struct param *param;

	for (mod = modules.all; mod; mod = mod->next) {
		mod->loaded = false;
		mod->coming = false;
		mod->references = 0;
		INIT_LIST_HEAD(&mod->waiters);
		for (param = mod->params; param; param = param->next)
			memcpy(param->value, &param->initial, param->size);
	}
	modules.order = 0;
	modules.autoload = true;
}

/* Unload in reverse order. */
void module_finish(void)
{
	for (;;) {
		struct loadable *mod, *last = NULL;

		for (mod = modules.all; mod; mod = mod->next)
			if (mod->loaded && mod->exit && (!last || mod->order > last->order))
				last = mod;
		if (!last)
			return;
		if (sim_module_unload(last->name))
			sim_fail("module '%s' has %d references at the end", last->name,
				 last->references);
	}
}

void module_discard(void)
{
	struct loadable *mod;

	for (mod = modules.all; mod; mod = mod->next)
		mod->loaded = false;
}
