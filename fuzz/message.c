// SPDX-License-Identifier: GPL-2.0
/*
 * Fuzz target message: messages to living devices, judged by a model of what they may do.
 *
 * Each line of the input is a message to the origin device, or one of:
 *
 *   !suspend  !resume  !write  !reload     the device's life; a write to the origin; removed and created again
 *   !snap ID                               creates the snapshot device "snap"
 *   !to TEXT                               a message to that device, which knows none
 *
 * The model is the documentation: what is malformed is refused with EINVAL or ERANGE and changes nothing; create gives
 * a number that no snapshot had, which is there after the next suspend and nothing else is; delete removes what it names,
 * and nothing else; all of it is still so after the table was loaded anew.
 */
#include "small_world.h"
#include "status.h"

#define ORIGIN_SECTORS 2048
#define STORE_SECTORS 16384
#define TABLE "0 2048 multisnapshot origin store 16 0 mikulas 0"
/* Each may cost a commit, a checkpoint, a pass that frees space. */
#define MAX_LINES 48

static struct {
	struct target_status st;	/* as it was after the last line */
	snapid_t given[MAX_LINES];	/* ids of snapshots that have existed */
	unsigned int nr_given;
	u64 writes;
	char line[1024];
} now;

static const uint8_t *input;
static size_t input_size;

#define require(condition, what)                                                                        \
	do {                                                                                            \
		if (!(condition))                                                                       \
			sim_fail("message: %s: \"%s\"", what, now.line);                                \
	} while (0)

static bool has_id(const struct target_status *st, snapid_t id)
{
	for (unsigned int i = 0; i < st->nr; i++)
		if (st->ids[i] == id)
			return true;
	return false;
}

/* The ids of @a are those of @b and, unless it is SNAPID_ORIGIN, @more. */
static bool same_ids(const struct target_status *a, const struct target_status *b, snapid_t more)
{
	for (unsigned int i = 0; i < b->nr; i++)
		if (!has_id(a, b->ids[i]))
			return false;
	return more == SNAPID_ORIGIN ? a->nr == b->nr : a->nr == b->nr + 1 && has_id(a, more);
}

static void ask(struct target_status *st)
{
	require(target_status_ask("ms", st), "no status");
	require(!st->error, "an error, though nothing has failed");
	require(st->allocated <= st->total && st->metadata <= st->allocated, "sizes that cannot be");
	for (unsigned int i = 0; i < st->nr; i++)
		for (unsigned int k = 0; k < i; k++)
			require(st->ids[i] != st->ids[k], "a snapshot is listed twice");
}

static void given(snapid_t id)
{
	for (unsigned int i = 0; i < now.nr_given; i++)
		require(now.given[i] != id, "a number is given a second time");
	now.given[now.nr_given++] = id;
}

/* Digits without superfluous zeroes: a snapshot has one name. */
static bool read_half(const char *word, u64 *value)
{
	return is_number(word, value) && (*word != '0' || !word[1]);
}

/* A snapid as the documentation has it: "7", or "7.0". */
static bool read_id(const char *word, snapid_t *id)
{
	char first[sizeof(now.line)];
	const char *dot = strchr(word, '.');
	u64 high, low = U32_MAX;

	snprintf(first, sizeof(first), "%.*s", (int)(dot ? (size_t)(dot - word) : strlen(word)), word);
	if (!read_half(first, &high) || (dot && !read_half(dot + 1, &low)))
		return false;
	/* All ones are for what is no sub-snapshot, and for the origin. */
	if (high >= U32_MAX || low > U32_MAX || (dot && low == U32_MAX))
		return false;
	*id = high << 32 | low;
	return true;
}

/* ---- messages ---- */

static void check_created(int r, bool known, snapid_t master, const struct target_status *after)
{
	require(same_ids(after, &now.st, SNAPID_ORIGIN), "create has changed the snapshots");
	if (r) {
		require(after->prepared == SNAPID_ORIGIN, "a failed create leaves a number");
		require(r == -EINVAL || r == -ERANGE || r == -ENOSPC, "create fails with another error");
		/* Whether a snapshot takes sub-snapshots is the store's to say. */
		require(!known || master != SNAPID_ORIGIN || r == -ENOSPC, "create fails");
		return;
	}
	require(known, "a create that is malformed is taken");
	require(after->prepared != SNAPID_ORIGIN, "create gives no number");
	require(snapid_master(after->prepared) == master, "the number is below another snapshot");
	require(master == SNAPID_ORIGIN || has_id(&now.st, master), "a snapshot of one that is not there");
	for (unsigned int i = 0; i < now.nr_given; i++)
		require(now.given[i] != after->prepared, "a number is given again");
}

static void check_deleted(int r, bool known, snapid_t id, const struct target_status *after)
{
	require(after->prepared == now.st.prepared, "delete has changed what is prepared");
	if (!r) {
		require(known && has_id(&now.st, id), "delete takes what is not there");
		require(!has_id(after, id) && same_ids(&now.st, after, id), "another snapshot was deleted");
		return;
	}
	require(r == -EINVAL || (!known && r == -ERANGE), "delete fails with another error");
	require(!known || !has_id(&now.st, id), "a snapshot is not deleted");
	require(same_ids(after, &now.st, SNAPID_ORIGIN), "a failed delete has changed the snapshots");
}

static void message(const char *text)
{
	bool plain = is_plain(text), known = true;
	char copy[sizeof(now.line)], *words[3];
	struct target_status after;
	snapid_t id = SNAPID_ORIGIN;
	unsigned int n;
	int r = dmctl_message("ms", text);

	ask(&after);
	snprintf(copy, sizeof(copy), "%s", text);
	n = split_words(copy, words, 3);
	if (plain) {
		if (n == 2)
			known = read_id(words[1], &id);
		if (n == 1 && !strcasecmp(words[0], "create")) {
			check_created(r, true, SNAPID_ORIGIN, &after);
		} else if (n == 2 && !strcasecmp(words[0], "create_subsnap")) {
			check_created(r, known, id, &after);
		} else if (n == 2 && !strcasecmp(words[0], "delete")) {
			check_deleted(r, known, id, &after);
		} else {
			bool settle = n == 1 && !strcasecmp(words[0], "settle");

			require(r == (settle ? 0 : -EINVAL), "another answer than is documented");
			require(same_ids(&after, &now.st, SNAPID_ORIGIN) && after.prepared == now.st.prepared,
				"something has changed");
		}
	}
	now.st = after;
}

/* ---- the life of the device ---- */

/* A suspend, or a removal, has made what was prepared. */
static void check_made(void)
{
	struct target_status after;
	snapid_t id = now.st.prepared;

	ask(&after);
	require(after.prepared == SNAPID_ORIGIN, "what was prepared is so still");
	/* Its master was deleted meanwhile: there is nothing to be made. */
	if (id != SNAPID_ORIGIN && snapid_master(id) != SNAPID_ORIGIN && !has_id(&now.st, snapid_master(id)))
		id = SNAPID_ORIGIN;
	require(same_ids(&after, &now.st, id), "the snapshots are not those from before and the one prepared");
	if (id != SNAPID_ORIGIN)
		given(id);
	now.st = after;
}

static void reload(void)
{
	const char *error = NULL;

	if (dmctl_suspended("ms"))
		require(!dmctl_resume("ms"), "resume fails");
	require(!world_device_remove("ms"), "the device cannot be removed");
	require(!world_device_create("ms", TABLE, &error), "the store cannot be loaded again");
	check_made();
	if (world_device_exists("snap"))
		require(!world_device_remove("snap"), "the snapshot device cannot be removed");
}

static void write_chunk(void)
{
	struct block_device *bdev = disk_bdev("ms");
	sector_t sector = now.writes * 16 % ORIGIN_SECTORS;
	tag_t tags[8];

	if (dmctl_suspended("ms"))
		return;
	now.writes++;
	for (unsigned int i = 0; i < 8; i++)
		tags[i] = tag_make(now.writes, sector + i);
	require(!sim_bio_wait(sim_bio_alloc(bdev, REQ_OP_WRITE, sector, 8, tags)), "a write fails");
}

static void snapshot_device(const char *text)
{
	char table[sizeof(now.line) + 64];
	snapid_t id;
	int r;

	snprintf(table, sizeof(table), "0 2048 multisnap-snap origin %s", text);
	if (world_device_exists("snap"))
		require(!world_device_remove("snap"), "the snapshot device cannot be removed");
	r = world_device_create("snap", table, NULL);
	if (is_plain(text) && !strchr(text, ' '))
		require(!r == (read_id(text, &id) && has_id(&now.st, id)),
			"a snapshot device for what is not there, or none for what is");
}

static void command(const char *text)
{
	if (!strcmp(text, "suspend")) {
		if (dmctl_suspended("ms"))
			return;
		require(!dmctl_suspend("ms", 0), "suspend fails");
		check_made();
	} else if (!strcmp(text, "resume")) {
		require(!dmctl_resume("ms"), "resume fails");
	} else if (!strcmp(text, "reload")) {
		reload();
	} else if (!strcmp(text, "write")) {
		write_chunk();
	} else if (!strncmp(text, "snap ", 5)) {
		snapshot_device(text + 5);
	} else if (!strncmp(text, "to ", 3) && world_device_exists("snap")) {
		require(dmctl_message("snap", text + 3), "a snapshot device takes a message");
	}
}

static void play(void *arg)
{
	const char *error;

	small_disk("origin", ORIGIN_SECTORS, 512);
	small_disk("store", STORE_SECTORS, 512);
	require(!world_device_create("ms", TABLE, &error), "the device cannot be made");
	ask(&now.st);
	for (unsigned int n = 0; n < MAX_LINES && next_line(&input, &input_size, now.line, sizeof(now.line)); n++) {
		if (now.line[0] == '!')
			command(now.line + 1);
		else
			message(now.line);
	}
	reload();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	input = data;
	input_size = size;
	memset(&now, 0, sizeof(now));
	small_world(play, NULL);
	return 0;
}
