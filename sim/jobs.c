// SPDX-License-Identifier: GPL-2.0
/*
 * Runs in processes (jobs.h). Those that have begun and are not told yet are a ring, larger than the number of workers, so
 * that one that takes long does not hold up the others.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "jobs.h"

/* That may wait for one before them to be told: each has a file open. */
#define SPARE 64

struct job {
	pid_t pid;
	FILE *out;
	bool ended;
	int status;
};

static void start_job(const struct jobs *jobs, struct job *job, u64 i)
{
	*job = (struct job){ .out = tmpfile() };
	fflush(NULL);
	job->pid = job->out ? fork() : -1;
	if (job->pid < 0) {
		sim_message("cannot start another run: %s", strerror(errno));
		exit(SIM_EXIT_USAGE);
	}
	if (job->pid)
		return;
	dup2(fileno(job->out), STDOUT_FILENO);
	job->status = jobs->run(jobs->context, i);
	fflush(NULL);
	_exit(job->status);
}

static void wait_any(struct job *ring, unsigned int size)
{
	int status;
	pid_t pid = wait(&status);

	for (unsigned int i = 0; i < size; i++) {
		if (ring[i].pid != pid)
			continue;
		ring[i].ended = true;
		ring[i].status = WIFEXITED(status) ? WEXITSTATUS(status) : SIM_EXIT_FOUND;
		if (!WIFEXITED(status))
			dprintf(fileno(ring[i].out), "a run ended by signal %d\n", WTERMSIG(status));
	}
}

static void tell(const struct jobs *jobs, struct job *job, u64 i)
{
	char text[4096];
	size_t n;

	jobs->ended(jobs->context, i, job->status);
	rewind(job->out);
	while ((n = fread(text, 1, sizeof(text), job->out)))
		fwrite(text, 1, n, stdout);
	fclose(job->out);
	fflush(stdout);
	*job = (struct job){ 0 };
}

void jobs_run(const struct jobs *jobs)
{
	unsigned int size = jobs->workers + SPARE, running = 0;
	struct job *ring = calloc(size, sizeof(*ring));
	u64 started = 0, told = 0;

	if (!ring)
		abort();
	while (told < jobs->nr) {
		struct job *next = &ring[told % size];

		if (started < jobs->nr && started - told < size && running < jobs->workers) {
			start_job(jobs, &ring[started % size], started);
			started++;
			running++;
		} else if (next->ended) {
			tell(jobs, next, told++);
		} else {
			wait_any(ring, size);
			running--;
		}
	}
	free(ring);
}
