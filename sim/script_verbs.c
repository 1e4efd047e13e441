// SPDX-License-Identifier: GPL-2.0
/*
 * The verbs of the script language: which arguments each takes. What they do is elsewhere
 * (script.h).
 *
 * A parse function takes positional words first, then options in any order, and leaves the
 * result in c->args. docs/script.md has a section for each verb; a test compares the two lists.
 */
#include <string.h>

#include "script.h"

/* "START+LENGTH" in sectors. */
static bool parse_sector_range(struct script_command *c, const char *text)
{
	const char *plus = strchr(text, '+');
	u64 start, len;
	char first[32];

	if (plus && plus - text < (int)sizeof(first)) {
		snprintf(first, sizeof(first), "%.*s", (int)(plus - text), text);
		if (parse_u64(first, &start) && parse_u64(plus + 1, &len) && len &&
		    start <= U64_MAX - len) {
			c->args.sector = start;
			c->args.sectors = len;
			return true;
		}
	}
	return script_syntax(c, "range=%s: not START+LENGTH in sectors", text);
}

static bool parse_ops(struct script_command *c, const char *text)
{
	static const struct {
		const char *name;
		unsigned int mask;
	} ops[] = {
		{ "read", DISK_OP_READ },	{ "write", DISK_OP_WRITE },
		{ "flush", DISK_OP_FLUSH },	{ "discard", DISK_OP_DISCARD },
		{ "all", DISK_OP_ALL },
	};

	c->args.ops = 0;
	while (*text) {
		size_t n = strcspn(text, ",");
		unsigned int mask = 0;

		for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
			if (strlen(ops[i].name) == n && !strncmp(ops[i].name, text, n))
				mask = ops[i].mask;
		if (!mask)
			return script_syntax(c, "op=: \"%.*s\" is none of read, write, flush, "
						"discard, all", (int)n, text);
		c->args.ops |= mask;
		text += n;
		if (*text)
			text++;
	}
	return c->args.ops || script_syntax(c, "op=: empty");
}

static bool parse_errno(struct script_command *c, const char *text)
{
	c->args.error = errno_number(text);
	return c->args.error || script_syntax(c, "\"%s\" is not the name of an error", text);
}

static bool parse_number(struct script_command *c, const char *key, const char *text, u64 max,
			 u64 *value)
{
	if (parse_u64(text, value) && *value <= max)
		return true;
	return script_syntax(c, "%s=%s: not a number up to %llu", key, text,
			     (unsigned long long)max);
}

static bool parse_model(struct script_command *c, const char *text)
{
	if (!strcmp(text, "ram"))
		c->args.model = DISK_RAM;
	else if (!strcmp(text, "ssd"))
		c->args.model = DISK_SSD;
	else if (!strcmp(text, "hdd"))
		c->args.model = DISK_HDD;
	else
		return script_syntax(c, "model=%s: none of ram, ssd, hdd", text);
	return true;
}

static bool take_size(struct script_command *c)
{
	const char *word = NULL;

	if (!script_take(c, "the size", &word))
		return false;
	if (!parse_size_sectors(word, &c->args.sectors) || !c->args.sectors)
		return script_syntax(c, "\"%s\" is not a size in whole sectors (64M, 100s)", word);
	return true;
}

static bool parse_disk_options(struct script_command *c)
{
	const char *v;
	u64 block;

	c->args.block_size = 512;
	while (script_more(c)) {
		if (script_option(c, "model", &v)) {
			if (!parse_model(c, v))
				return false;
		} else if (script_option(c, "block", &v)) {
			if (!parse_u64(v, &block) || block < 512 || block > 4096 ||
			    (block & (block - 1)))
				return script_syntax(c, "block=%s: 512, 1024, 2048 or 4096", v);
			c->args.block_size = block;
		} else if (script_option(c, "file", &v)) {
			c->args.text = v;
		} else {
			break;
		}
	}
	return script_end(c);
}

static int parse_disk(struct script_command *c)
{
	return script_take_name(c, "disk", &c->args.name) && take_size(c) &&
	       parse_disk_options(c) ? 0 : -1;
}

static int parse_resize(struct script_command *c)
{
	return script_take_name(c, "disk", &c->args.name) && take_size(c) && script_end(c) ? 0 : -1;
}

/* ---- dmsetup ---- */

static bool dmsetup_flags(struct script_command *c)
{
	while (script_more(c)) {
		if (script_flag(c, "--table")) {
			if (!script_take(c, "the table", &c->args.text))
				return false;
		} else if (script_flag(c, "--notable")) {
			c->args.flags |= SCRIPT_NO_TABLE;
		} else if (script_flag(c, "--noflush")) {
			c->args.flags |= DMCTL_NOFLUSH;
		} else if (script_flag(c, "--nolockfs")) {
			c->args.flags |= DMCTL_NOLOCKFS;
		} else {
			break;
		}
	}
	return true;
}

/* The words after the sector, joined by blanks. */
static bool message_words(struct script_command *c)
{
	char *buffer;
	size_t size;
	FILE *out;
	u64 sector;

	if (!script_take_u64(c, "the sector", &sector))
		return false;
	c->args.sector = sector;
	if (!script_more(c))
		return script_syntax(c, "the message is missing");
	out = open_memstream(&buffer, &size);
	if (!out)
		return script_syntax(c, "out of memory");
	for (bool first = true; script_more(c); first = false)
		fprintf(out, "%s%s", first ? "" : " ", c->argv[c->next_arg++]);
	fclose(out);
	c->args.text = buffer;
	c->args.flags |= SCRIPT_OWN_TEXT;
	return true;
}

static int parse_dmsetup(struct script_command *c)
{
	static const char *const known[] = { "create", "load",   "reload", "clear",  "suspend",
					     "resume", "remove", "status", "table",  "info",
					     "message", NULL };
	const char *sub = NULL;
	int i;

	if (!script_take(c, "the command", &sub))
		return -1;
	for (i = 0; known[i] && strcmp(known[i], sub); i++)
		;
	if (!known[i]) {
		script_syntax(c, "dmsetup %s: no such command", sub);
		return -1;
	}
	c->args.sub = sub;
	if (!dmsetup_flags(c) || !script_take_name(c, "device", &c->args.name))
		return -1;
	if (!strcmp(sub, "message"))
		return message_words(c) ? 0 : -1;
	if (!dmsetup_flags(c) || !script_end(c))
		return -1;
	if ((!strcmp(sub, "load") || !strcmp(sub, "reload")) && !c->args.text) {
		script_syntax(c, "dmsetup %s: --table is missing", sub);
		return -1;
	}
	if (!strcmp(sub, "create") && !c->args.text == !(c->args.flags & SCRIPT_NO_TABLE)) {
		script_syntax(c, "dmsetup create: one of --table and --notable");
		return -1;
	}
	return 0;
}

/* ---- I/O ---- */

/* What not all of them have. */
enum { OF_READ = 1, OF_WRITE = 2, IN_PIECES = 4 };

static bool io_option(struct script_command *c, unsigned int options, bool *known)
{
	struct script_args *a = &c->args;
	const char *v;
	u64 n;

	*known = true;
	if (options & OF_WRITE && script_option(c, "fill", &v))
		return parse_number(c, "fill", v, TAG_WRITE_MAX, &a->fill);
	if (options & OF_READ && script_option(c, "expect", &v)) {
		a->flags |= SCRIPT_HAS_EXPECT;
		return parse_number(c, "expect", v, TAG_WRITE_MAX, &a->expect);
	}
	if (options & IN_PIECES && script_option(c, "bs", &v)) {
		if (!parse_number(c, "bs", v, 1 << 20, &n))
			return false;
		a->bs = n;
		return true;
	}
	if (script_option(c, "expect-error", &v)) {
		if (!parse_errno(c, v))
			return false;
		c->expect_error = a->error;
		return true;
	}
	if (options & OF_WRITE && script_flag(c, "fua"))
		a->opf |= REQ_FUA;
	else if (options & OF_WRITE && script_flag(c, "preflush"))
		a->opf |= REQ_PREFLUSH;
	else
		*known = false;
	return true;
}

/* @options 0: a command without a range, too. */
static bool parse_io(struct script_command *c, unsigned int options)
{
	u64 sector, sectors;
	bool known = true;

	if (!script_take_name(c, "device", &c->args.name))
		return false;
	if (options) {
		if (!script_take_u64(c, "the sector", &sector) ||
		    !script_take_u64(c, "the count", &sectors))
			return false;
		if (!sectors || sectors > 1 << 22 || sector > (1ULL << 54))
			return script_syntax(c, "a range of 1 to %u sectors", 1 << 22);
		c->args.sector = sector;
		c->args.sectors = sectors;
	}
	while (script_more(c) && known)
		if (!io_option(c, options, &known))
			return false;
	return script_end(c);
}

static int parse_read(struct script_command *c)
{
	c->args.opf = REQ_OP_READ;
	c->args.bs = 8;
	return parse_io(c, OF_READ | IN_PIECES) ? 0 : -1;
}

static int parse_write(struct script_command *c)
{
	c->args.opf = REQ_OP_WRITE;
	c->args.bs = 8;
	c->args.fill = U64_MAX;
	if (!parse_io(c, OF_WRITE | IN_PIECES))
		return -1;
	if (c->args.fill == U64_MAX) {
		script_syntax(c, "fill= is missing");
		return -1;
	}
	return 0;
}

static int parse_discard(struct script_command *c)
{
	c->args.opf = REQ_OP_DISCARD;
	return parse_io(c, IN_PIECES) ? 0 : -1;
}

static int parse_zero(struct script_command *c)
{
	c->args.opf = REQ_OP_WRITE_ZEROES;
	return parse_io(c, IN_PIECES) ? 0 : -1;
}

static int parse_flush(struct script_command *c)
{
	c->args.opf = REQ_OP_WRITE | REQ_PREFLUSH;
	return parse_io(c, 0) ? 0 : -1;
}

/* ---- simulator only ---- */

enum {
	OF_REQUESTS = 1,	/* op=, range= */
	OF_FAULTS = 2,		/* skip=, chance= */
	WITH_ERROR = 4,
};

static bool fault_options(struct script_command *c, unsigned int options)
{
	struct script_args *a = &c->args;
	const char *v;
	u64 n;

	while (script_more(c)) {
		bool ok;

		if (options & OF_REQUESTS && script_option(c, "op", &v)) {
			ok = parse_ops(c, v);
		} else if (options & OF_REQUESTS && script_option(c, "range", &v)) {
			ok = parse_sector_range(c, v);
		} else if (options & OF_FAULTS && script_option(c, "skip", &v)) {
			ok = parse_number(c, "skip", v, U64_MAX - 1, &a->skip);
		} else if (script_option(c, "count", &v)) {
			ok = parse_number(c, "count", v, U64_MAX - 1, &a->count);
		} else if (options & WITH_ERROR && script_option(c, "error", &v)) {
			ok = parse_errno(c, v);
		} else if (options & OF_FAULTS && script_option(c, "chance", &v)) {
			ok = parse_number(c, "chance", v, 1000000, &n);
			a->per_million = n;
		} else {
			break;
		}
		if (!ok)
			return false;
	}
	return script_end(c);
}

static int parse_fault(struct script_command *c)
{
	c->args.ops = DISK_OP_ALL;
	c->args.count = U64_MAX;
	c->args.error = 5; /* EIO */
	if (!script_take_name(c, "disk", &c->args.name))
		return -1;
	if (script_flag(c, "clear")) {
		c->args.flags |= SCRIPT_CLEAR;
		return script_end(c) ? 0 : -1;
	}
	if (!strcmp(c->args.name, "alloc"))
		return fault_options(c, OF_FAULTS) ? 0 : -1;
	return fault_options(c, OF_REQUESTS | OF_FAULTS | WITH_ERROR) ? 0 : -1;
}

static int parse_hold(struct script_command *c)
{
	c->args.ops = DISK_OP_ALL;
	c->args.count = U64_MAX;
	if (!script_take_name(c, "label", &c->args.sub) ||
	    !script_take_name(c, "disk", &c->args.name))
		return -1;
	return fault_options(c, OF_REQUESTS) ? 0 : -1;
}

static int parse_module(struct script_command *c)
{
	struct script_args *a = &c->args;

	if (!script_take(c, "load, unload, param or autoload", &a->sub))
		return -1;
	if (!strcmp(a->sub, "load") || !strcmp(a->sub, "unload"))
		return script_take_name(c, "module", &a->name) && script_end(c) ? 0 : -1;
	if (!strcmp(a->sub, "param"))
		return script_take_name(c, "module", &a->name) &&
		       script_take_name(c, "parameter", &a->text) &&
		       script_take_u64(c, "the value", &a->value) && script_end(c) ? 0 : -1;
	if (!strcmp(a->sub, "autoload")) {
		if (script_flag(c, "on"))
			a->value = 1;
		else if (!script_flag(c, "off"))
			return script_syntax(c, "usage: %s", c->verb->usage) ? 0 : -1;
		return script_end(c) ? 0 : -1;
	}
	script_syntax(c, "module %s: none of load, unload, param, autoload", a->sub);
	return -1;
}

static int parse_name_only(struct script_command *c)
{
	return script_take_name(c, "name", &c->args.name) && script_end(c) ? 0 : -1;
}

static int parse_open(struct script_command *c)
{
	c->args.value = 1;
	return parse_name_only(c);
}

static int parse_save(struct script_command *c)
{
	return script_take_name(c, "disk", &c->args.name) &&
	       script_take(c, "the file", &c->args.text) && script_end(c) ? 0 : -1;
}

static int parse_sleep(struct script_command *c)
{
	const char *word = NULL;

	if (!script_take(c, "the duration", &word))
		return -1;
	if (!parse_duration_ns(word, &c->args.value)) {
		script_syntax(c, "\"%s\" is not a duration (10s, 250ms)", word);
		return -1;
	}
	return script_end(c) ? 0 : -1;
}

static int parse_nothing(struct script_command *c)
{
	return script_end(c) ? 0 : -1;
}

static int parse_echo(struct script_command *c)
{
	c->next_arg = c->argc;
	return 0;
}

static int parse_parallel(struct script_command *c)
{
	if (!script_flag(c, "{")) {
		script_syntax(c, "usage: %s", c->verb->usage);
		return -1;
	}
	return script_end(c) ? 0 : -1;
}

static int parse_sequence(struct script_command *c)
{
	return script_end(c) ? 0 : -1;
}

/* The command itself is left to the parser. */
static int parse_start(struct script_command *c)
{
	if (!script_take_name(c, "label", &c->args.name))
		return -1;
	if (!script_more(c)) {
		script_syntax(c, "usage: %s", c->verb->usage);
		return -1;
	}
	return 0;
}

static int parse_check(struct script_command *c)
{
	if (!script_take_name(c, "disk", &c->args.name))
		return -1;
	if (script_flag(c, "damaged"))
		c->args.value = 1;
	return script_end(c) ? 0 : -1;
}

static const struct script_verb verbs[] = {
	{ "disk", "disk NAME SIZE [model=ram|ssd|hdd] [block=512|1024|2048|4096] [file=PATH]", parse_disk,
	  script_disk },
	{ "dmsetup", "dmsetup COMMAND NAME [ARGUMENT...]", parse_dmsetup, script_dmsetup },
	{ "read", "read DEVICE SECTOR COUNT [expect=N] [bs=N] [expect-error=ERRNO]", parse_read,
	  script_io },
	{ "write", "write DEVICE SECTOR COUNT fill=N [bs=N] [fua] [preflush] [expect-error=ERRNO]",
	  parse_write, script_io },
	{ "discard", "discard DEVICE SECTOR COUNT [bs=N] [expect-error=ERRNO]", parse_discard,
	  script_io },
	{ "zero", "zero DEVICE SECTOR COUNT [bs=N] [expect-error=ERRNO]", parse_zero, script_io },
	{ "flush", "flush DEVICE [expect-error=ERRNO]", parse_flush, script_io },
	{ "parallel", "parallel {", parse_parallel, script_parallel },
	{ "{", "{", parse_sequence, script_parallel },
	{ "start", "start LABEL COMMAND...", parse_start, script_start },
	{ "wait", "wait LABEL", parse_name_only, script_wait },
	{ "echo", "echo TEXT...", parse_echo, script_echo },
	{ "sleep", "sleep DURATION", parse_sleep, script_sleep },
	{ "open", "open DEVICE", parse_open, script_open },
	{ "close", "close DEVICE", parse_name_only, script_open },
	{ "module", "module load|unload MODULE, module param MODULE NAME VALUE, module autoload on|off",
	  parse_module, script_module },
	{ "resize", "resize DISK SIZE", parse_resize, script_resize },
	{ "settle", "settle", parse_nothing, script_settle },
	{ "pending", "pending LABEL", parse_name_only, script_pending },
	{ "fault", "fault DISK [op=OP,...] [range=START+LENGTH] [skip=N] [count=N] [error=ERRNO] [chance=PPM], "
		   "fault alloc [skip=N] [count=N] [chance=PPM], fault DISK|alloc clear", parse_fault, script_fault },
	{ "hold", "hold LABEL DISK [op=OP,...] [range=START+LENGTH] [count=N]", parse_hold, script_hold },
	{ "release", "release LABEL", parse_name_only, script_release },
	{ "crash", "crash", parse_nothing, script_crash },
	{ "reload", "reload", parse_nothing, script_reload },
	{ "stat", "stat DISK", parse_name_only, script_stat },
	{ "check", "check DISK [damaged]", parse_check, script_check },
	{ "save", "save DISK FILE", parse_save, script_save },
};

const struct script_verb *script_verb_at(unsigned int i)
{
	return i < sizeof(verbs) / sizeof(verbs[0]) ? &verbs[i] : NULL;
}

const struct script_verb *script_verb_find(const char *name)
{
	const struct script_verb *v;

	for (unsigned int i = 0; (v = script_verb_at(i)); i++)
		if (!strcmp(v->name, name))
			return v;
	return NULL;
}
