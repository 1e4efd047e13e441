// SPDX-License-Identifier: GPL-2.0
/*
 * Replay: everything it is asked to do is verified, with both stores; it finds what is changed behind the target's back; a
 * store that is too small is reported, not mistaken; two equal runs give equal reports; traces become requests as documented.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "replay.h"

#define SECTORS 8192

struct source {
	struct replay_source source;
	struct replay_extent extent;
	u64 at, seed, rng;
};

static u32 rnd(struct source *s, u32 n)
{
	s->rng ^= s->rng << 13;
	s->rng ^= s->rng >> 7;
	s->rng ^= s->rng << 17;
	return (u32)((s->rng >> 20) % n);
}

static int next(struct replay_source *source, struct replay_request *q)
{
	struct source *s = container_of(source, struct source, source);
	u32 kind = rnd(s, 20);

	if (s->at == s->extent.total)
		return 0;
	memset(q, 0, sizeof(*q));
	q->time_ns = s->at * 1000;
	q->position = ++s->at;
	q->op = kind < 12 ? REPLAY_WRITE : kind < 17 ? REPLAY_READ : kind == 17 ? REPLAY_FLUSH :
		kind == 18 ? REPLAY_DISCARD : REPLAY_WRITE_ZEROES;
	q->flags = (u8)(rnd(s, 4) ? 0 : rnd(s, 16));
	if (q->op == REPLAY_FLUSH)
		return 1;
	q->sectors = 1 + rnd(s, rnd(s, 8) ? 30 : 600);
	q->sector = rnd(s, (u32)(SECTORS - q->sectors));
	return 1;
}

static int rewind_source(struct replay_source *source)
{
	struct source *s = container_of(source, struct source, source);

	s->at = 0;
	s->rng = s->seed * 0x9E3779B97F4A7C15ull + 1;
	return 0;
}

static struct source make_source(u64 seed, u64 requests)
{
	struct source s = { .source = { next, rewind_source }, .seed = seed };

	s.extent.total = requests;
	s.extent.end = SECTORS;
	s.extent.duration_ns = requests * 1000;
	return s;
}

static struct replay_options make_options(const char *store)
{
	return (struct replay_options){
		.store = store, .chunk = 8, .origin_sectors = SECTORS, .store_sectors = 1 << 20,
		.block_size = 512, .model = DISK_RAM, .seed = 1, .depth = 8, .verify = true,
		.trace_name = "test", .snapshots = { .every_requests = 100, .keep = 5 },
	};
}

static struct replay_result result; /* large */

static void run(u64 seed, u64 requests, const struct replay_options *o)
{
	struct source s = make_source(seed, requests);

	assert_int_equal(replay_run(&s.source, &s.extent, o, &result), 0);
	assert_int_equal(result.total, requests);
}

/* Where the replay has something to say on stderr, as it should. */
static void run_silenced(u64 seed, u64 requests, const struct replay_options *o)
{
	struct source s = make_source(seed, requests);
	int saved = dup(STDERR_FILENO), null = open("/dev/null", O_WRONLY), r;

	dup2(null, STDERR_FILENO);
	r = replay_run(&s.source, &s.extent, o, &result);
	dup2(saved, STDERR_FILENO);
	close(saved);
	close(null);
	assert_int_equal(r, 0);
	assert_int_equal(result.total, requests);
}

static void assert_clean(void)
{
	assert_int_equal(result.mismatches, 0);
	assert_int_equal(result.failed, 0);
	assert_int_equal(result.error, 0);
	assert_true(result.verified_sectors > SECTORS);
}

static const char *const stores[] = { "model", "mikulas" };

static void test_rolling_snapshots_verified(void **state)
{
	for (unsigned int i = 0; i < 2; i++) {
		struct replay_options o = make_options(stores[i]);

		o.verify_every = 300;
		o.verify_deleted = true;
		run(1, 1200, &o);
		assert_clean();
		assert_int_equal(result.snapshots_made, 11);
		assert_int_equal(result.snapshots_deleted, 6);
		assert_int_equal(result.snapshots_live, 5);
		assert_int_equal(result.read_backs, 4);
		assert_true(result.copied_chunks > 0);
	}
}

static void test_every_kind_of_use(void **state)
{
	for (u64 seed = 1; seed <= 6; seed++) {
		struct replay_options o = make_options(stores[seed % 2]);

		o.seed = seed;
		o.strategy = seed % 3 ? SIM_FIFO : SIM_RANDOM;
		o.model = seed % 4 ? DISK_RAM : DISK_SSD;
		o.chunk = 8u << seed % 3;
		o.timed = seed == 5;
		o.races = seed == 3;
		o.snapshot_reads = 3;
		o.snapshot_writes = 7;
		if (!strcmp(o.store, "mikulas")) {
			o.subsnap_every = 2;
			o.subsnap_keep = 2;
		}
		run(seed, 1000, &o);
		assert_clean();
		assert_true(result.snapshot_reads > 100);
		assert_true(result.snapshot_writes > 50);
	}
}

static void test_snapshots_by_the_clock(void **state)
{
	struct replay_options o = make_options("mikulas");

	o.snapshots = (struct replay_rolling){ .every_ns = 250000, .keep = 0 };
	run(2, 1000, &o);
	assert_clean();
	assert_int_equal(result.snapshots_made, 3); /* at 250, 500 and 750 us */
	assert_int_equal(result.snapshots_live, 3);
}

/* One sector of the origin, written past the target. */
static void corrupt(void *context, bool begin)
{
	tag_t tag = tag_make(TAG_WRITE_MAX - 5, 77);

	if (!begin)
		assert_int_equal(sim_bio_wait(sim_bio_alloc(disk_bdev("origin"), REQ_OP_WRITE, 77, 1, &tag)), 0);
}

static void test_finds_what_is_changed_behind_its_back(void **state)
{
	struct replay_options o = make_options("mikulas");

	o.phase = corrupt;
	o.snapshots.every_requests = 1 << 20;
	run_silenced(3, 500, &o);
	assert_true(result.mismatches > 0);
}

static void test_store_too_small(void **state)
{
	for (unsigned int i = 0; i < 2; i++) {
		struct replay_options o = make_options("mikulas");

		o.store_sectors = 9000;
		o.snapshots.keep = 0;
		o.preserve_on_error = i;
		o.snapshot_reads = 5;
		run_silenced(4, 3000, &o);
		assert_int_equal(result.error, -ENOSPC);
		assert_true(result.error_at > 0);
		assert_int_equal(result.mismatches, 0);
		assert_int_equal(result.failed, 0);
	}
}

static void test_past_the_end(void **state)
{
	struct replay_options o = make_options("mikulas");

	o.origin_sectors = SECTORS / 2;
	run(5, 500, &o);
	assert_clean();
	assert_true(result.past_end > 50);
	assert_int_equal(result.past_end_wrapped, 0);
	o.past_end = PAST_END_WRAP;
	run(5, 500, &o);
	assert_clean();
	assert_int_equal(result.past_end, 0);
	assert_true(result.past_end_wrapped > 50);
}

/* A run on a store of the fit does, one on a store of 1 MiB less does not; whatever the first store was. */
static void test_fit_is_the_smallest_that_does(void **state)
{
	static const sector_t given[] = { 1 << 18, 1 << 20, 1 << 22 };
	sector_t fit = 0;

	for (unsigned int i = 0; i < 3; i++) {
		struct replay_options o = make_options("mikulas");
		struct source s = make_source(4, 3000);
		static struct replay_result known;

		o.snapshots.keep = 0;
		o.store_sectors = given[i];
		run(4, 3000, &o);
		assert_clean();
		known = result;
		o.store_sectors = replay_fit(&s.source, &s.extent, &o, &known);
		assert_true(!fit || fit == o.store_sectors);
		fit = o.store_sectors;
		run(4, 3000, &o);
		assert_clean();
		o.store_sectors -= 2048;
		run_silenced(4, 3000, &o);
		assert_int_equal(result.error, -ENOSPC);
	}
}

/* Reading back in the middle is the replay's own: it adds nothing to the counts. */
static void test_reading_back_is_not_counted(void **state)
{
	static struct replay_result plain;

	for (unsigned int i = 0; i < 2; i++) {
		struct replay_options o = make_options(stores[i]);

		o.model = DISK_SSD;
		run(7, 1000, &o);
		plain = result;
		o.verify_deleted = true;
		run(7, 1000, &o);
		assert_true(result.verified_sectors > plain.verified_sectors);
		assert_int_equal(result.origin.sectors_read, plain.origin.sectors_read);
		assert_int_equal(result.duration_ns, plain.duration_ns);
		o.verify_every = 300;
		run(7, 1000, &o);
		assert_int_equal(result.read_backs, 4);
		assert_int_equal(result.origin.reads, plain.origin.reads);
		assert_int_equal(result.origin.sectors_read, plain.origin.sectors_read);
		assert_int_equal(result.copied_chunks, plain.copied_chunks);
		/* Waiting for what is in flight costs a little. */
		assert_true(result.duration_ns < plain.duration_ns + plain.duration_ns / 20);
	}
}

static char *report_of(const struct replay_options *o)
{
	struct source s = make_source(6, 600);
	size_t size;
	char *text;
	FILE *out = open_memstream(&text, &size);

	assert_int_equal(replay_run(&s.source, &s.extent, o, &result), 0);
	replay_report(out, "trace", "format", &s.extent, NULL, o, &result, 1);
	assert_int_equal(replay_report_json(out, "trace", "format", &s.extent, NULL, o, &result, 1), 0);
	fclose(out);
	return text;
}

static void test_equal_runs_equal_reports(void **state)
{
	for (unsigned int i = 0; i < 2; i++) {
		struct replay_options o = make_options(stores[i]);
		char *a, *b;

		o.strategy = i ? SIM_FIFO : SIM_RANDOM;
		o.model = DISK_SSD;
		a = report_of(&o);
		b = report_of(&o);
		assert_string_equal(a, b);
		assert_non_null(strstr(a, "In words"));
		assert_non_null(strstr(a, "\"mismatches\": 0"));
		free(a);
		free(b);
	}
}

static void test_address_spaces_side_by_side(void **state)
{
	/* Alibaba: device, R|W, offset, length, us */
	static const char text[] = "7,W,4096,8192,1000000\n9,R,100,1000,1000010\n7,W,3000000,4096,1000020\n"
				   "9,W,512,512,1000030\n7,R,0,512,1000040\n";
	char path[] = "/tmp/test-replay-XXXXXX";
	const char *files[] = { path };
	struct replay_trace_options to = { .files = files, .nr_files = 1, .format = "alibaba" };
	static const struct replay_request expect[] = {
		{ .sector = 8, .sectors = 16, .op = REPLAY_WRITE },
		{ .sector = 6144, .sectors = 3, .op = REPLAY_READ }, /* 3 MiB: behind the first */
		{ .sector = 5859, .sectors = 9, .op = REPLAY_WRITE },
		{ .sector = 6145, .sectors = 1, .op = REPLAY_WRITE },
		{ .sector = 0, .sectors = 1, .op = REPLAY_READ },
	};
	struct replay_source *source;
	struct replay_request q;
	struct replay_trace *t;
	int fd = mkstemp(path);

	assert_int_equal(write(fd, text, sizeof(text) - 1), sizeof(text) - 1);
	close(fd);
	t = replay_trace_open(&to);
	unlink(path);
	assert_non_null(t);
	assert_int_equal(replay_trace_extent(t)->total, 5);
	assert_int_equal(replay_trace_extent(t)->unaligned, 2);
	assert_int_equal(replay_trace_extent(t)->nr_devices, 2);
	assert_int_equal(replay_trace_extent(t)->end, 6147);
	source = replay_trace_source(t);
	for (unsigned int pass = 0; pass < 2; pass++) {
		assert_int_equal(source->rewind(source), 0);
		for (unsigned int i = 0; i < 5; i++) {
			assert_int_equal(source->next(source, &q), 1);
			assert_int_equal(q.sector, expect[i].sector);
			assert_int_equal(q.sectors, expect[i].sectors);
			assert_int_equal(q.op, expect[i].op);
		}
		assert_int_equal(source->next(source, &q), 0);
	}
	replay_trace_close(t);
}

static void test_requests_become_whole_blocks(void **state)
{
	static const char text[] = "7,W,4096,8192,1000000\n7,R,1024,1024,1000010\n7,W,7168,2048,1000020\n";
	char path[] = "/tmp/test-replay-XXXXXX";
	const char *files[] = { path };
	struct replay_trace_options to = { .files = files, .nr_files = 1, .format = "alibaba", .block_size = 4096 };
	static const struct replay_request expect[] = {
		{ .sector = 8, .sectors = 16 }, { .sector = 0, .sectors = 8 }, { .sector = 8, .sectors = 16 },
	};
	struct replay_request q;
	struct replay_trace *t;
	int fd = mkstemp(path);

	assert_int_equal(write(fd, text, sizeof(text) - 1), sizeof(text) - 1);
	close(fd);
	t = replay_trace_open(&to);
	unlink(path);
	assert_non_null(t);
	assert_int_equal(replay_trace_extent(t)->unaligned, 2);
	for (unsigned int i = 0; i < 3; i++) {
		assert_int_equal(replay_trace_source(t)->next(replay_trace_source(t), &q), 1);
		assert_int_equal(q.sector, expect[i].sector);
		assert_int_equal(q.sectors, expect[i].sectors);
	}
	replay_trace_close(t);
}

static void test_texts(void **state)
{
	char buf[32];

	assert_string_equal(replay_size_text(buf, sizeof(buf), 0), "0 B");
	assert_string_equal(replay_size_text(buf, sizeof(buf), 1023), "1023 B");
	assert_string_equal(replay_size_text(buf, sizeof(buf), 8192), "8.00 KiB");
	assert_string_equal(replay_size_text(buf, sizeof(buf), 1ull << 44), "16.0 TiB");
	assert_string_equal(replay_duration_text(buf, sizeof(buf), 0), "0");
	assert_string_equal(replay_duration_text(buf, sizeof(buf), 999), "999 ns");
	assert_string_equal(replay_duration_text(buf, sizeof(buf), 1500), "1.5 us");
	assert_string_equal(replay_duration_text(buf, sizeof(buf), 96000000000), "96 s");
	assert_string_equal(replay_duration_text(buf, sizeof(buf), 7200000000000), "2 h");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rolling_snapshots_verified),
		cmocka_unit_test(test_every_kind_of_use),
		cmocka_unit_test(test_snapshots_by_the_clock),
		cmocka_unit_test(test_past_the_end),
		cmocka_unit_test(test_fit_is_the_smallest_that_does),
		cmocka_unit_test(test_reading_back_is_not_counted),
		cmocka_unit_test(test_equal_runs_equal_reports),
		cmocka_unit_test(test_address_spaces_side_by_side),
		cmocka_unit_test(test_requests_become_whole_blocks),
		cmocka_unit_test(test_texts),
		cmocka_unit_test(test_finds_what_is_changed_behind_its_back),
		cmocka_unit_test(test_store_too_small),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
