// SPDX-License-Identifier: GPL-2.0
/*
 * Fuzz target table: the constructors of both targets.
 *
 * Each line of the input is a table, of which a device is made. A second parser, written from the documentation alone
 * (expect()), says whether the table must be refused, must be taken, or whether that depends on more than it looks at. What
 * was taken prints a status that can be read back, and a table that makes the same device again, which prints the same table.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* memmem(), strcasestr() */
#endif
#include "small_world.h"
#include "status.h"

#define MAX_LINES 6
#define MAX_WORDS 64
#define MAX_CHUNK (1 << 21) /* sectors: the largest power of two of not more than INT_MAX bytes */
/* The smallest that mikulas can take, whatever the device. */
#define MIN_CHUNK 8

enum verdict { REFUSED, EITHER, TAKEN };

static const struct kind {
	const char *name;
	sector_t sectors;
	unsigned int block_size;
	bool can_store;	/* large enough, and may be formatted */
} kinds[] = {
	{ "origin", 2048, 512, false },
	{ "store", 16384, 512, true },
	{ "small", 101, 512, false },
	{ "big", 16384, 4096, true },
	{ "junk", 16384, 512, false },	/* its first sector is not zero */
	{ "old", 16384, 512, false },	/* formatted, for "origin", with chunks of 16 sectors */
};
#define NR_KINDS (sizeof(kinds) / sizeof(kinds[0]))
#define OLD_TABLE "0 2048 multisnapshot origin old 16 0 mikulas 0"
static const char *const old_ids[] = { "0", "1.0", "1" };

/* The disk "old" */
static struct sector {
	sector_t at;
	u8 bytes[SECTOR_SIZE];
} *old;
static size_t nr_old;

static const uint8_t *input;
static size_t input_size;
static char line[2048];
/* A table names a device of device-mapper, by its number. */
#define DM_MAJOR_TEXT "253:"
static bool stacked;

#define require(condition, what)                                                                        \
	do {                                                                                            \
		if (!(condition))                                                                       \
			sim_fail("table: %s: \"%s\"", what, line);                                      \
	} while (0)

/* ---- what must become of a table ---- */

struct words {
	char text[sizeof(line)];
	char *word[MAX_WORDS];
	unsigned int nr, next;
};

static const char *take(struct words *w)
{
	return w->next < w->nr ? w->word[w->next++] : "";
}

/* A count of words that follow. */
static bool take_count(struct words *w, u64 *count)
{
	return is_number(take(w), count) && *count <= w->nr - w->next;
}

static const struct kind *kind_of(const char *name)
{
	for (size_t i = 0; i < NR_KINDS; i++)
		if (!strcmp(kinds[i].name, name))
			return &kinds[i];
	return NULL;
}

static bool generic_arguments(struct words *w, bool *sync)
{
	u64 count;

	*sync = false;
	if (!take_count(w, &count))
		return false;
	while (count--) {
		const char *word = take(w);

		if (!strcasecmp(word, "sync-snapshots"))
			*sync = true;
		else if (strcasecmp(word, "preserve-on-error"))
			return false;
	}
	return true;
}

static enum verdict store_arguments(struct words *w)
{
	bool limit = false, threshold = false;
	u64 count, value;

	if (!take_count(w, &count) || count % 2)
		return REFUSED;
	for (; count; count -= 2) {
		const char *word = take(w);
		bool *have = !strcasecmp(word, "cache-limit") ? &limit :
			     !strcasecmp(word, "cache-threshold") ? &threshold : NULL;

		/* Bytes fit 64 bits. */
		if (!have || *have || !is_number(take(w), &value) || value > U64_MAX >> SECTOR_SHIFT)
			return REFUSED;
		*have = true;
	}
	return limit ? EITHER : TAKEN; /* how small the limit may be depends on the log */
}

static enum verdict expect_origin(struct words *w, u64 len)
{
	const struct kind *origin = kind_of(take(w)), *store = kind_of(take(w));
	enum verdict verdict;
	const char *type;
	u64 chunk, count;
	bool sync;

	/* Devices can also be named by their numbers. */
	if (!origin || !store)
		return EITHER;
	if (origin == store || len > origin->sectors)
		return REFUSED;
	if (!is_number(take(w), &chunk) || !chunk || chunk & (chunk - 1) || chunk > MAX_CHUNK ||
	    chunk * 512 < origin->block_size || chunk * 512 < store->block_size)
		return REFUSED;
	if (!generic_arguments(w, &sync))
		return REFUSED;
	type = take(w);
	if (!strcmp(type, "model"))
		return EITHER;
	if (strcmp(type, "mikulas") || chunk < MIN_CHUNK)
		return REFUSED;
	verdict = store_arguments(w);
	if (verdict == REFUSED)
		return REFUSED;
	if (sync && (!take_count(w, &count) || count != w->nr - w->next))
		return REFUSED;
	if (!sync && w->next < w->nr)
		return REFUSED;
	if (!strcmp(store->name, "junk") || origin->sectors * 512 % store->block_size)
		return REFUSED;
	if (!strcmp(store->name, "old") && (chunk != 16 || origin->sectors != 2048))
		return REFUSED;
	/* dm itself wants whole blocks of what the target is on. */
	if (len * 512 % origin->block_size || len * 512 % store->block_size)
		return EITHER;
	if (sync || chunk > 64 || !(store->can_store || !strcmp(store->name, "old")))
		return EITHER;
	return verdict;
}

/* What must become of @table, @others: where other devices are there already. */
static enum verdict expect(const char *table, bool others)
{
	enum verdict verdict;
	struct words w = { 0 };
	const char *type;
	u64 start, len;

	if (!is_plain(table))
		return EITHER;
	snprintf(w.text, sizeof(w.text), "%s", table);
	w.nr = split_words(w.text, w.word, MAX_WORDS);
	if (w.nr == MAX_WORDS)
		return EITHER;
	/* dmsetup makes numbers of them, with its own leniency. */
	if (!is_number(take(&w), &start) || !is_number(take(&w), &len))
		return EITHER;
	if (start || !len)
		return REFUSED;
	type = take(&w);
	if (!strcmp(type, "multisnapshot"))
		verdict = expect_origin(&w, len);
	else if (!strcmp(type, "multisnap-snap"))
		verdict = w.nr == 5 && others ? EITHER : REFUSED;
	else
		return EITHER;
	return others && verdict == TAKEN ? EITHER : verdict;
}

/* ---- what was taken ---- */

static void ask(const char *name, status_type_t type, char *text, size_t size)
{
	require(!dmctl_status(name, type, text, size), "no status");
}

static void check_status(const char *name, const char *table)
{
	char text[4096], *rest;
	struct target_status st;

	ask(name, STATUSTYPE_INFO, text, sizeof(text));
	rest = strstr(text, " multisnap-snap");
	if (rest) {
		require(!strcmp(rest, " multisnap-snap ") || !strcmp(rest, " multisnap-snap"),
			"the status of a snapshot is not empty");
		return;
	}
	rest = strstr(text, " multisnapshot ");
	if (!rest)
		return;
	require(target_status_parse(rest + strlen(" multisnapshot "), &st), "the status cannot be read back");
	/* A list that cannot be had is an error. */
	require(!st.error || strcasestr(table, "sync-snapshots"), "an error, though nothing has failed");
	if (strcmp(table, OLD_TABLE))
		return;
	require(st.nr == ARRAY_SIZE(old_ids), "not the snapshots that the store has");
	for (unsigned int i = 0; i < st.nr; i++) {
		char id[32];

		require(snapid_print(id, sizeof(id), st.ids[i]) && !strcmp(id, old_ids[i]),
			"not the snapshots that the store has");
	}
}

/* The table that it prints makes the same device. */
static void make_again(const char *name)
{
	char first[4096], second[4096];
	const char *error = NULL;
	int r;

	ask(name, STATUSTYPE_TABLE, first, sizeof(first));
	r = world_device_remove(name);
	/* In use by one that was made of it, by its number. */
	if (r == -EBUSY && stacked)
		return;
	require(!r, "the device cannot be removed");
	r = world_device_create(name, first, &error);
	snprintf(line, sizeof(line), "%.1024s", first);
	/* A snapshot device outlives its origin; a new one does not come without it. */
	if (r && strstr(first, " multisnap-snap ") && (r == -ENXIO || r == -ENOENT))
		return;
	require(!r, error ? error : "the table that was printed is refused");
	ask(name, STATUSTYPE_TABLE, second, sizeof(second));
	require(!strcmp(first, second), "another table is printed");
	check_status(name, first);
}

static void play(void *arg)
{
	bool formatted = false; /* a disk, perhaps, for a table that was refused later */
	char name[MAX_LINES][4];
	unsigned int nr = 0;

	stacked = false;
	for (unsigned int n = 0; n < MAX_LINES && next_line(&input, &input_size, line, sizeof(line)); n++) {
		enum verdict verdict = expect(line, nr);
		const char *error = NULL;
		int r;

		if (verdict == TAKEN && formatted)
			verdict = EITHER;
		formatted |= verdict == EITHER;
		stacked |= !!strstr(line, DM_MAJOR_TEXT);

		snprintf(name[nr], sizeof(name[nr]), "d%u", nr);
		r = world_device_create(name[nr], line, &error);
		require(!r || verdict != TAKEN, error ? error : "refused, but should be taken");
		require(r || verdict != REFUSED, "taken, but should be refused");
		if (!r)
			check_status(name[nr++], line);
	}
	while (nr--)
		make_again(name[nr]);
}

/* ---- disks ---- */

static void make_disks(bool with_old)
{
	static const tag_t junk = 1ULL << TAG_SECTOR_BITS;

	for (size_t i = 0; i < NR_KINDS; i++)
		small_disk(kinds[i].name, kinds[i].sectors, kinds[i].block_size);
	disk_poke(world_disk_find("junk")->base, 0, 1, &junk);
	for (size_t i = 0; with_old && i < nr_old; i++)
		disk_poke_bytes(world_disk_find("old")->base, old[i].at, 1, old[i].bytes);
}

static void play_input(void *arg)
{
	make_disks(memmem(input, input_size, "old", 3));
	play(NULL);
}

static void format_old(void *arg)
{
	static const char *const messages[] = { "create", "create", "create_subsnap 1" };
	struct world_disk *d;

	make_disks(false);
	snprintf(line, sizeof(line), "%s", OLD_TABLE);
	require(!world_device_create("ms", OLD_TABLE, NULL), "cannot be prepared");
	for (size_t i = 0; i < ARRAY_SIZE(messages); i++) {
		require(!dmctl_message("ms", messages[i]), "cannot be prepared");
		require(!dmctl_suspend("ms", 0) && !dmctl_resume("ms"), "cannot be prepared");
	}
	require(!world_device_remove("ms"), "cannot be prepared");
	d = world_disk_find("old");
	for (sector_t s = disk_next_data(d->base, 0); s < d->sectors; s = disk_next_data(d->base, s + 1)) {
		old = realloc(old, (nr_old + 1) * sizeof(*old));
		if (!old)
			abort();
		old[nr_old].at = s;
		disk_peek_bytes(d->base, s, 1, old[nr_old++].bytes);
	}
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	small_world(format_old, NULL);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	input = data;
	input_size = size;
	small_world(play_input, NULL);
	return 0;
}
