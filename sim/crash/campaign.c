// SPDX-License-Identifier: GPL-2.0
/*
 * Many workloads, in several processes.
 *
 * Each workload is judged by itself, with its own set of images that were seen: so the totals are sums over workloads,
 * whoever did them. Workers take the next number from a counter that they share, and add what they counted to shared totals.
 * A worker that finds something leaves; what has a lower number is still done by others, so that the finding reported is always the first.
 */
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "crash.h"

struct shared {
	_Atomic u64 next, done, found;
	_Atomic u32 lock;
	struct crash_counts counts;
	u64 states[]; /* of each workload */
};

static void *shared_memory(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED) {
		sim_message("no memory to be shared by processes");
		exit(SIM_EXIT_USAGE);
	}
	return p;
}

static void add_counts(struct shared *shared, const struct crash_counts *n)
{
	while (atomic_exchange(&shared->lock, 1))
		;
	crash_counts_add(&shared->counts, n);
	atomic_store(&shared->lock, 0);
	atomic_fetch_add(&shared->done, 1);
}

static void found(struct shared *shared, u64 index)
{
	u64 first = atomic_load(&shared->found);

	while (index < first && !atomic_compare_exchange_weak(&shared->found, &first, index))
		;
}

/* Only what does not end in the real world ends here; nothing else depends on the clock. */
#define HANGS_AFTER_S 600

static struct {
	struct shared *shared;
	u64 index;
} at_work;

static void hangs(int signal)
{
	found(at_work.shared, at_work.index);
	_exit(0);
}

static void work(const struct crash_options *o, const struct crash_campaign *campaign, struct shared *shared)
{
	for (;;) {
		u64 index = atomic_fetch_add(&shared->next, 1);
		struct crash_unit unit = { 0 };

		if (index >= campaign->nr || index > atomic_load(&shared->found))
			return;
		at_work.shared = shared;
		at_work.index = index;
		signal(SIGALRM, hangs);
		alarm(HANGS_AFTER_S);
		campaign->unit(campaign->context, index, &unit);
		crash_unit_run(o, &unit);
		alarm(0);
		if (unit.finding.found || unit.error[0]) {
			found(shared, index);
			return;
		}
		free(unit.text);
		shared->states[index] = unit.counts.states;
		add_counts(shared, &unit.counts);
	}
}

static pid_t start_worker(const struct crash_options *o, const struct crash_campaign *campaign,
			  struct shared *shared)
{
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid < 0) {
		sim_message("no process for a worker");
		exit(SIM_EXIT_USAGE);
	}
	if (pid)
		return pid;
	work(o, campaign, shared);
	fflush(NULL);
	_exit(0);
}

/* One that did not end by itself has left a workload undone: that is worse than any finding. */
static void worker_ended(int status)
{
	if (WIFEXITED(status) && !WEXITSTATUS(status))
		return;
	progress_clear();
	if (WIFSIGNALED(status))
		sim_message("a worker ended by signal %d", WTERMSIG(status));
	else
		sim_message("a worker ended with status %d", WEXITSTATUS(status));
	exit(SIM_EXIT_FOUND);
}

static void show_progress(const struct crash_campaign *campaign, const struct shared *shared)
{
	if (progress_due())
		progress_show("%llu of %llu workloads, %llu images", (unsigned long long)shared->done,
			      (unsigned long long)campaign->nr, (unsigned long long)shared->counts.images);
}

static void ticked(int signal)
{
}

/* waitpid() returns now and then, for the progress. */
static void tick(bool on)
{
	const struct sigaction action = { .sa_handler = on ? ticked : SIG_DFL };
	const struct itimerval interval = { { 0, on ? 200000 : 0 }, { 0, on ? 200000 : 0 } };

	if (on)
		sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &interval, NULL);
	if (!on)
		sigaction(SIGALRM, &action, NULL);
}

void crash_campaign_run(const struct crash_options *o, const struct crash_campaign *campaign,
			struct crash_counts *counts, u64 *first_found)
{
	size_t size = sizeof(struct shared) + campaign->nr * sizeof(u64);
	struct shared *shared = shared_memory(size);
	unsigned int left = 0;
	int status;

	atomic_store(&shared->found, U64_MAX);
	while (left < campaign->workers) {
		start_worker(o, campaign, shared);
		left++;
	}
	tick(true);
	while (left) {
		if (waitpid(-1, &status, 0) > 0) {
			worker_ended(status);
			left--;
		}
		show_progress(campaign, shared);
	}
	tick(false);
	progress_clear();
	*counts = shared->counts;
	*first_found = atomic_load(&shared->found);
	if (*first_found != U64_MAX) {
		memset(counts, 0, sizeof(*counts));
		for (u64 i = 0; i < *first_found; i++)
			counts->states += shared->states[i];
	}
	munmap(shared, size);
}

/* ---- one, in a process of its own ---- */

/* What comes back from it: the unit, and behind it the decisions of all cuts. */
#define DECISIONS_MAX 4096

struct apart {
	struct crash_unit unit;
	u32 nr;
	struct crash_decision decisions[DECISIONS_MAX];
};

static void hand_over(struct apart *apart, const struct crash_unit *unit)
{
	apart->unit = *unit;
	for (u32 i = 0; i < unit->finding.nr_cuts; i++) {
		const struct crash_cut *cut = &unit->finding.cuts[i];
		u32 n = min_t(u32, cut->nr_decisions, DECISIONS_MAX - apart->nr);

		memcpy(apart->decisions + apart->nr, cut->decisions, n * sizeof(*cut->decisions));
		apart->unit.finding.cuts[i].nr_decisions = n;
		apart->nr += n;
	}
}

static void take_over(struct crash_unit *unit, const struct apart *apart)
{
	char *text = unit->text;
	u32 at = 0;

	*unit = apart->unit;
	unit->text = text;
	for (u32 i = 0; i < unit->finding.nr_cuts; i++) {
		struct crash_cut *cut = &unit->finding.cuts[i];
		size_t size = (cut->nr_decisions + 1) * sizeof(*cut->decisions);

		cut->decisions = malloc(size);
		if (!cut->decisions)
			abort();
		memcpy(cut->decisions, apart->decisions + at, cut->nr_decisions * sizeof(*cut->decisions));
		at += cut->nr_decisions;
	}
}

void crash_unit_apart(const struct crash_options *o, struct crash_unit *unit)
{
	struct apart *apart = shared_memory(sizeof(*apart));
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid < 0)
		abort();
	if (!pid) {
		alarm(HANGS_AFTER_S);
		crash_unit_run(o, unit);
		hand_over(apart, unit);
		fflush(NULL);
		_exit(0);
	}
	while (waitpid(pid, &status, 0) != pid)
		;
	if (WIFEXITED(status) && !WEXITSTATUS(status)) {
		take_over(unit, apart);
	} else {
		unit->finding = (struct crash_finding){ .found = true };
		snprintf(unit->finding.what, sizeof(unit->finding.what), "the simulation ended by signal %d%s",
			 WIFSIGNALED(status) ? WTERMSIG(status) : 0,
			 WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM ? ": it hangs" : "");
	}
	munmap(apart, sizeof(*apart));
}
