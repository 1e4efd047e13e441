/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Scripts in which one thing fails (docs/fail-each.md): an allocation of core or stores, or a request at a disk.
 *
 *   fail_run.c    one run, judged (sim/judge/)
 *   fail_each.c   all of them: each thing that can fail, in turn
 */
#ifndef SIM_FAIL_H
#define SIM_FAIL_H

#include "script.h"

#define FAIL_ALLOC "alloc"
#define FAIL_DISKS 8		/* of a script, at most; those made later never fail */

/* What fails. Allocations, and the requests of each disk, are numbered from 1 since the simulated kernel was started. */
struct fail_place {
	char name[WORLD_NAME_MAX];	/* FAIL_ALLOC, or a disk */
	u64 number;
	bool lasting;			/* all after it, too */
};

/* "alloc=17", "store=3", "store=3+": lasting. */
bool fail_place_parse(const char *text, struct fail_place *place);
void fail_place_print(const struct fail_place *place, char *buf, size_t size);

/* Of one run; plain memory, which may be shared with the process that wants to know. */
struct fail_result {
	/* Things that could fail. */
	u64 allocations;
	unsigned int nr_disks;
	struct {
		char name[WORLD_NAME_MAX];
		u64 requests;
	} disks[FAIL_DISKS];
	/* What did. */
	u64 struck;
	char what[160];		/* the first */
	/* What came of it. */
	bool silent;		/* it was a request of which nobody need be told that it failed */
	bool refused;		/* a command failed while it struck */
	u64 errors;		/* a sum over all requests and commands that failed: the same for the same errors */
	u64 status_errors;	/* targets whose status shows an error at the end */
};

/*
 * Runs @script, judged, with the transcript on @out (or NULL); @place NULL: nothing fails. An exit code; a finding is told
 * on stdout, and by most findings the process ends.
 */
int fail_run(const struct script_options *options, const struct script_command *script,
	     const struct fail_place *place, FILE *out, struct fail_result *result);

enum fail_outcome {
	FAIL_REFUSED,		/* a command failed, and was done again */
	FAIL_TOLD,		/* requests or commands failed, or the status shows an error */
	FAIL_UNNOTICED,		/* none of these: somebody had memory in reserve, or nobody need be told */
	FAIL_FOUND,		/* a request failed, and somebody should have been told */
	FAIL_OUTCOMES,
};

/* Of a run without a finding of its own; @counted: that of the script in which nothing failed; @request: that is what failed. */
enum fail_outcome fail_outcome(const struct fail_result *counted, const struct fail_result *r, bool request);

struct fail_options {
	struct script_options script;
	const char *const *files;
	int nr_files;
	unsigned int jobs;
	u64 limit;		/* failures of each kind in a script, spread evenly; 0: all */
	bool lasting, verbose;
	const char *choices;	/* where the script's world has them from, or NULL; for the line that reproduces a run */
	const char *place;	/* only this one, of one file, with its transcript; or NULL */
};

/* `multisnap run --fail-each`, `--fail PLACE`: an exit code. */
int fail_each(const struct fail_options *options);

#endif /* SIM_FAIL_H */
