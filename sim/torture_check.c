// SPDX-License-Identifier: GPL-2.0
/*
 * I5 in the torture: the offline check of the store device.
 *
 * At any moment what is on the device is what a power cut without a volatile cache would leave,
 * so it must be clean at any moment, whoever is in the middle of what. When all is settled its
 * numbers are those of the status and of the oracle.
 */
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "torture.h"

/* The first line that the check prints. */
static void first_finding(const struct check_report *report, char *text, size_t size)
{
	char *all = NULL;
	size_t length;
	FILE *out = open_memstream(&all, &length);

	if (!out)
		abort();
	check_print(report, "store", out);
	fclose(out);
	snprintf(text, size, "%.*s", (int)strcspn(all, "\n"), all);
	free(all);
}

static void compare(struct torture *t, const struct check_summary *sum,
		    const struct target_status *st)
{
	u64 data = (sum->exceptions - sum->garbage) * t->config.chunk_sectors;

	if (st->error)
		return;
	if (sum->garbage)
		torture_found(t, "settled, and %llu records of deleted snapshots are left",
			      (unsigned long long)sum->garbage);
	if (data != st->allocated - st->metadata)
		torture_found(t, "settled: %llu sectors of data are allocated, %llu reachable",
			      (unsigned long long)(st->allocated - st->metadata),
			      (unsigned long long)data);
	if (sum->snapshots != st->nr)
		torture_found(t, "settled: %u snapshots, the store has %llu", st->nr,
			      (unsigned long long)sum->snapshots);
}

void torture_check(struct torture *t, const char *when, const struct target_status *st)
{
	struct check_source source;
	struct check_report report;
	char text[512];

	if (strcmp(t->options->store, "mikulas"))
		return;
	t->counts[TC_CHECK]++;
	memset(&report, 0, sizeof(report));
	check_source_disk(&source, "store", t->store->base);
	check_store(&source, &report);
	first_finding(&report, text, sizeof(text));
	/* Marked invalid by itself: that is no damage, where the snapshots were given up. */
	if (report.result != CHECK_CLEAN &&
	    !(report.result == CHECK_DAMAGED && report.summary.error && !t->preserve))
		torture_found(t, "%s: the store is not clean: %s", when, text);
	if (st && report.result == CHECK_CLEAN)
		compare(t, &report.summary, st);
	check_report_free(&report);
}
