// SPDX-License-Identifier: GPL-2.0
/*
 * Modules: those of play_module_dir, laid out for `modprobe -d`.
 *
 * The kernel itself asks for modules by running what /proc/sys/kernel/modprobe names; while autoload is on,
 * that is a script that runs modprobe on this folder.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "play.h"

#define HELPER "/tmp/play-modprobe"

const char *play_module_dir;

/* Parameters given before their module is loaded. */
struct parameter {
	char module[64], text[128];
	struct parameter *next;
};

static struct parameter *parameters;

/* The kernel's own form of a module's name. */
static void kernel_name(const char *name, char *out, size_t size)
{
	snprintf(out, size, "%s", name);
	for (; *out; out++)
		if (*out == '-')
			*out = '_';
}

static int load(const char *name, const char *text)
{
	struct utsname system;
	char path[4096];
	int fd, r;

	uname(&system);
	snprintf(path, sizeof(path), "%s/lib/modules/%s/%s.ko", play_module_dir, system.release, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	r = syscall(SYS_finit_module, fd, text, 0) ? -errno : 0;
	close(fd);
	return r;
}

int sim_module_load(const char *name)
{
	char text[1024] = "";
	int r;

	for (struct parameter *p = parameters; p; p = p->next) {
		size_t used = strlen(text);

		if (!strcmp(p->module, name))
			snprintf(text + used, sizeof(text) - used, "%s ", p->text);
	}
	play_leave();
	r = load(name, text);
	play_enter();
	return r;
}

/* As rmmod has it: one that is in use is busy. */
static int unload(const char *name)
{
	char kernel[64];

	kernel_name(name, kernel, sizeof(kernel));
	if (!syscall(SYS_delete_module, kernel, O_NONBLOCK))
		return 0;
	return errno == EWOULDBLOCK ? -EBUSY : -errno;
}

int sim_module_unload(const char *name)
{
	int r;

	play_leave();
	r = unload(name);
	play_enter();
	return r;
}

static int write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), r = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		r = -errno;
	close(fd);
	return r;
}

int sim_module_param_set(const char *module, const char *param, u64 value)
{
	struct parameter *p = calloc(1, sizeof(*p));
	char path[256], text[32], kernel[64];
	int r;

	if (!p)
		abort();
	kernel_name(module, kernel, sizeof(kernel));
	snprintf(path, sizeof(path), "/sys/module/%s/parameters/%s", kernel, param);
	snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
	r = write_text(path, text);
	if (r && r != -ENOENT) {
		free(p);
		return r;
	}
	/* When it is loaded again it has it, too. */
	snprintf(p->module, sizeof(p->module), "%s", module);
	snprintf(p->text, sizeof(p->text), "%s=%s", param, text);
	p->next = parameters;
	parameters = p;
	return 0;
}

static void write_helper(void)
{
	FILE *f = fopen(HELPER, "w");

	if (!f)
		sim_fail("%s: %s", HELPER, strerror(errno));
	fprintf(f, "#!/bin/sh\nexec /sbin/modprobe -d %s \"$@\"\n", play_module_dir);
	fclose(f);
	chmod(HELPER, 0755);
}

bool sim_module_autoload(bool on)
{
	static bool was_on = true;
	bool before = was_on;
	int r;

	if (on)
		write_helper();
	r = write_text("/proc/sys/kernel/modprobe", on ? HELPER : "\n");
	if (r)
		sim_fail("/proc/sys/kernel/modprobe: %s", strerror(-r));
	was_on = on;
	return before;
}

/* What is in use only because somebody is about to end is tried again. */
static bool unload_surely(const char *name)
{
	const struct timespec pause = { .tv_nsec = 10000000 };
	int r = 0;

	for (int i = 0; i < 100; i++) {
		r = unload(name);
		if (r != -EBUSY)
			break;
		nanosleep(&pause, NULL);
	}
	if (!r || r == -ENOENT)
		return true;
	fprintf(stderr, "module %s cannot be unloaded: %s\n", name, strerror(-r));
	return false;
}

/* Parameters of an earlier script are not this one's. */
int module_load_disks(void)
{
	while (parameters) {
		struct parameter *p = parameters;

		parameters = p->next;
		free(p);
	}
	return unload_surely("ms-disk") ? load("ms-disk", "") : -EBUSY;
}

bool module_unload_all(void)
{
	return unload_surely("dm-store-mikulas") && unload_surely("dm-store-model") &&
	       unload_surely("dm-multisnapshot");
}
