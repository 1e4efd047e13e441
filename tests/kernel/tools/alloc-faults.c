// SPDX-License-Identifier: GPL-2.0
/*
 * alloc-faults ORIGIN STORE: every allocation that the two targets make in the caller's context fails once, in turn.
 *
 * Method. Device-mapper's ioctls are called directly; before the one under test "the n-th allocation of this thread
 * fails" is set in /proc/thread-self/fail-nth, for n = 1, 2, ... until the ioctl ends without having met it. A
 * call that met it either succeeds (the allocation could be done without) or gives an errno; then the same call
 * without a fault must succeed, and what it made must work. The kernel's own checkers (KASAN, lockdep, kmemleak) judge the rest.
 *
 * Invariant between two rounds: no device of ours exists, the store device is as at the begin of the round or
 * made anew, and a whole life of a snapshot goes through.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/dm-ioctl.h>
#include <linux/fs.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <unistd.h>

enum { BUFFER = 16384, CHUNK = 4096, ROUNDS_MAX = 3000 };

static int control, fail_nth;
static const char *origin, *store;
static unsigned long long origin_sectors;

static union {
	struct dm_ioctl h;
	char bytes[BUFFER];
} io;

/* ---- faults ---- */

static void fault_set(unsigned int n)
{
	char text[16];
	int length = snprintf(text, sizeof(text), "%u", n);

	if (pwrite(fail_nth, text, length, 0) != length)
		err(2, "fail-nth");
}

/* Was the n-th allocation reached? Then the counter is zero. */
static bool fault_met(void)
{
	char text[16] = "";

	if (pread(fail_nth, text, sizeof(text) - 1, 0) <= 0)
		err(2, "fail-nth");
	return atoi(text) == 0;
}

/* ---- device-mapper ---- */

static void prepare(const char *name)
{
	memset(&io, 0, sizeof(io));
	io.h.version[0] = DM_VERSION_MAJOR;
	io.h.data_size = sizeof(io);
	io.h.data_start = sizeof(io.h);
	if (name)
		snprintf(io.h.name, sizeof(io.h.name), "%s", name);
}

static int call(unsigned long command)
{
	return ioctl(control, command, &io) ? -errno : 0;
}

static int dev_create(const char *name)
{
	prepare(name);
	return call(DM_DEV_CREATE);
}

static int dev_remove(const char *name)
{
	prepare(name);
	return call(DM_DEV_REMOVE);
}

static int table_load(const char *name, const char *type, const char *params)
{
	struct dm_target_spec *spec;

	prepare(name);
	io.h.target_count = 1;
	spec = (void *)(io.bytes + sizeof(io.h));
	spec->length = origin_sectors;
	snprintf(spec->target_type, sizeof(spec->target_type), "%s", type);
	strcpy((char *)(spec + 1), params);
	return call(DM_TABLE_LOAD);
}

static int table_clear(const char *name)
{
	prepare(name);
	return call(DM_TABLE_CLEAR);
}

static int suspend(const char *name, bool on)
{
	prepare(name);
	io.h.flags = on ? DM_SUSPEND_FLAG : 0;
	return call(DM_DEV_SUSPEND);
}

static int message(const char *name, const char *text)
{
	struct dm_target_msg *msg;

	prepare(name);
	msg = (void *)(io.bytes + sizeof(io.h));
	msg->sector = 0;
	strcpy(msg->message, text);
	return call(DM_TARGET_MSG);
}

/* The status line (or the table's) of the only target is left in `io`. */
static const char *status(const char *name, bool table)
{
	prepare(name);
	io.h.flags = table ? DM_STATUS_TABLE_FLAG : 0;
	if (call(DM_TABLE_STATUS) || !io.h.target_count)
		return NULL;
	return io.bytes + io.h.data_start + sizeof(struct dm_target_spec);
}

/* ---- the operations ---- */

static int load_origin(void)
{
	char params[256];

	snprintf(params, sizeof(params), "%s %s 8 0 mikulas 0", origin, store);
	return table_load("afm", "multisnapshot", params);
}

static int load_origin_sync(void)
{
	char params[256];

	snprintf(params, sizeof(params), "%s %s 8 2 sync-snapshots preserve-on-error mikulas 2 cache-limit 8192 2 0 1", origin, store);
	return table_load("afm", "multisnapshot", params);
}

static int load_snap(void)
{
	char params[256];

	snprintf(params, sizeof(params), "%s 0", origin);
	return table_load("afs", "multisnap-snap", params);
}

static int resume_origin(void) { return suspend("afm", false); }
static int suspend_origin(void) { return suspend("afm", true); }
static int resume_snap(void) { return suspend("afs", false); }
static int message_create(void) { return message("afm", "create"); }
static int message_subsnap(void) { return message("afm", "create_subsnap 0"); }
static int message_delete(void) { return message("afm", "delete 0"); }
static int message_settle(void) { return message("afm", "settle"); }
static int get_status(void) { return status("afm", false) ? 0 : -errno; }
static int get_table(void) { return status("afm", true) ? 0 : -errno; }
static int remove_origin(void) { return dev_remove("afm"); }
static int remove_snap(void) { return dev_remove("afs"); }

/* Open devices of ours, for the writes: opening is the block layer's, and done before the fault is set. */
static int origin_fd = -1, snap_fd = -1;
static void *chunk_data;

static int open_device(const char *name)
{
	char node[64];
	int fd;

	prepare(name);
	if (call(DM_DEV_STATUS))
		err(1, "status of %s", name);
	snprintf(node, sizeof(node), "/dev/dm-%d", (int)minor(io.h.dev));
	fd = open(node, O_RDWR | O_DIRECT);
	if (fd < 0)
		err(1, "open %s", node);
	return fd;
}

static void close_device(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static int write_chunk(int fd, unsigned int chunk)
{
	memset(chunk_data, (int)chunk, CHUNK);
	return pwrite(fd, chunk_data, CHUNK, (off_t)chunk * CHUNK) == CHUNK ? 0 : -errno;
}

static int write_origin(void) { return write_chunk(origin_fd, 1); }
static int write_snap(void) { return write_chunk(snap_fd, 2); }

/* ---- states to begin in ---- */

static void must(int r, const char *what)
{
	if (r)
		errx(1, "%s gives %d (%s) without a fault", what, r, strerror(-r));
}

/* The device is gone, or was never there. */
static void gone(const char *name)
{
	int r = dev_remove(name);

	if (r && r != -ENXIO)
		errx(1, "remove %s: %s", name, strerror(-r));
}

static void begin_nothing(void)
{
	void *zero = calloc(1, CHUNK);
	int fd = open(store, O_WRONLY | O_SYNC);

	close_device(&snap_fd);
	close_device(&origin_fd);
	gone("afs");
	gone("afm");
	if (fd < 0 || !zero || pwrite(fd, zero, CHUNK, 0) != CHUNK || close(fd))
		err(1, "%s", store);
	free(zero);
	must(dev_create("afm"), "create the device");
}

static void begin_loaded(void)
{
	begin_nothing();
	must(load_origin(), "load the origin's table");
}

static void begin_sync_loaded(void)
{
	begin_nothing();
	must(load_origin_sync(), "load the origin's table with sync-snapshots");
}

static void begin_running(void)
{
	begin_loaded();
	must(resume_origin(), "resume the origin");
}

static void begin_prepared(void)
{
	begin_running();
	must(message_create(), "message create");
}

static void begin_suspended(void)
{
	begin_prepared();
	must(suspend_origin(), "suspend the origin");
}

static void begin_snapshot(void)
{
	begin_suspended();
	must(resume_origin(), "resume the origin with a snapshot");
	must(dev_create("afs"), "create the snapshot's device");
}

static void begin_reload(void)
{
	begin_snapshot();
	origin_fd = open_device("afm");
	must(write_origin(), "write to the origin");
	close_device(&origin_fd);
	gone("afs");
	gone("afm");
	must(dev_create("afm"), "create the device");
}

static void begin_snap_loaded(void)
{
	begin_snapshot();
	must(load_snap(), "load the snapshot's table");
}

static void begin_snap_running(void)
{
	begin_snap_loaded();
	must(resume_snap(), "resume the snapshot");
}

static void begin_open(void)
{
	begin_snap_running();
	origin_fd = open_device("afm");
	snap_fd = open_device("afs");
}

struct operation {
	const char *name;
	void (*begin)(void);
	int (*run)(void);
	/* What a failed call may have left behind, to be undone before it is called again; NULL: nothing. */
	int (*undo)(void);
	/* Begin anew instead of calling it again: the errors it met stick, as the specification says. */
	bool sticks;
};

static int clear_origin(void) { return table_clear("afm"); }
static int clear_snap(void) { return table_clear("afs"); }

static const struct operation operations[] = {
	{ "load the origin's table", begin_nothing, load_origin, clear_origin, false },
	{ "load it with all arguments", begin_nothing, load_origin_sync, clear_origin, false },
	{ "load the table of a store in use before", begin_reload, load_origin, clear_origin, false },
	{ "first resume: format", begin_loaded, resume_origin, NULL, true },
	{ "first resume with sync-snapshots", begin_sync_loaded, resume_origin, NULL, true },
	{ "message create", begin_running, message_create, NULL, true },
	{ "suspend: the snapshot is created", begin_prepared, suspend_origin, NULL, true },
	{ "resume", begin_suspended, resume_origin, NULL, true },
	{ "load the snapshot's table", begin_snapshot, load_snap, clear_snap, false },
	{ "resume the snapshot", begin_snap_loaded, resume_snap, NULL, true },
	{ "write to the origin: copy", begin_open, write_origin, NULL, true },
	{ "write to the snapshot: copy", begin_open, write_snap, NULL, true },
	{ "message create_subsnap", begin_snap_running, message_subsnap, NULL, true },
	{ "message delete", begin_snap_running, message_delete, NULL, true },
	{ "message settle", begin_snap_running, message_settle, NULL, true },
	{ "status", begin_snap_running, get_status, NULL, false },
	{ "table", begin_snap_running, get_table, NULL, false },
	{ "remove the snapshot", begin_snap_running, remove_snap, NULL, true },
	{ "remove the origin", begin_snapshot, remove_origin, NULL, true },
};

/* A whole life, without faults. */
static void usable(void)
{
	begin_open();
	must(write_origin(), "write to the origin");
	must(write_snap(), "write to the snapshot");
	close_device(&snap_fd);
	close_device(&origin_fd);
	must(remove_snap(), "remove the snapshot's device");
	must(message_delete(), "message delete");
	must(message_settle(), "message settle");
	must(remove_origin(), "remove the origin's device");
}

static void try_all(const struct operation *op)
{
	unsigned int n, failed = 0, done_without = 0;

	op->begin();
	for (n = 1; n <= ROUNDS_MAX; n++) {
		bool met;
		int r;

		fault_set(n);
		r = op->run();
		met = fault_met();
		fault_set(0);
		if (!met) {
			must(r, op->name);
			break;
		}
		if (r)
			failed++;
		else
			done_without++;
		if (op->sticks) {
			op->begin();
			continue;
		}
		if (op->undo && !r)
			must(op->undo(), "undo");
		must(op->run(), op->name);
		if (op->undo)
			must(op->undo(), "undo");
	}
	if (n > ROUNDS_MAX)
		errx(1, "%s: more than %d allocations", op->name, ROUNDS_MAX);
	printf("%s: %u allocations, %u gave an error, %u were done without\n", op->name, n - 1, failed, done_without);
	fflush(stdout);
	usable();
}

int main(int argc, char **argv)
{
	int fd;

	if (argc < 3)
		errx(2, "usage: alloc-faults ORIGIN STORE [OPERATION'S NAME]");
	origin = argv[1];
	store = argv[2];
	control = open("/dev/mapper/control", O_RDWR);
	if (control < 0)
		err(2, "/dev/mapper/control");
	fail_nth = open("/proc/thread-self/fail-nth", O_RDWR);
	if (fail_nth < 0)
		err(2, "/proc/thread-self/fail-nth: a kernel with fault injection, please");
	fd = open(origin, O_RDONLY);
	if (fd < 0 || ioctl(fd, BLKGETSIZE64, &origin_sectors))
		err(2, "%s", origin);
	close(fd);
	origin_sectors /= 512;
	if (posix_memalign(&chunk_data, CHUNK, CHUNK))
		errx(2, "no memory");

	usable();
	for (size_t i = 0; i < sizeof(operations) / sizeof(*operations); i++)
		if (argc < 4 || !strcmp(argv[3], operations[i].name))
			try_all(&operations[i]);
	return 0;
}
