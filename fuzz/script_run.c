// SPDX-License-Identifier: GPL-2.0
/*
 * Fuzz target script_run: scripts that parse are played, if they are small enough to end soon.
 *
 * Expectations of the script itself may fail. Everything that the simulated kernel complains about is a finding. A script
 * that waits for ever for what it has suspended or held itself, or that puts one device on top of another, complains
 * rightly: such are not played (may_wait(), is_stacked()).
 */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "script.h"

/* What can be made large. Together they keep an input below some ten milliseconds. */
#define MAX_COMMANDS 64
#define MAX_PIECES 1024				/* requests of all commands */
#define MAX_SECTORS 4096			/* of all commands */
#define MAX_DISK ((sector_t)256 << 11)		/* 256 MiB: formatting zeroes a log of a 64th of it */
#define MAX_DISKS 8
#define MAX_DEVICES 16

static struct {
	unsigned int commands, disks, devices;
	const char *device[MAX_DEVICES];
	u64 pieces, sectors;
	const char *suspended;	/* a device, or NULL */
	bool refused;
} sum;

/* Waits for ever, perhaps: I/O while a device is suspended, and all that a hold stops. */
static bool may_wait(const struct script_command *c)
{
	const char *sub = c->args.sub ? c->args.sub : "", *name = c->args.name;
	bool io = c->verb->run == script_io || c->verb->run == script_parallel || c->verb->run == script_start;

	if (c->verb->run == script_dmsetup && !strcmp(sub, "suspend")) {
		if (sum.suspended && strcmp(sum.suspended, name))
			return true;
		sum.suspended = name;
	} else if (c->verb->run == script_dmsetup && !strcmp(sub, "resume") && sum.suspended) {
		if (!strcmp(sum.suspended, name))
			sum.suspended = NULL;
	}
	return c->verb->run == script_hold || (io && sum.suspended);
}

/* A table on a dm device. */
static bool is_stacked(const struct script_command *c)
{
	const char *text = c->args.text;

	if (c->verb->run != script_dmsetup || !text || !strcmp(c->args.sub, "message"))
		return false;
	if (sum.devices == MAX_DEVICES)
		return true;
	sum.device[sum.devices++] = c->args.name;
	for (unsigned int i = 0; i < sum.devices; i++)
		if (strstr(text, sum.device[i]))
			return true;
	/* By numbers, and by "/dev/..." with odd characters. */
	return strpbrk(text, ":/\\");
}

static void count(const struct script_command *c)
{
	const struct script_args *a = &c->args;

	sum.commands++;
	if (c->verb->run == script_io) {
		sum.sectors += a->sectors;
		sum.pieces += a->bs ? a->sectors / a->bs + 1 : a->sectors / 8 + 1;
	}
	if (c->verb->run == script_disk && ++sum.disks && (a->text || a->sectors > MAX_DISK))
		sum.refused = true;
	if (c->verb->run == script_resize && a->sectors > MAX_DISK)
		sum.refused = true;
	/* Files are not touched; another life is another process. */
	if (c->verb->run == script_save || c->verb->run == script_reload)
		sum.refused = true;
	if (may_wait(c) || is_stacked(c))
		sum.refused = true;
}

static void measure(const struct script_command *c)
{
	for (; c && sum.commands <= MAX_COMMANDS; c = c->next) {
		count(c);
		measure(c->block);
	}
}

static bool is_small(const struct script_command *script)
{
	memset(&sum, 0, sizeof(sum));
	measure(script);
	return !sum.refused && sum.commands <= MAX_COMMANDS && sum.disks <= MAX_DISKS &&
	       sum.pieces <= MAX_PIECES && sum.sectors <= MAX_SECTORS;
}

static void close_all(void *arg)
{
	script_close_all();
}

static void no_log(void *context, int level, const char *line)
{
}

static void play(const struct script_command *script)
{
	const struct script_options options = {
		.world = { .seed = 1, .log = no_log },
		.file = "fuzz.msnap",
		.keep_going = true,
	};

	world_start(&options.world);
	if (script_play(&options, script, NULL)) {
		/* It stopped in the middle. */
		sim_thread_start("close", close_all, NULL);
		sim_run();
	}
	world_stop();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char error[SCRIPT_ERROR_MAX], *text = malloc(size + 1);
	struct script_command *script;

	if (!text)
		abort();
	memcpy(text, data, size);
	text[size] = '\0';
	script = script_parse("fuzz.msnap", text, error);
	if (script && is_small(script))
		play(script);
	script_free(script);
	free(text);
	return 0;
}
