// SPDX-License-Identifier: GPL-2.0
/*
 * Rolling snapshots, as an administrator makes them: message create, status (for the number), suspend, resume; and
 * remove, message delete for the oldest. The device is suspended with requests in flight. Suspending waits for
 * all of them, so that when it has returned, everything issued before is in the snapshot: that is where the
 * oracle forks.
 */
#include <stdlib.h>
#include <string.h>

#include "replay_int.h"

/* ---- status ---- */

bool replay_status(struct replay *r, struct replay_status *status)
{
	const char *p;
	int e;

	memset(status, 0, sizeof(*status));
	for (;;) {
		if (!r->status_size) {
			r->status_size = 4096;
			r->status = malloc(r->status_size);
		}
		if (!r->status)
			abort();
		e = dmctl_status(REPLAY_DEVICE, STATUSTYPE_INFO, r->status, r->status_size);
		if (e != -ENOSPC)
			break;
		r->status_size *= 2;
		r->status = realloc(r->status, r->status_size);
	}
	if (e)
		return false;
	p = strstr(r->status, "multisnapshot ");
	p = p ? p + strlen("multisnapshot ") : r->status;
	return sscanf(p, "5 %d %23s %llu %llu %llu %llu", &status->error, status->prepared,
		      &status->total, &status->allocated, &status->metadata,
		      &status->nr_snapshots) == 6;
}

static void note_space(struct replay *r, const struct replay_status *status)
{
	struct replay_result *result = r->result;

	if (status->allocated > result->allocated_peak)
		result->allocated_peak = status->allocated;
	if (status->metadata > result->metadata_peak)
		result->metadata_peak = status->metadata;
	if (status->error && !r->stopped_snapshots) {
		r->stopped_snapshots = true;
		result->error_at = r->issued;
		if (r->oracle)
			oracle_set_state(r->oracle, r->options->preserve_on_error ? ORACLE_STOPPED :
										    ORACLE_DROPPED);
		if (!r->options->quiet)
			sim_message("%s: after %llu requests the target reports %s%s",
				    r->options->trace_name, r->issued, errno_name(status->error),
				    status->error == -ENOSPC ? ": the store is too small" : "");
	}
}

void replay_sample(struct replay *r)
{
	struct replay_result *result = r->result;
	struct replay_status status;
	struct replay_sample *sample;

	if (r->options->no_status || !replay_status(r, &status))
		return;
	note_space(r, &status);
	sample = &result->samples[min(result->nr_samples, REPLAY_SAMPLES - 1u)];
	if (result->nr_samples < REPLAY_SAMPLES)
		result->nr_samples++;
	sample->requests = r->issued;
	sample->time_ns = replay_now_ns(r);
	sample->allocated = status.allocated;
	sample->metadata = status.metadata;
	sample->snapshots = status.nr_snapshots;
}

/* ---- devices of snapshots ---- */

static void device_name(const struct replay_snap *snap, char *name, size_t size)
{
	snprintf(name, size, "snap-%s", snap->text);
}

struct block_device *replay_snap_open(struct replay *r, struct replay_snap *snap)
{
	char name[40], table[128];
	const char *error = NULL;
	int e;

	if (snap->open)
		return snap->bdev;
	device_name(snap, name, sizeof(name));
	snprintf(table, sizeof(table), "0 %llu multisnap-snap origin %s", r->options->origin_sectors,
		 snap->text);
	e = dmctl_create(name);
	if (!e)
		e = dmctl_load(name, table, &error);
	if (!e)
		e = dmctl_resume(name);
	if (e) {
		if (!r->stopped_snapshots) {
			sim_message("%s: snapshot %s cannot be opened: %s%s%s", r->options->trace_name,
				    snap->text, errno_name(e), error ? ": " : "", error ? error : "");
			r->origin_failures++;
		}
		if (dmctl_exists(name))
			dmctl_remove(name);
		return NULL;
	}
	snap->open = true;
	snap->bdev = disk_bdev(name);
	return snap->bdev;
}

static void snap_close(struct replay *r, struct replay_snap *snap)
{
	char name[40];
	int e;

	if (!snap->open)
		return;
	device_name(snap, name, sizeof(name));
	e = dmctl_remove(name);
	if (e)
		sim_fail("%s cannot be removed: %s", name, errno_name(e));
	snap->open = false;
}

void replay_snaps_close(struct replay *r)
{
	for (u64 i = 0; i < r->nr_snaps; i++)
		snap_close(r, &r->snaps[i]);
}

/* ---- making and deleting ---- */

static void admin_failed(struct replay *r, const char *what, int e)
{
	struct replay_status status;

	if (replay_status(r, &status))
		note_space(r, &status);
	if (r->stopped_snapshots)
		return;
	sim_message("%s: after %llu requests: %s: %s", r->options->trace_name, r->issued, what,
		    errno_name(e));
	r->origin_failures++;
}

static struct replay_snap *snap_add(struct replay *r, const char *text, struct replay_snap *master)
{
	struct oracle_device *of = master ? master->oracle : r->origin;
	u64 id = r->result->snapshots_made + r->result->subsnaps_made;
	struct replay_snap *snap;

	if (r->nr_snaps == r->max_snaps) {
		r->max_snaps = r->max_snaps ? r->max_snaps * 2 : 64;
		r->snaps = realloc(r->snaps, r->max_snaps * sizeof(*r->snaps));
		if (!r->snaps)
			abort();
	}
	snap = &r->snaps[r->nr_snaps++];
	memset(snap, 0, sizeof(*snap));
	snprintf(snap->text, sizeof(snap->text), "%s", text);
	snap->sub = of != r->origin;
	if (r->oracle) {
		/* The device is suspended, and all that was issued has ended. */
		snap->oracle = oracle_fork_begin(r->oracle, id, of);
		oracle_fork_end(r->oracle, snap->oracle);
	}
	return snap;
}

/* NULL: failed. @text NULL: ask the status for the number. Numbers of the first level are given in order. */
static struct replay_snap *create(struct replay *r, const char *text, struct replay_snap *master)
{
	struct replay_snap *snap;
	struct replay_status status;
	char message[64], number[24];
	int e;

	if (r->options->no_status && !master) {
		snprintf(number, sizeof(number), "%llu", r->result->snapshots_made);
		text = number;
	}
	if (master)
		snprintf(message, sizeof(message), "create_subsnap %s", master->text);
	else
		snprintf(message, sizeof(message), "create");
	e = dmctl_message(REPLAY_DEVICE, message);
	if (e) {
		admin_failed(r, message, e);
		return NULL;
	}
	if (!text) {
		if (!replay_status(r, &status))
			return NULL;
		note_space(r, &status);
		text = status.prepared;
	}
	e = dmctl_suspend(REPLAY_DEVICE, 0);
	if (e) {
		admin_failed(r, "suspend", e);
		return NULL;
	}
	snap = snap_add(r, text, master);
	e = dmctl_resume(REPLAY_DEVICE);
	if (e)
		sim_fail("the origin does not resume: %s", errno_name(e));
	if (master)
		r->result->subsnaps_made++;
	else
		r->result->snapshots_made++;
	r->nr_first_level += !master;
	if (r->nr_snaps > r->result->snapshots_peak)
		r->result->snapshots_peak = r->nr_snaps;
	return snap;
}

static void delete_snap(struct replay *r, u64 i)
{
	struct replay_snap *snap = &r->snaps[i];
	char message[64];
	int e;

	if (r->options->verify && !r->stopped_snapshots)
		replay_read_back_one(r, snap);
	replay_wait(r, 0);
	snap_close(r, snap);
	snprintf(message, sizeof(message), "delete %s", snap->text);
	e = dmctl_message(REPLAY_DEVICE, message);
	if (e)
		admin_failed(r, message, e);
	if (r->oracle)
		oracle_delete(r->oracle, snap->oracle);
	r->result->snapshots_deleted++;
	r->nr_first_level -= !snap->sub;
	memmove(snap, snap + 1, (r->nr_snaps - i - 1) * sizeof(*snap));
	r->nr_snaps--;
}

/* Delete the oldest of its kind beyond @keep. */
static void delete_beyond(struct replay *r, bool sub, u64 keep)
{
	for (u64 i = 0; keep && i < r->nr_snaps;) {
		u64 nr = sub ? r->nr_snaps - r->nr_first_level : r->nr_first_level;

		if (nr <= keep || r->stopped_snapshots)
			return;
		if (r->snaps[i].sub == sub)
			delete_snap(r, i);
		else
			i++;
	}
}

/* Numbers are given in order, so that thousands need no status each. */
void replay_create_snapshots(struct replay *r, u64 count)
{
	char text[24];

	for (u64 i = 0; i < count && !r->stopped_snapshots; i++) {
		snprintf(text, sizeof(text), "%llu", i);
		if (!create(r, i ? text : NULL, NULL))
			return;
	}
}

void replay_roll(struct replay *r, const struct replay_request *request)
{
	const struct replay_options *o = r->options;
	struct replay_snap *snap;
	u64 now = r->extent->duration_ns ? request->time_ns : replay_now_ns(r), periods;

	if (r->stopped_snapshots)
		return;
	if (o->snapshots.every_requests) {
		if (!r->issued || r->issued % o->snapshots.every_requests)
			return;
	} else if (o->snapshots.every_ns) {
		if (!r->issued)
			r->period_ns = now;
		/* A pause longer than the period makes one snapshot, not many equal ones. */
		periods = now > r->period_ns ? (now - r->period_ns) / o->snapshots.every_ns : 0;
		if (!periods)
			return;
		r->period_ns += periods * o->snapshots.every_ns;
	} else {
		return;
	}
	delete_beyond(r, false, o->snapshots.keep ? o->snapshots.keep - 1 : 0);
	snap = create(r, NULL, NULL);
	if (!snap || !o->subsnap_every || r->result->snapshots_made % o->subsnap_every)
		return;
	delete_beyond(r, true, o->subsnap_keep ? o->subsnap_keep - 1 : 0);
	/* Deleting has moved it. */
	create(r, NULL, &r->snaps[r->nr_snaps - 1]);
}
