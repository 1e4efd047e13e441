// SPDX-License-Identifier: GPL-2.0
/*
 * The world of a hostile image: the disks, the target on them, and what is judged whatever the image is.
 *
 * - What the offline check calls clean is loaded, shows no error, and is clean afterwards.
 * - What it calls damaged in a way that FORMAT.md has a load find is refused. What is refused was not written to.
 * - The store device is written to where the superblock says that such things are: metadata in superblock, log, maps and
 *   nodes, copies in the data area.
 * - Errors stick; the status is as specified; requests end, and there are not endlessly many.
 */
#include <errno.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "image.h"

/* ---- the story ---- */

static struct {
	char text[64][240];
	unsigned int nr;
} story;

void image_say(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(story.text[story.nr++ % 64], sizeof(story.text[0]), fmt, ap);
	va_end(ap);
}

void image_found(const char *fmt, ...)
{
	va_list ap;

	for (unsigned int i = story.nr > 64 ? story.nr - 64 : 0; i < story.nr; i++)
		fprintf(stderr, "  %s\n", story.text[i % 64]);
	fprintf(stderr, "FOUND: ");
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, "\n");
	abort();
}

static void violation(void *context, const char *what)
{
	image_found("%s", what);
}

static void log_line(void *context, int level, const char *line)
{
	struct image_run *run = context;

	status_least_cache(line, &run->least_cache);
	image_say("log: %s", line);
}

/* ---- who may write where ---- */

static bool is_within(sector_t sector, sector_t sectors, u64 from, u64 to)
{
	return sector >= from && sector + sectors <= to;
}

static void judge_write(struct image_run *run, const struct disk_log_event *ev)
{
	struct super_disk disk;
	u64 from, to;

	disk_peek_bytes(run->store->base, 0, 1, &disk);
	if (memcmp(disk.magic, SUPER_MAGIC, sizeof(disk.magic)))
		return; /* being formatted */
	if (ev->opf & REQ_META) {
		from = le64_to_cpu(disk.log_start) * MBLOCK_SECTORS;
		to = (le64_to_cpu(disk.meta_start) + le64_to_cpu(disk.meta_blocks)) * MBLOCK_SECTORS;
		if (is_within(ev->sector, ev->sectors, from, to) ||
		    is_within(ev->sector, ev->sectors, 0, le32_to_cpu(disk.block_sectors)))
			return;
	} else {
		from = le64_to_cpu(disk.data_start) << le32_to_cpu(disk.chunk_shift);
		to = from + (le64_to_cpu(disk.data_chunks) << le32_to_cpu(disk.chunk_shift));
		if (is_within(ev->sector, ev->sectors, from, to))
			return;
	}
	sim_fail("the store device is written to at sectors %llu+%llu (%s), where it has no business",
		 (unsigned long long)ev->sector, (unsigned long long)ev->sectors,
		 ev->opf & REQ_META ? "metadata" : "data");
}

static void store_event(void *context, const struct disk_log_event *ev)
{
	struct image_run *run = context;

	if (ev->completed)
		return;
	if (++run->requests > IMAGE_REQUESTS_MAX)
		sim_fail("more than %u requests of the store device: does this end?", IMAGE_REQUESTS_MAX);
	if (!ev->sectors || !op_is_write(ev->opf))
		return;
	run->writes++;
	judge_write(run, ev);
}

static struct disk *disk_top(void *context, const char *name, struct disk *top)
{
	return strcmp(name, "store") ? top : disk_log_create(top, store_event, context);
}

/* ---- the offline check ---- */

static int read_image(void *context, u64 sector, u32 sectors, void *buffer)
{
	const struct image_run *run = context;
	struct check_source source;

	for (unsigned int i = 0; run->before && i < run->im->nr_unreadable; i++)
		if (sector < run->im->unreadable[i].sector + run->im->unreadable[i].sectors &&
		    sector + sectors > run->im->unreadable[i].sector)
			return -EIO;
	check_source_disk(&source, "store", run->store->base);
	return source.read(source.context, sector, sectors, buffer);
}

/* All that it can print is printed, too. */
static void check(struct image_run *run, struct check_report *report, char *first, size_t size)
{
	struct check_source source = {
		.name = "store",
		.sectors = run->store->sectors,
		.read = read_image,
		.context = run,
	};
	char *text = NULL;
	size_t length;
	FILE *out = open_memstream(&text, &length);

	if (!out)
		abort();
	memset(report, 0, sizeof(*report));
	report->max_findings = 32;
	check_store(&source, report);
	check_print(report, "store", out);
	if (report->summary.formatted)
		check_print_summary(report, out);
	fclose(out);
	snprintf(first, size, "%.*s", (int)strcspn(text, "\n"), text);
	free(text);
}

static bool is_one_of(const char *word, const char *const *list)
{
	while (*list && strcmp(word, *list))
		list++;
	return *list != NULL;
}

/* FORMAT.md, the ends of sections 2 and 3.2. */
static bool load_must_find(const struct check_finding *f, bool alone)
{
	static const char *const of_log[] = { "seq", "mount", "mount_seq", "changes", "read", NULL };
	/* What only who reads the whole tree and the maps can know. */
	static const char *const of_all[] = { "nr_exceptions", "tree_blocks", "used", NULL };

	/* It may be a consequence. */
	if (strstr(f->what, "but the tree has") && !alone)
		return false;
	/* Nor does a load know that checkpoint 0 is the one that format wrote. */
	if (!strcmp(f->area, CHECK_SUPERBLOCK))
		return !is_one_of(f->field, of_all) && !strstr(f->what, "checkpoint 0") &&
		       !strstr(f->what, "record 1 is to come");
	return !strcmp(f->area, CHECK_LOG) && !strstr(f->place, "op ") && is_one_of(f->field, of_log);
}

static void check_before(struct image_run *run)
{
	struct check_report report;
	char first[200];
	tag_t tag;

	run->before = true;
	check(run, &report, first, sizeof(first));
	run->before = false;
	image_say("the offline check: %s", first);
	run->summary = report.summary;
	/* Each load counts, and there are no more than so many. What cannot be read may come to be needed. */
	run->clean = report.result == CHECK_CLEAN && run->summary.mount < U32_MAX - 64 && !run->im->nr_unreadable;
	disk_peek(run->store->base, 0, 1, &tag);
	run->unformatted = tag == TAG_ZERO;
	for (size_t i = 0; i < report.nr_findings && !run->refuse[0]; i++)
		if (load_must_find(&report.findings[i], report.nr_findings == 1))
			snprintf(run->refuse, sizeof(run->refuse), "%s %s %s %s", report.findings[i].area,
				 report.findings[i].place, report.findings[i].field, report.findings[i].what);
	if (report.result == CHECK_IMPOSSIBLE && !run->unformatted)
		snprintf(run->refuse, sizeof(run->refuse), "%s", report.reason);
	check_report_free(&report);
}

void image_check(struct image_run *run, const char *when)
{
	struct check_report report;
	char first[200];

	check(run, &report, first, sizeof(first));
	/* Marked invalid by itself: that is no damage, where the snapshots were given up. */
	if (run->clean && report.result != CHECK_CLEAN &&
	    !(report.result == CHECK_DAMAGED && report.summary.error && !(run->head->flags & IMAGE_PRESERVE)))
		sim_fail("%s: the store was clean and is not any more: %s", when, first);
	check_report_free(&report);
}

/* ---- the target ---- */

static void make_table(struct image_run *run, u64 limit)
{
	const struct image_head *head = run->head;
	bool eager = head->flags & IMAGE_EAGER;
	char store[96] = "";

	if (eager)
		strcat(store, " cache-threshold 0");
	if (limit)
		snprintf(store + strlen(store), 64, " cache-limit %llu", (unsigned long long)limit);
	snprintf(run->table, sizeof(run->table), "0 %llu multisnapshot origin store %u %s mikulas %d%s",
		 (unsigned long long)run->origin_sectors, run->chunk,
		 head->flags & IMAGE_PRESERVE ? "1 preserve-on-error" : "0", 2 * eager + 2 * !!limit, store);
}

/* Does the table fit the store that the offline check has understood? */
static bool fits(const struct image_run *run)
{
	const struct check_summary *s = &run->summary;

	return s->chunk_sectors == run->chunk && s->origin_sectors == run->origin_sectors &&
	       s->block_sectors * SECTOR_SIZE >= run->im->block && s->device_sectors <= run->store->sectors;
}

static void judge_refused(struct image_run *run, int r, const char *error, u64 writes)
{
	static const int errors[] = { EPERM, EINVAL, ENOSPC, ERANGE, EIO };
	unsigned int i;

	image_say("load %s: %s: %s", run->table, errno_name(r), error ? error : "");
	if (!error || !*error)
		sim_fail("a refused table, and no reason is given");
	if (run->writes != writes)
		sim_fail("a refused store was written to");
	for (i = 0; i < ARRAY_SIZE(errors) && r != -errors[i]; i++)
		;
	/* One that is marked invalid is refused with what it is marked with. */
	if (i == ARRAY_SIZE(errors) && r != -(int)run->summary.error)
		sim_fail("a store is refused with %s", errno_name(r));
	if (run->clean && fits(run))
		sim_fail("a clean store is refused: %s", error);
}

/* 0, or -errno of a store that was refused. */
static int load_once(struct image_run *run)
{
	const char *error = NULL;
	u64 writes = run->writes;
	int r;

	if (world_device_create_empty("ms"))
		sim_fail("no device");
	r = world_device_load("ms", run->table, &error);
	if (r) {
		if (!run->least_cache)
			judge_refused(run, r, error, writes);
		world_device_remove("ms");
		return r;
	}
	if (run->refuse[0])
		sim_fail("a store is loaded that must be refused: %s", run->refuse);
	if (run->writes != writes)
		sim_fail("the constructor writes to the store device");
	r = dmctl_resume("ms");
	image_say("load %s: resume %d", run->table, r);
	if (!r)
		return 0;
	if (run->clean && fits(run))
		sim_fail("a clean store does not resume: %s", errno_name(r));
	world_device_remove("ms");
	return r;
}

bool image_load(struct image_run *run)
{
	int r = 0;

	run->error = 0;
	run->least_cache = 0;
	if (run->head->flags & IMAGE_SMALL_CACHE) {
		make_table(run, 1);
		r = load_once(run);
	}
	make_table(run, run->least_cache);
	run->least_cache = 0;
	r = load_once(run);
	run->refuse[0] = '\0'; /* said of what was there before */
	run->loaded = !r;
	return !r;
}

void image_unload(struct image_run *run)
{
	int r = -EBUSY;

	for (unsigned int i = 0; r == -EBUSY && i < 1000; i++) {
		r = world_device_remove("ms");
		sim_sleep_ns(1000);
	}
	if (r)
		sim_fail("the target cannot be removed: %s", errno_name(r));
	run->loaded = false;
}

void image_status(struct image_run *run, struct target_status *st)
{
	if (!target_status_ask("ms", st))
		sim_fail("the target has no status");
	if (st->total % run->chunk || st->allocated % run->chunk || st->metadata % run->chunk ||
	    st->allocated > st->total || st->metadata > st->allocated || st->total > run->store->sectors)
		sim_fail("status: sizes that cannot be: total %llu allocated %llu metadata %llu",
			 (unsigned long long)st->total, (unsigned long long)st->allocated,
			 (unsigned long long)st->metadata);
	if (run->error && st->error != run->error)
		sim_fail("status: the error was %s and is %s", errno_name(run->error), errno_name(st->error));
	if (run->clean && st->error && st->error != -ENOSPC)
		sim_fail("status: error %s, and the store was clean", errno_name(st->error));
	if (!run->error && st->error)
		image_say("error %s", errno_name(st->error));
	run->error = st->error;
}

int image_io(const char *device, blk_opf_t opf, sector_t sector, u32 sectors, tag_t *tags)
{
	int r = sim_bio_wait(sim_bio_alloc(disk_bdev(device), opf, sector, sectors, tags));

	if (r && r != -EIO)
		sim_fail("%s: a request fails with %s", device, errno_name(r));
	return r;
}

/* ---- the world ---- */

static void fill_store(struct image_run *run)
{
	struct image *im = run->im;
	sector_t first = im->blocks * MBLOCK_SECTORS;
	struct disk *disk = run->store->base;

	for (u64 b = 0; b < im->blocks; b++)
		if (im->used[b] || im->changed[b])
			disk_poke_bytes(disk, b * MBLOCK_SECTORS, MBLOCK_SECTORS, im->bytes + b * MBLOCK_BYTES);
	for (sector_t s = first; s < im->sectors; s += 8)
		if (im->used[s / 8])
			disk_poke(disk, s, min_t(sector_t, 8, im->sectors - s), &im->data[s - first]);
	for (unsigned int i = 0; i < im->nr_unreadable; i++) {
		const struct disk_fault fault = {
			.ops = DISK_OP_READ,
			.start = im->unreadable[i].sector,
			.len = im->unreadable[i].sectors,
			.count = U64_MAX,
			.error = -EIO,
		};

		disk_error_add(run->store->error, &fault);
	}
}

static void choose_sizes(struct image_run *run)
{
	const struct super_disk *disk = (const void *)run->im->bytes;
	const u8 *pristine = run->im->pristine;
	u64 shift = le32_to_cpu(disk->chunk_shift), sectors = le64_to_cpu(disk->origin_sectors);
	size_t from = offsetof(struct super_disk, chunk_shift), to = offsetof(struct super_disk, ckpt);

	run->chunk = run->im->chunk;
	run->origin_sectors = run->im->origin_sectors;
	run->same_areas = !memcmp((const u8 *)disk + from, pristine + from, to - from);
	if (!(run->head->flags & IMAGE_FOLLOWS))
		return;
	if (shift >= 3 && shift <= 8)
		run->chunk = 1U << shift;
	if (sectors && sectors <= TRUTH_SECTORS_MAX && !(sectors % (run->im->block / SECTOR_SIZE)))
		run->origin_sectors = sectors;
}

static void no_thresholds(void)
{
	/* Worlds come and go: memory given back would be asked for again at once. */
	mallopt(M_TRIM_THRESHOLD, 1 << 30);
	mallopt(M_MMAP_THRESHOLD, 1 << 28);
	mallopt(M_TOP_PAD, 64 << 20);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	no_thresholds();
	for (unsigned int i = 0; i < IMAGE_BASES; i++)
		image_base(i);
	return 0;
}

bool image_input(const uint8_t *data, size_t size, struct image_head *head, struct image_edit *edits,
		 const uint8_t **rest, size_t *left)
{
	size_t n;

	if (size < sizeof(*head))
		return false;
	memcpy(head, data, sizeof(*head));
	n = min((size - sizeof(*head)) / sizeof(*edits), (size_t)(head->edits % (IMAGE_EDITS_MAX + 1)));
	head->edits = n;
	memcpy(edits, data + sizeof(*head), n * sizeof(*edits));
	*rest = data + sizeof(*head) + n * sizeof(*edits);
	*left = size - sizeof(*head) - n * sizeof(*edits);
	return true;
}

void image_world(const struct image_head *head, const struct image_edit *edits, void (*body)(void *run))
{
	struct image_run run = { .head = head, .im = image_base(head->base) };
	struct world_options options = {
		.strategy = head->seed ? SIM_RANDOM : SIM_FIFO,
		.seed = head->seed,
		.fail = violation,
		.log = log_line,
		.log_context = &run,
		.disk_top = disk_top,
		.disk_context = &run,
	};
	struct image *im = run.im;

	story.nr = 0;
	image_say("base %u", head->base % IMAGE_BASES);
	image_apply(im, edits, head->edits);
	choose_sizes(&run);
	world_start(&options);
	run.origin = world_disk_add("origin", run.origin_sectors, DISK_RAM, im->block, NULL);
	run.store = world_disk_add("store", im->sectors + (head->flags & IMAGE_LARGER ? 512 : 0), DISK_RAM, im->block,
				   NULL);
	disk_poke(run.origin->base, 0, min(run.origin_sectors, im->origin_sectors), im->origin);
	fill_store(&run);
	check_before(&run);
	sim_thread_start("image", body, &run);
	sim_run();
	world_stop();
	image_restore(im);
}
