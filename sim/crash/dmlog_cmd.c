// SPDX-License-Identifier: GPL-2.0
/* multisnap crash: its options about logs of dm-log-writes, and what is printed of one (dmlog.h). */
#include <stdlib.h>
#include <string.h>

#include "dmlog.h"

enum {
	OPT_LOG_WRITES = 0x200,
	OPT_ORIGIN,
	OPT_STORE,
	OPT_TABLE,
	OPT_POINTS,
	OPT_WRITE_LOG,
};

static const struct argp_option options[] = {
	{ NULL, 0, NULL, 0, "Logs of dm-log-writes:", 6 },
	{ "log-writes", OPT_LOG_WRITES, "FILE", 0, "Judge that log, in place of a script", 6 },
	{ "origin", OPT_ORIGIN, "START+COUNT", 0, "Where on the logged device the origin is, in sectors of 512 bytes", 6 },
	{ "store", OPT_STORE, "START+COUNT", 0, "And the store (default, as of --origin: what the log's marks say)", 6 },
	{ "table", OPT_TABLE, "TABLE", 0, "Of the origin target (default: what a mark says)", 6 },
	{ "points", OPT_POINTS, "N", 0, "Moments at which the power is cut, about (default 2000); 0: all", 6 },
	{ "write-log", OPT_WRITE_LOG, "FILE", 0, "Write what the script did to the disks as such a log, origin and then "
	  "store on one device, and do nothing else", 6 },
	{ NULL, 0, NULL, 0, NULL, 0 },
};

static void parse_part(struct argp_state *state, const char *name, const char *arg, struct dmlog_part *part)
{
	if (!dmlog_parse_part(arg, part) || !part->sectors)
		argp_error(state, "--%s %s: not START+COUNT", name, arg);
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct dmlog_arguments *a = state->input;

	switch (key) {
	case OPT_LOG_WRITES:
		a->options.path = arg;
		/* Each state is of tens of MiB: fewer of them at more moments; faults when asked for, behind this. */
		a->crash->bound = 8;
		a->crash->samples = 2;
		a->crash->recut_share = 32;
		a->crash->read_share = 0;
		a->crash->damage_share = 0;
		return 0;
	case OPT_ORIGIN:
		parse_part(state, "origin", arg, &a->options.part[CRASH_ORIGIN]);
		return 0;
	case OPT_STORE:
		parse_part(state, "store", arg, &a->options.part[CRASH_STORE]);
		return 0;
	case OPT_TABLE:
		a->options.table = arg;
		return 0;
	case OPT_POINTS:
		if (!parse_u64(arg, &a->options.points))
			argp_error(state, "--points %s: not a number", arg);
		return 0;
	case OPT_WRITE_LOG:
		a->write_log = arg;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

const struct argp dmlog_argp = {
	.options = options,
	.parser = parse,
};

u64 dmlog_shares(const struct dmlog_arguments *a)
{
	/* Whose moments are all tried is small, and one state is looked at by one. */
	return a->crash->nr_cuts || !a->options.points ? 1 : DMLOG_SHARES;
}

void dmlog_share(struct dmlog_arguments *a, u64 index, struct crash_unit *unit)
{
	struct dmlog_unit *u = &a->shares[index];

	*u = (struct dmlog_unit){
		.options = a->options,
		.seed = a->crash->seed,
		.share = index,
		.shares = dmlog_shares(a),
	};
	dmlog_unit(u, unit);
}

bool dmlog_print(const struct dmlog_arguments *a, char *error, size_t size)
{
	struct dmlog_options o = a->options;
	struct dmlog_summary sum;
	struct life life;
	bool good;

	life_init(&life);
	good = dmlog_read(&o, &life, &sum, error, size);
	life_exit(&life);
	content_release(0);
	if (!good)
		return false;
	printf("%llu entries: %llu writes of %llu KiB, %llu flushes, %llu FUA, %llu discards, %llu marks\n",
	       (unsigned long long)sum.entries, (unsigned long long)sum.writes,
	       (unsigned long long)sum.sectors / 2, (unsigned long long)sum.flushes,
	       (unsigned long long)sum.fua, (unsigned long long)sum.discards, (unsigned long long)sum.marks);
	if (sum.entries > sum.counted)
		printf("the log was not closed: it counts %llu entries, all are used\n",
		       (unsigned long long)sum.counted);
	if (sum.during_create)
		printf("%llu writes to the origin while a snapshot was created: it may have them or not\n",
		       (unsigned long long)sum.during_create);
	if (sum.unordered)
		printf("%llu writes whose order to a FUA write nobody knows\n", (unsigned long long)sum.unordered);
	return true;
}

void dmlog_print_arguments(const struct dmlog_arguments *a, FILE *out)
{
	const struct dmlog_part *part = a->options.part;

	fprintf(out, " --log-writes ");
	print_shell_word(out, a->options.path);
	for (u32 d = 0; d < CRASH_DISKS; d++)
		if (part[d].sectors)
			fprintf(out, " --%s %llu+%llu", crash_disk_names[d],
				(unsigned long long)part[d].start, (unsigned long long)part[d].sectors);
	if (a->options.table) {
		fprintf(out, " --table ");
		print_shell_word(out, a->options.table);
	}
}

/* ---- --write-log ---- */

static bool write_log(struct crash_unit *unit, struct crash *c, struct life *life)
{
	if (dmlog_write(unit->context, c, life, unit->error, sizeof(unit->error)))
		unit->error[0] = '\0';
	return false;
}

void dmlog_write_unit(const char *path, struct crash_unit *unit)
{
	unit->recorded = write_log;
	unit->context = (void *)path;
}
