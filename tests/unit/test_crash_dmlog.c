// SPDX-License-Identifier: GPL-2.0
/*
 * Logs of dm-log-writes in the crash engine: a life written and read back is judged as it was; what a store with a
 * mistake would have left is found; what makes no sense is refused; writes whose order a log cannot say.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "dmlog.h"
#include "dmlog_format.h"
#include "trace.h"

static const char script[] =
	"disk origin 16K\ndisk store 2M\n"
	"dmsetup create ms --table \"0 32 multisnapshot origin store 8 0 mikulas 0\"\n"
	"write ms 0 32 fill=1\n"
	"dmsetup message ms 0 create\ndmsetup suspend ms\ndmsetup resume ms\n"
	"write ms 0 8 fill=2\n"
	"dmsetup create s0 --table \"0 32 multisnap-snap origin 0\"\n"
	"write s0 8 4 fill=3\nflush s0\n"
	"dmsetup message ms 0 create\ndmsetup suspend ms\ndmsetup resume ms\n"
	"write ms 4 12 fill=4\nflush ms\n"
	"dmsetup message ms 0 settle\n"
	"discard ms 16 8\nwrite ms 24 1 fill=5 fua\n"
	"dmsetup message ms 0 delete 1\n"
	"dmsetup message ms 0 settle\n";

static const struct crash_options options = {
	.strategy = SIM_FIFO,
	.seed = 1,
	.bound = 4096,
	.samples = 16,
	.depth = 1,
};

static char path[] = "/tmp/test_crash_dmlog.XXXXXX";

static int setup(void **state)
{
	int fd = mkstemp(path);

	return fd < 0 ? -1 : close(fd);
}

static int teardown(void **state)
{
	return unlink(path);
}

static void write_life(void)
{
	struct crash_unit unit = { .text = (char *)script };

	snprintf(unit.name, sizeof(unit.name), "the script");
	dmlog_write_unit(path, &unit);
	crash_unit_run(&options, &unit);
	assert_string_equal(unit.error, "");
	assert_int_equal(unit.counts.states, 0);
}

static void judge(struct crash_unit *unit, struct dmlog_unit *u)
{
	memset(unit, 0, sizeof(*unit));
	u->options.path = path;
	u->shares = 1;
	dmlog_unit(u, unit);
	crash_unit_apart(&options, unit);
}

static void test_there_and_back(void **state)
{
	struct crash_unit before = { .text = (char *)script }, unit;
	struct dmlog_unit u = { 0 };

	snprintf(before.name, sizeof(before.name), "the script");
	crash_unit_apart(&options, &before);
	assert_string_equal(before.error, "");
	if (before.finding.found)
		print_error("%s\n", before.finding.what);
	assert_false(before.finding.found);
	write_life();
	judge(&unit, &u);
	if (unit.finding.found)
		print_error("%s\n", unit.finding.what);
	assert_string_equal(unit.error, "");
	assert_false(unit.finding.found);
	assert_true(unit.counts.states > 20);
	assert_true(unit.counts.complete == unit.counts.points);
}

/* ---- a log in memory ---- */

struct log {
	u8 *bytes;
	size_t size;
	u64 count;
	u32 sector_size;
};

static void load(struct log *log)
{
	FILE *f = fopen(path, "rb");
	struct dmlog_super super;

	assert_non_null(f);
	log->bytes = malloc(1 << 24);
	log->size = fread(log->bytes, 1, 1 << 24, f);
	fclose(f);
	super = dmlog_super_unpack(log->bytes);
	assert_int_equal(super.magic, DMLOG_MAGIC);
	log->count = super.nr_entries;
	log->sector_size = super.sector_size;
}

static void save(struct log *log)
{
	const struct dmlog_super super = { DMLOG_MAGIC, DMLOG_VERSION, log->count, log->sector_size };
	FILE *f = fopen(path, "wb");

	assert_non_null(f);
	dmlog_super_pack(&super, log->bytes);
	assert_int_equal(fwrite(log->bytes, 1, log->size, f), log->size);
	fclose(f);
	free(log->bytes);
}

static u8 *next(const struct log *log, u8 *entry)
{
	const struct dmlog_entry e = dmlog_entry_unpack(entry);

	return entry + (1 + dmlog_entry_data(&e)) * log->sector_size;
}

static void drop(struct log *log, u8 *entry)
{
	u8 *behind = next(log, entry);

	memmove(entry, behind, log->bytes + log->size - behind);
	log->size -= behind - entry;
	log->count--;
}

/* The @skip-th entry with these flags. */
static u8 *find(const struct log *log, u64 flags, u32 skip)
{
	for (u8 *p = log->bytes + log->sector_size; p < log->bytes + log->size; p = next(log, p))
		if (dmlog_entry_unpack(p).flags == flags && !skip--)
			return p;
	return NULL;
}

/* The readers of traces see the same requests. */
static void test_structure(void **state)
{
	const char *const files[] = { path };
	const struct trace_options to = { .max_bad = -1 };
	u64 wanted[TRACE_NR_OPS] = { 0 }, entries = 0;
	struct trace_request request;
	struct trace *trace;
	char error[256];
	struct log log;
	u8 *p;

	write_life();
	load(&log);
	for (p = log.bytes + log.sector_size; p < log.bytes + log.size; p = next(&log, p), entries++) {
		const struct dmlog_entry e = dmlog_entry_unpack(p);

		assert_null(dmlog_entry_wrong(&e, log.sector_size));
		if (!(e.flags & DMLOG_MARK))
			wanted[e.flags & DMLOG_FLUSH   ? TRACE_FLUSH :
			       e.flags & DMLOG_DISCARD ? TRACE_DISCARD :
							 TRACE_WRITE]++;
	}
	assert_ptr_equal(p, log.bytes + log.size);
	assert_int_equal(entries, log.count);
	free(log.bytes);
	trace = trace_open(files, 1, &to, error, sizeof(error));
	assert_non_null(trace);
	while (trace_next(trace, &request) == 1)
		;
	for (u32 op = 0; op < TRACE_NR_OPS; op++)
		assert_int_equal(trace_stats(trace)->requests[op], wanted[op]);
	assert_int_equal(trace_stats(trace)->records, entries);
	trace_close(trace);
	assert_true(wanted[TRACE_DISCARD] == 1 && wanted[TRACE_WRITE] > 10 && wanted[TRACE_FLUSH] > 5);
}

/* How many of the logs with one entry of that kind left out have a finding. */
static u32 findings(u64 flags, u32 *nr)
{
	u32 found = 0;

	for (*nr = 0;; (*nr)++) {
		struct dmlog_unit u = { 0 };
		struct crash_unit unit;
		struct log log;
		u8 *entry;

		write_life();
		load(&log);
		entry = find(&log, flags, *nr);
		if (entry)
			drop(&log, entry);
		save(&log);
		if (!entry)
			return found;
		judge(&unit, &u);
		assert_string_equal(unit.error, "");
		found += unit.finding.found;
		assert_null(strstr(unit.finding.what, "ended by signal"));
		crash_finding_free(&unit.finding);
	}
}

/* A flush that was not done, a record or a write that was lost. Some are nobody's loss: of zeroes, for instance. */
static void test_mistakes(void **state)
{
	u32 nr, found;

	found = findings(DMLOG_FLUSH, &nr);
	assert_true(nr > 5 && found >= 2);
	found = findings(DMLOG_FUA, &nr);
	assert_true(nr > 5 && found > nr / 2);
	found = findings(0, &nr);
	assert_true(nr > 10 && found > nr / 3);
}

/* ---- logs by hand ---- */

static void put(struct log *log, u64 flags, u64 sector, u64 sectors, const char *text)
{
	const struct dmlog_entry e = { sector, sectors, flags, text ? strlen(text) : 0 };
	u8 *at;

	if (!log->bytes) {
		log->sector_size = SECTOR_SIZE;
		log->size = SECTOR_SIZE;
		log->bytes = calloc(1, 1 << 20);
	}
	at = log->bytes + log->size;
	dmlog_entry_pack(&e, at);
	memcpy(at + DMLOG_ENTRY_SIZE, text ? text : "", e.text);
	for (u64 i = 0; i < dmlog_entry_data(&e); i++)
		tag_expand(tag_make(log->count + 1, sector + i), at + (1 + i) * SECTOR_SIZE);
	log->size += (1 + dmlog_entry_data(&e)) * SECTOR_SIZE;
	log->count++;
}

static void put_places(struct log *log)
{
	put(log, DMLOG_MARK, 0, 0, "multisnap origin 0+64");
	put(log, DMLOG_MARK, 0, 0, "multisnap store 64+64");
	put(log, DMLOG_MARK, 0, 0, "multisnap table 0 64 multisnapshot 7:0 7:1 8 0 mikulas 0");
}

/* A write behind an overlapping FUA write may be the older one: on the origin it counts as under way since before. */
static void test_order(void **state)
{
	static const struct {
		u64 sector;
		u32 flushes;
		bool unordered, early;
	} cases[] = {
		{ 8, 0, true, true }, { 8, 1, true, true }, { 8, 2, false, false },
		{ 16, 0, false, false }, { 72, 0, true, false },
	};

	for (u32 i = 0; i < ARRAY_SIZE(cases); i++) {
		struct dmlog_options o = { .path = path };
		struct dmlog_summary sum;
		struct log log = { 0 };
		struct life life;
		char error[256];
		u32 fua = 0, write = 0;

		put_places(&log);
		put(&log, DMLOG_FUA, cases[i].sector == 72 ? 72 : 8, 4, NULL);
		for (u32 n = 0; n < cases[i].flushes; n++)
			put(&log, DMLOG_FLUSH, 0, 0, NULL);
		put(&log, 0, cases[i].sector, 4, NULL);
		save(&log);
		life_init(&life);
		assert_true(dmlog_read(&o, &life, &sum, error, sizeof(error)));
		assert_int_equal(sum.unordered, cases[i].unordered);
		for (u32 n = 1; n <= life.nr; n++) {
			const struct life_event *e = life_at(&life, n);

			if (e->kind == LIFE_DISK_ISSUE && e->op == LIFE_WRITE)
				*(e->flags & LIFE_FUA ? &fua : &write) = n;
		}
		assert_int_equal(write < fua, cases[i].early);
		life_exit(&life);
	}
}

/* What makes no sense is refused, with the entry's number. */
static void test_refused(void **state)
{
	static const struct {
		u64 flags, sector, sectors;
		const char *mark, *says;
	} cases[] = {
		{ 0, 126, 4, NULL, "entry 4: sectors 126+4 are neither of the origin nor of the store" },
		{ DMLOG_FUA, 62, 4, NULL, "entry 4: sectors 62+4 are neither" },
		{ DMLOG_MARK, 0, 0, "multisnap end 7", "entry 4: mark \"multisnap end 7...\": that number has not begun" },
		{ DMLOG_MARK, 0, 0, "multisnap begin", "no number" },
		{ DMLOG_MARK, 0, 0, "multisnap status 5 0 - 1 2", "not a status" },
		{ DMLOG_MARK, 0, 0, "multisnap sing", "no such mark" },
		{ DMLOG_MARK, 0, 0, "multisnap issue 1 0 write 0+8 1000000000:4", "fewer contents" },
		{ DMLOG_MARK, 0, 0, "multisnap issue 1 0 write 0+8 1000000000:9", "more sectors" },
		{ DMLOG_MARK, 0, 0, "multisnap issue 1 origin flush 0+0", "no mark own-io before" },
		{ DMLOG_MARK, 0, 0, "multisnap issue 1 x flush 0+0", "neither origin nor" },
		{ 64, 0, 0, NULL, "unknown flags" },
	};

	for (u32 i = 0; i < ARRAY_SIZE(cases); i++) {
		struct dmlog_options o = { .path = path };
		struct dmlog_summary sum;
		struct log log = { 0 };
		struct life life;
		char error[256] = "";

		put_places(&log);
		put(&log, cases[i].flags, cases[i].sector, cases[i].sectors, cases[i].mark);
		save(&log);
		life_init(&life);
		if (dmlog_read(&o, &life, &sum, error, sizeof(error)) || !strstr(error, cases[i].says)) {
			print_error("case %u: \"%s\"\n", i, error);
			fail();
		}
		life_exit(&life);
	}
}

/* Wherever the file ends, the reader says so or has all of it; other people's marks are no matter. */
static void test_cut_off(void **state)
{
	struct dmlog_options o = { .path = path };
	struct dmlog_summary sum;
	struct life life;
	char error[256];

	for (size_t end = 0; end < 9 * SECTOR_SIZE; end += 100) {
		struct log log = { 0 };

		put_places(&log);
		put(&log, DMLOG_MARK, 0, 0, "generic/482");
		put(&log, 0, 8, 2, NULL);
		put(&log, DMLOG_MARK, 0, 0, "dm-log-writes-end");
		assert_int_equal(log.size, 9 * SECTOR_SIZE);
		save(&log);
		assert_int_equal(truncate(path, end), 0);
		life_init(&life);
		memset(&o.part, 0, sizeof(o.part));
		assert_false(dmlog_read(&o, &life, &sum, error, sizeof(error)));
		life_exit(&life);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_there_and_back),
		cmocka_unit_test(test_structure),
		cmocka_unit_test(test_mistakes),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_cut_off),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
