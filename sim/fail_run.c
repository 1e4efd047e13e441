// SPDX-License-Identifier: GPL-2.0
/*
 * One run of a script in which one thing fails (fail.h).
 *
 * The judge (sim/judge/) is told of everything, as in `multisnap explore`: it knows which errors may be after the failure, and compares
 * all contents. What the script expects counts until something has failed; after that, the judge alone decides. A command
 * that fails because of the failure is done once more: whoever has made room tries again, all must be usable then.
 *
 * Where nothing has failed by the end of the script, its devices are removed as if it said so, for what can fail then.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fail.h"
#include "judge.h"

static struct {
	const struct fail_place *place;
	struct fail_result *result;
	bool armed;		/* the script is under way, not its judge */
	u32 removals;		/* under way */
	bool repeated;		/* the command that was hit */
	struct script_command *removal; /* script_running() may point into it */
} run;

/* ---- the failure ---- */

bool fail_place_parse(const char *text, struct fail_place *place)
{
	const char *number = strchr(text, '=');
	size_t n = number ? number - text : 0, digits;
	char word[24];

	memset(place, 0, sizeof(*place));
	if (!n || n >= sizeof(place->name))
		return false;
	memcpy(place->name, text, n);
	digits = strcspn(++number, "+");
	place->lasting = !strcmp(number + digits, "+");
	if (digits >= sizeof(word) || (number[digits] && !place->lasting))
		return false;
	memcpy(word, number, digits);
	word[digits] = '\0';
	return parse_u64(word, &place->number) && place->number;
}

void fail_place_print(const struct fail_place *place, char *buf, size_t size)
{
	snprintf(buf, size, "%s=%llu%s", place->name, (unsigned long long)place->number,
		 place->lasting ? "+" : "");
}

/* Number @number of those called @name: does it fail? */
static bool is_struck(const char *name, u64 number)
{
	const struct fail_place *p = run.place;

	if (!p || strcmp(p->name, name))
		return false;
	if (p->lasting ? number < p->number : number != p->number)
		return false;
	run.result->struck++;
	return true;
}

static bool alloc_hook(void *unused, const char *what, const char *site)
{
	if (!run.armed || !is_struck(FAIL_ALLOC, ++run.result->allocations))
		return false;
	if (run.result->struck == 1)
		snprintf(run.result->what, sizeof(run.result->what), "%s at %s", what, site);
	return true;
}

static const char *op_name(blk_opf_t opf, u32 sectors)
{
	switch (opf & REQ_OP_MASK) {
	case REQ_OP_READ:
		return "read";
	case REQ_OP_WRITE:
		return sectors ? "write" : "flush";
	case REQ_OP_FLUSH:
		return "flush";
	case REQ_OP_WRITE_ZEROES:
		return "write-zeroes";
	default:
		return "discard";
	}
}

/*
 * Zeroes are written where the disk cannot zero; dm drops the error of a flush that is part of a write; a removal cannot fail:
 * what was not durable by then is lost, and the log says so.
 */
static bool is_silent(blk_opf_t opf, u32 sectors)
{
	const struct script_command *c = script_running();
	bool part = !sectors && c && c->args.sectors && c->args.opf & REQ_PREFLUSH;

	return (opf & REQ_OP_MASK) == REQ_OP_WRITE_ZEROES || part || run.removals;
}

static int disk_hook(void *context, blk_opf_t opf, sector_t sector, u32 sectors)
{
	unsigned int i = (uintptr_t)context;
	struct fail_result *result = run.result;

	if (!run.armed || !is_struck(result->disks[i].name, ++result->disks[i].requests))
		return 0;
	if (result->struck == 1) {
		result->silent = is_silent(opf, sectors);
		snprintf(result->what, sizeof(result->what), "%s%s%s of %u sectors at %llu of %s",
			 opf & REQ_PREFLUSH && sectors ? "flush and " : "", op_name(opf, sectors),
			 opf & REQ_FUA ? " with FUA" : "", sectors, (unsigned long long)sector,
			 result->disks[i].name);
	}
	return -EIO;
}

static void disk_added(struct world_disk *d)
{
	struct fail_result *result = run.result;
	unsigned int i = result->nr_disks;

	if (i == FAIL_DISKS)
		return;
	result->nr_disks++;
	strcpy(result->disks[i].name, d->name);
	disk_error_hook(d->error, disk_hook, (void *)(uintptr_t)i);
}

/* ---- findings ---- */

static void __attribute__((noreturn)) found(void *unused, const char *what)
{
	const struct script_command *c = script_running();

	printf("  %s\n", what);
	if (c)
		printf("  the last command begun: %s:%u: %s\n", c->file, c->line, c->text);
	fflush(NULL);
	_exit(SIM_EXIT_FOUND);
}

/* ---- hooks: the judge's, and what came of the failure ---- */

struct begun {
	const struct script_command *command;
	sector_t sector;
	u64 struck, judged;
};

static u64 begin(const struct script_command *c, sector_t sector, u64 judged)
{
	struct begun *b = calloc(1, sizeof(*b));

	if (!b)
		abort();
	*b = (struct begun){ .command = c, .sector = sector, .struck = run.result->struck, .judged = judged };
	return (uintptr_t)b;
}

static u64 end(u64 begun, int error, bool command)
{
	struct begun *b = (struct begun *)(uintptr_t)begun;
	u64 judged = b->judged;

	if (error) {
		run.result->refused |= command && run.result->struck != b->struck;
		run.result->errors += (b->command->line * 1000003ULL + b->sector) * 1000003ULL - error;
	}
	free(b);
	return judged;
}

static u64 io_begin(void *unused, const struct script_command *c, sector_t sector, u32 sectors, const tag_t *tags)
{
	return begin(c, sector, judge_hooks.io_begin(NULL, c, sector, sectors, tags));
}

static void io_end(void *unused, u64 begun, int error)
{
	judge_hooks.io_end(NULL, end(begun, error, false), error);
}

static bool is_removal(const struct script_command *c)
{
	return c->args.sub && !strcmp(c->args.sub, "remove");
}

static u64 ctl_begin(void *unused, const struct script_command *c)
{
	run.removals += is_removal(c);
	return begin(c, 0, judge_hooks.ctl_begin(NULL, c));
}

static void ctl_end(void *unused, u64 begun, int error)
{
	run.removals -= is_removal(((struct begun *)(uintptr_t)begun)->command);
	judge_hooks.ctl_end(NULL, end(begun, error, true), error);
}

static bool forgives(void *unused, const struct script_command *c)
{
	return run.result->struck;
}

static bool again(void *unused, const struct script_command *c, int error, const char *reason)
{
	if (reason && (!*reason || !strcmp(reason, "Unknown error")))
		sim_fail("%s:%u: refused with %s, and no reason is given", c->file, c->line, errno_name(error));
	if (!run.result->struck || run.repeated || run.place->lasting)
		return false;
	run.repeated = true;
	return true;
}

/* ---- the run ---- */

/*
 * What a script holds may be something else than it meant, once something has failed, and it waits for that before it comes to
 * release it.
 */
static void let_go_thread(void *unused)
{
	unsigned int held;

	do {
		held = 0;
		sim_wait_stuck();
		for (struct world_disk *d = world_disks(); run.result->struck && d; d = d->next) {
			held += disk_delay_held(d->delay);
			disk_delay_release(d->delay, -1);
		}
	} while (held);
}

static void load_module(void)
{
	int r = sim_module_load("dm-multisnapshot");

	if (r == -ENOMEM && run.result->struck && !run.place->lasting) {
		run.result->refused = true;
		r = sim_module_load("dm-multisnapshot");
	}
	if (r && !(r == -ENOMEM && run.result->struck))
		sim_fail("module dm-multisnapshot does not load: %s", errno_name(r));
}

/* As a script: the end of all devices. To be freed. */
static char *removal_text(void)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);
	const char *name;

	if (!f)
		abort();
	for (const struct world_disk *d = world_disks(); d; d = d->next)
		fprintf(f, "fault %s clear\n", d->name);
	for (unsigned int i = 0; (name = world_device_name(i, NULL)); i++)
		fprintf(f, "%s%s%sdmsetup remove %s\n", dmctl_suspended(name) ? "dmsetup resume " : "",
			dmctl_suspended(name) ? name : "", dmctl_suspended(name) ? "\n" : "", name);
	fclose(f);
	return text;
}

static void removal_thread(void *text)
{
	*(char **)text = removal_text();
}

static const char *remove_all(const struct script_options *options, FILE *out)
{
	char error[SCRIPT_ERROR_MAX], *text;

	sim_thread_start("devices", removal_thread, &text);
	sim_run();
	run.removal = script_parse("(at the end)", text, error);
	if (!run.removal)
		sim_fail("%s", error);
	free(text);
	return script_play(options, run.removal, out);
}

static void judge_thread(void *unused)
{
	judge_end();
}

int fail_run(const struct script_options *base, const struct script_command *script,
	     const struct fail_place *place, FILE *out, struct fail_result *result)
{
	struct script_hooks hooks = judge_hooks;
	struct script_options options = *base;
	const char *failed;

	hooks.io_begin = io_begin;
	hooks.io_end = io_end;
	hooks.ctl_begin = ctl_begin;
	hooks.ctl_end = ctl_end;
	hooks.forgives = forgives;
	hooks.again = again;
	options.hooks = &hooks;
	options.world.fail = found;
	options.world.no_modules = true;
	options.world.disk_added = disk_added;
	memset(result, 0, sizeof(*result));
	memset(&run, 0, sizeof(run));
	run.place = place;
	run.result = result;
	run.armed = true;
	world_start(&options.world);
	sim_alloc_hook(alloc_hook, NULL);
	judge_start();
	load_module();
	if (place)
		sim_thread_start("let-go", let_go_thread, NULL);
	failed = script_play(&options, script, out);
	if (!failed && (!result->struck || place->lasting))
		failed = remove_all(&options, out);
	if (failed)
		found(NULL, failed);
	run.armed = false;
	sim_thread_start("judge", judge_thread, NULL);
	sim_run();
	result->status_errors = judge_counts()->status_errors;
	result->silent |= judge_counts()->unasked;
	world_stop();
	judge_stop();
	script_free(run.removal);
	run.removal = NULL;
	if (place && !result->struck)
		printf("  nothing failed: there are not so many\n");
	return place && !result->struck ? SIM_EXIT_FOUND : SIM_EXIT_OK;
}
