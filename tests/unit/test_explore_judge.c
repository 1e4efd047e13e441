// SPDX-License-Identifier: GPL-2.0
/*
 * The judge of scripts: whatever is right passes, in any order of events; and each kind of mistake is found.
 *
 * A mistake is made behind the judge's back, between two commands: on the disks, by messages to the target; or what the
 * judge is told is not what was: an error, a content, an end that never comes.
 */
#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "judge.h"

/* ---- playing ---- */

static jmp_buf out;
static char finding[1024];

static void found(void *context, const char *what)
{
	snprintf(finding, sizeof(finding), "%s", what);
	longjmp(out, 1);
}

static void no_log(void *context, int level, const char *line)
{
}

static void end_thread(void *unused)
{
	judge_end();
}

struct played {
	const char *name, *text;
	enum sim_strategy strategy;
	u64 seed;
	const struct script_hooks *hooks;
	struct disk *(*disk_top)(void *context, const char *name, struct disk *top);
	struct judge_counts counts;
	char failed[512];		/* by the script itself */
};

/* The finding, or NULL. */
static const char *play(struct played *p)
{
	struct script_options so = {
		.world = {
			.strategy = p->strategy,
			.seed = p->seed,
			.log = no_log,
			.fail = found,
			.disk_top = p->disk_top,
		},
		.hooks = p->hooks ? p->hooks : &judge_hooks,
		.keep_going = true,
	};
	char error[SCRIPT_ERROR_MAX];
	struct script_command *script = script_parse(p->name, p->text, error);
	const char *failed;

	if (!script)
		fail_msg("%s", error);
	if (setjmp(out)) {
		world_abandon();
		judge_stop();
		return finding;
	}
	world_start(&so.world);
	judge_start();
	failed = script_play(&so, script, NULL);
	snprintf(p->failed, sizeof(p->failed), "%s", failed ? failed : "");
	if (!failed) {
		sim_thread_start("judge", end_thread, NULL);
		sim_run();
	}
	p->counts = *judge_counts();
	world_stop();
	judge_stop();
	script_free(script);
	return NULL;
}

/* ---- what is right ---- */

static char *read_text(const char *path)
{
	FILE *f = fopen(path, "r");
	char *text = calloc(1, 1 << 17);

	assert_non_null(f);
	assert_non_null(text);
	assert_true(fread(text, 1, (1 << 17) - 1, f) > 0);
	fclose(f);
	return text;
}

static void play_file(const char *path, u64 seed, u64 *requests)
{
	struct played p = {
		.name = path,
		.text = read_text(path),
		.strategy = seed ? SIM_RANDOM : SIM_FIFO,
		.seed = seed,
	};
	const char *what = play(&p);

	if (what)
		fail_msg("%s, seed %llu: %s", path, (unsigned long long)seed, what);
	/* In another order of events another request may fail than the script says. */
	if (p.failed[0] && !seed)
		fail_msg("%s", p.failed);
	*requests += p.counts.requests;
	free((char *)p.text);
}

static void play_folder(const char *folder, u64 seeds)
{
	char path[512];
	struct dirent **names;
	u64 requests = 0;
	int n;

	snprintf(path, sizeof(path), "%s/%s", TEST_SOURCE_DIR, folder);
	n = scandir(path, &names, NULL, alphasort);
	for (int i = 0; i < n; i++) {
		const char *dot = strrchr(names[i]->d_name, '.');

		snprintf(path, sizeof(path), "%s/%s/%s", TEST_SOURCE_DIR, folder, names[i]->d_name);
		for (u64 seed = 0; dot && !strcmp(dot, ".msnap") && seed <= seeds; seed++)
			play_file(path, seed, &requests);
		free(names[i]);
	}
	if (n > 0)
		free(names);
	assert_true(n <= 0 || requests);
}

static void test_crash_scripts(void **state)
{
	play_folder("crash", 50);
}

static void test_scenarios(void **state)
{
	play_folder("scenario", 20);
}

static void test_explored_scenarios(void **state)
{
	play_folder("explore", 100);
}

#define ORIGIN "disk origin 24s\ndisk store 1M\n"
#define LOAD "dmsetup create ms --table \"0 24 multisnapshot origin store 8 0 mikulas 0\"\n"
#define PRESERVE "dmsetup create ms --table \"0 24 multisnapshot origin store 8 1 preserve-on-error mikulas 0\"\n"
#define CREATE "dmsetup message ms 0 create\ndmsetup suspend ms\ndmsetup resume ms\n"
#define DEVICE "dmsetup create s0 --table \"0 24 multisnap-snap origin 0\"\n"

/* Many orders of everything at once, from two loads. */
static void test_all_at_once(void **state)
{
	static const char text[] = ORIGIN LOAD "write ms 0 24 fill=1\n" CREATE DEVICE
		"parallel {\n"
		"	write ms 0 8 fill=2\n"
		"	read s0 0 8\n"
		"	{\n"
		"		dmsetup message ms 0 create\n"
		"		dmsetup suspend ms\n"
		"		dmsetup resume ms\n"
		"		dmsetup create s1 --table \"0 24 multisnap-snap origin 1\"\n"
		"		read s1 0 24\n"
		"	}\n"
		"	dmsetup message ms 0 create_subsnap 0\n"
		"	dmsetup message ms 0 delete 0\n"
		"	write s0 0 16 fill=3 bs=0\n"
		"}\n"
		"read ms 0 24\n";

	for (u64 seed = 0; seed < 300; seed++) {
		struct played p = {
			.name = "all", .text = text, .seed = seed,
			.strategy = seed ? SIM_RANDOM : SIM_FIFO,
		};
		const char *what = play(&p);

		if (what)
			fail_msg("seed %llu: %s", (unsigned long long)seed, what);
		assert_true(p.counts.reads >= 3);
		assert_true(p.counts.read_back >= 1);
		assert_int_equal(p.counts.checks, 1);
	}
}

/* ---- mistakes ---- */

enum where {
	BEFORE,		/* the begin of that command is told */
	BETWEEN,	/* after it */
	AFTER,		/* before its end is told */
};

struct mistake {
	const char *name;
	const char *text;
	unsigned int line;	/* of the text, from 1 */
	enum where where;
	void (*make)(void);
	bool lie;		/* the end is told with this error */
	int error;
	const char *found;
};

static const struct mistake *mistake;
static tag_t *read_tags;	/* of the request of that line */
static bool silent;		/* its end is not told */
static u64 line_of[1024];	/* of what began: its line, for its end */
static u64 begun_by_judge[1024];
static u64 nr_begun;

static void make(const struct script_command *c, enum where where)
{
	if (c->line == mistake->line && where == mistake->where && mistake->make)
		mistake->make();
}

static u64 remember(const struct script_command *c, u64 begun)
{
	nr_begun++;
	line_of[nr_begun] = c->line;
	begun_by_judge[nr_begun] = begun;
	return nr_begun;
}

static int told_error(u64 n, int error)
{
	if (line_of[n] != mistake->line)
		return error;
	if (mistake->where == AFTER && mistake->make)
		mistake->make();
	return mistake->lie ? mistake->error : error;
}

static u64 io_begin(void *context, const struct script_command *c, sector_t sector, u32 sectors,
		    const tag_t *tags)
{
	u64 n;

	make(c, BEFORE);
	if (c->line == mistake->line)
		read_tags = (tag_t *)tags;
	n = remember(c, judge_hooks.io_begin(NULL, c, sector, sectors, tags));
	make(c, BETWEEN);
	return n;
}

static void io_end(void *context, u64 n, int error)
{
	error = told_error(n, error);
	if (!(silent && line_of[n] == mistake->line))
		judge_hooks.io_end(NULL, begun_by_judge[n], error);
}

static u64 ctl_begin(void *context, const struct script_command *c)
{
	u64 n;

	make(c, BEFORE);
	n = remember(c, judge_hooks.ctl_begin(NULL, c));
	make(c, BETWEEN);
	return n;
}

static void ctl_end(void *context, u64 n, int error)
{
	error = told_error(n, error);
	judge_hooks.ctl_end(NULL, begun_by_judge[n], error);
}

static void crashed(void *context)
{
}

static void parallel(void *context, bool begins)
{
	judge_hooks.parallel(NULL, begins);
}

static const struct script_hooks lying_hooks = {
	.io_begin = io_begin,
	.io_end = io_end,
	.ctl_begin = ctl_begin,
	.ctl_end = ctl_end,
	.crashed = crashed,
	.parallel = parallel,
};

static void nothing(void)
{
}

static void poke(const char *disk, sector_t sector, tag_t tag)
{
	disk_poke(world_disk_find(disk)->base, sector, 1, &tag);
}

static void spoil_origin(void)
{
	poke("origin", 3, tag_make(77, 3));
}

static void origin_of_another_sector(void)
{
	poke("origin", 3, tag_make(1, 4));
}

/* Where the copy of the first chunk is. */
static void spoil_copy(void)
{
	struct disk *store = world_disk_find("store")->base;
	tag_t tag;

	for (sector_t s = 0; s < disk_sectors(store); s++) {
		disk_peek(store, s, 1, &tag);
		if (tag == tag_make(1, 3)) {
			poke("store", s, tag_make(2, 3));
			return;
		}
	}
	fail_msg("the copy was not found");
}

static void spoil_superblock(void)
{
	poke("store", 0, tag_make(77, 0));
}

static void delete_0(void)
{
	dmctl_message("ms", "delete 0");
}

static void create_secretly(void)
{
	dmctl_message("ms", "create");
	dmctl_suspend("ms", 0);
	dmctl_resume("ms");
}

static void prepare_secretly(void)
{
	dmctl_message("ms", "create");
}

/* A create that fails leaves nothing prepared. */
static void drop_prepared(void)
{
	dmctl_message("ms", "create_subsnap 99");
}

static void read_newer(void)
{
	for (u32 i = 0; i < 8; i++)
		read_tags[i] = tag_make(2, i);
}

static void read_zeroes(void)
{
	memset(read_tags, 0, 8 * sizeof(*read_tags));
}

static void read_own(void)
{
	for (u32 i = 0; i < 8; i++)
		read_tags[i] = tag_make(3, i);
}

static void keep_silent(void)
{
	silent = true;
}

static void reload_secretly(void)
{
	const char *table = "0 24 multisnapshot origin store 8 1 preserve-on-error mikulas 0";

	dmctl_remove("ms");
	dmctl_create("ms");
	dmctl_load("ms", table, NULL);
	dmctl_resume("ms");
}

/* A layer above all that the judge knows: what it refuses nobody has asked for. */
static struct disk *unseen;

static struct disk *unseen_layer(void *context, const char *name, struct disk *top)
{
	struct disk *layer = disk_error_create(top);

	if (!strcmp(name, "store"))
		unseen = layer;
	return layer;
}

static void fail_unseen(void)
{
	const struct disk_fault fault = { .ops = DISK_OP_WRITE, .count = 1, .error = -EIO };

	disk_error_add(unseen, &fault);
}

#define BASE ORIGIN LOAD "write ms 0 24 fill=1\n" CREATE /* 7 lines */
#define COPIED BASE DEVICE "write ms 0 8 fill=2\n" /* 9 */

/* An error, which the status has shown: 4 lines. */
#define GIVEN_UP "fault store op=write count=1\nwrite ms 8 8 fill=3\ndmsetup suspend ms\ndmsetup resume ms\n"

static const struct mistake mistakes[] = {
	{ "origin, read by the script", BASE "write ms 0 8 fill=2\nread ms 0 8\n", 9, BEFORE, spoil_origin,
	  false, 0, "m:9: origin: sector 3 reads as write 77" },
	{ "origin, read by nobody", BASE "flush ms\n", 8, BEFORE, spoil_origin, false, 0,
	  "at the end: origin: sector 3 reads as write 77" },
	{ "origin, the data of another sector", BASE "flush ms\n", 8, BEFORE, origin_of_another_sector, false,
	  0, "at the end: origin: sector 3 reads as write 1 of sector 4" },
	{ "snapshot, not copied yet", BASE DEVICE "read s0 0 8\n", 9, BEFORE, spoil_origin, false, 0,
	  "m:9: snapshot 0: sector 3 reads as write 77" },
	{ "snapshot, copied", COPIED "read s0 0 8\n", 10, BEFORE, spoil_copy, false, 0,
	  "m:10: snapshot 0: sector 3 reads as write 2" },
	{ "snapshot, read by nobody", COPIED "flush ms\n", 10, BEFORE, spoil_copy, false, 0,
	  "at the end: snapshot 0: sector 3 reads as write 2" },
	{ "snapshot without a device, read by nobody", BASE "write ms 0 8 fill=2\nflush ms\n", 9, BEFORE,
	  spoil_copy, false, 0, "at the end: snapshot 0: sector 3 reads as write 2" },
	{ "snapshot of a removed target", BASE "write ms 0 8 fill=2\ndmsetup remove ms\n", 9, BEFORE,
	  spoil_copy, false, 0, "at the end: snapshot 0: sector 3 reads as write 2" },
	{ "origin of a removed target", BASE "dmsetup remove ms\n", 8, BEFORE, spoil_origin, false, 0,
	  "at the end: origin: sector 3 reads as write 77" },
	{ "snapshot, newer than its suspend", COPIED "read s0 0 8\n", 10, AFTER, read_newer, false, 0,
	  "m:10: snapshot 0: sector 0 reads as write 2" },
	{ "snapshot, older than its suspend", COPIED "read s0 0 8\n", 10, AFTER, read_zeroes, false, 0,
	  "m:10: snapshot 0: sector 0 reads as zero" },
	{ "sub-snapshot without its master's own",
	  BASE DEVICE "write s0 0 8 fill=3\ndmsetup message ms 0 create_subsnap 0\ndmsetup suspend ms\n"
		      "dmsetup resume ms\ndmsetup create s --table \"0 24 multisnap-snap origin 0.0\"\nread s 0 8\n",
	  14, AFTER, read_zeroes, false, 0, "m:14: snapshot 0.0: sector 0 reads as zero" },
	{ "master with what its sub-snapshot wrote",
	  BASE DEVICE "dmsetup message ms 0 create_subsnap 0\ndmsetup suspend ms\ndmsetup resume ms\n"
		      "dmsetup create s --table \"0 24 multisnap-snap origin 0.0\"\nwrite s 0 8 fill=3\nread s0 0 8\n",
	  14, AFTER, read_own, false, 0, "m:14: snapshot 0: sector 0 reads as write 3" },
	{ "store", BASE "dmsetup message ms 0 settle\nflush ms\n", 9, BEFORE, spoil_superblock, false, 0,
	  "at the end: store" },
	{ "lost snapshot", BASE "dmsetup message ms 0 settle\n", 8, BEFORE, delete_0, false, 0,
	  "snapshot 0 is missing" },
	{ "lost snapshot, in a block", BASE "parallel {\nflush ms\nflush ms\n}\n", 9, BEFORE, delete_0, false, 0,
	  "snapshot 0 is missing" },
	{ "lost snapshot, nobody asks", BASE "flush ms\n", 8, BEFORE, delete_0, false, 0,
	  "snapshot 0 is missing" },
	{ "snapshot not asked for", BASE "dmsetup message ms 0 settle\n", 8, BEFORE, create_secretly, false, 0,
	  "snapshot 1 exists and should not" },
	{ "deleted snapshot that is there", BASE "dmsetup message ms 0 delete 9\ndmsetup message ms 0 delete 0\n", 9,
	  AFTER, create_secretly, false, 0, "snapshot 1 exists and should not" },
	{ "prepared, not asked for", BASE "dmsetup message ms 0 settle\n", 8, BEFORE, prepare_secretly, false, 0,
	  "1 is prepared, and nobody has asked for it" },
	{ "create of nothing", BASE "dmsetup message ms 0 create\n", 8, AFTER, drop_prepared, false, 0,
	  "a create succeeded, and nothing is prepared" },
	{ "suspend that creates nothing", BASE CREATE, 9, BETWEEN, drop_prepared, false, 0,
	  "the prepared snapshot was not created" },
	{ "suspend that creates nothing, in a block", BASE "parallel {\n{\n" CREATE "}\nflush ms\n}\n", 11, BETWEEN,
	  drop_prepared, false, 0, "the prepared snapshot was not created" },
	{ "error of a read", BASE "read ms 0 8\n", 8, AFTER, nothing, true, -EIO, "m:8: read of ms at 0 failed" },
	{ "error of a write", BASE "write ms 0 8 fill=2\n", 8, AFTER, nothing, true, -EIO,
	  "m:8: write of 8 sectors of ms at 0 failed without a reason" },
	{ "error of a flush", BASE "flush ms\n", 8, AFTER, nothing, true, -EIO, "m:8: flush of ms at 0 failed" },
	{ "error of a snapshot", COPIED "read s0 0 8\n", 10, AFTER, nothing, true, -EIO,
	  "m:10: read of 8 sectors of s0 at 0 failed without a reason" },
	{ "error in a block", COPIED "parallel {\nread s0 0 8\nread ms 0 8\n}\n", 11, AFTER, nothing, true, -EIO,
	  "m:11: read of 8 sectors of s0 at 0 failed without a reason" },
	{ "another error than EIO", COPIED "dmsetup message ms 0 delete 0\nread s0 0 8\n", 11, AFTER, nothing, true,
	  -ENOMEM, "m:11: read of s0 at 0 failed with ENOMEM, not EIO" },
	{ "read of a deleted snapshot", COPIED "dmsetup message ms 0 delete 0\nread s0 0 8\n", 11, AFTER, nothing, true,
	  0, "m:11: read of s0 at 0 succeeded, EIO was due" },
	{ "read of a snapshot without its target", COPIED "dmsetup remove ms\nread s0 0 8\n", 11, AFTER, nothing, true,
	  0, "m:11: read of s0 at 0 succeeded, EIO was due" },
	{ "snapshot given up", COPIED GIVEN_UP "read s0 0 8\n", 14, AFTER, nothing, true, 0,
	  "m:14: read of s0 at 0 succeeded, EIO was due" },
	{ "write where errors stop the origin",
	  ORIGIN PRESERVE CREATE GIVEN_UP "write ms 0 8 fill=4\n", 11, AFTER, nothing, true, 0,
	  "m:11: write of ms at 0 succeeded, EIO was due" },
	{ "write to an origin whose snapshots were given up",
	  COPIED GIVEN_UP "write ms 0 8 fill=4\n", 14, AFTER, nothing, true, -EIO,
	  "m:14: write of 8 sectors of ms at 0 failed without a reason" },
	{ "no end", BASE "flush ms\nread ms 0 8\n", 9, BETWEEN, keep_silent, false, 0, "m:9: did not end" },
	{ "error of a message", BASE "dmsetup message ms 0 settle\n", 8, AFTER, nothing, true, -EIO,
	  "m:8: dmsetup message ms 0 settle: EIO without a reason" },
	{ "error of a delete", BASE "expect-error EINVAL dmsetup message ms 0 delete 5\n", 8, AFTER, nothing, true,
	  -ENOMEM, "ENOMEM without a reason" },
	{ "error of a create", BASE "expect-error EINVAL dmsetup message ms 0 create_subsnap 5\n", 8, AFTER, nothing,
	  true, -ENOSPC, "ENOSPC without a reason" },
	{ "error of a device", BASE "expect-error EINVAL dmsetup create s --table \"0 24 multisnap-snap origin x\"\n", 8,
	  AFTER, nothing, true, -ENOMEM, "ENOMEM without a reason" },
	{ "error of a suspend", BASE "dmsetup suspend ms\n", 8, AFTER, nothing, true, -EIO, "EIO without a reason" },
	{ "error of a load", ORIGIN LOAD, 3, AFTER, nothing, true, -EIO, "EIO without a reason" },
	{ "delete of no snapshot", BASE "expect-error EINVAL dmsetup message ms 0 delete 5\n", 8, AFTER, nothing, true, 0,
	  "delete 5 succeeded, and there is no such snapshot" },
	{ "sub-snapshot of no snapshot", BASE "expect-error EINVAL dmsetup message ms 0 create_subsnap 5\n", 8, AFTER,
	  nothing, true, 0, "create_subsnap 5 succeeded, and there is no such snapshot" },
	{ "nonsense", BASE "expect-error EINVAL dmsetup message ms 0 create 5 6\n", 8, AFTER, nothing, true, 0,
	  "a message of nonsense was taken" },
	{ "error without a reason", COPIED "write ms 8 8 fill=3\nflush ms\ndmsetup message ms 0 settle\n", 10, BEFORE,
	  fail_unseen, false, 0, "status of ms: EIO without a reason" },
	{ "error that is forgotten",
	  ORIGIN PRESERVE CREATE GIVEN_UP "dmsetup message ms 0 settle\n", 11, BEFORE, reload_secretly, false, 0, "the error EIO is forgotten" },
};

/* In a process of its own: nobody cleans up after a finding. */
static void find(const struct mistake *m, char *text, size_t size)
{
	struct played p = {
		.name = "m", .text = m->text, .hooks = &lying_hooks, .disk_top = unseen_layer,
	};
	char *shared = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	const char *what;
	int status;
	pid_t pid;

	assert_ptr_not_equal(shared, MAP_FAILED);
	fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		mistake = m;
		what = play(&p);
		snprintf(shared, size, "%s", what ? what : p.failed);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	snprintf(text, size, "%s", shared);
	munmap(shared, size);
}

static void test_mistakes(void **state)
{
	char text[1024];
	unsigned int missed = 0;

	for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++) {
		const struct mistake *m = &mistakes[i];
		struct mistake none = *m;

		find(m, text, sizeof(text));
		if (!strstr(text, m->found)) {
			print_error("%s: \"%s\", not \"%s\"\n", m->name, text, m->found);
			missed++;
		}
		/* And nothing where there is none. */
		none.line = 0;
		find(&none, text, sizeof(text));
		if (text[0]) {
			print_error("%s: without a mistake: \"%s\"\n", m->name, text);
			missed++;
		}
	}
	assert_int_equal(missed, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_crash_scripts),
		cmocka_unit_test(test_scenarios),
		cmocka_unit_test(test_explored_scenarios),
		cmocka_unit_test(test_all_at_once),
		cmocka_unit_test(test_mistakes),
	};

	return cmocka_run_group_tests_name("the judge of scripts", tests, NULL, NULL);
}
