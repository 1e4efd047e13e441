// SPDX-License-Identifier: GPL-2.0
/*
 * Runs a script: who runs which command, and what the transcript says.
 *
 * The script's commands run in one simulated thread, those of a parallel block and of `start` in
 * threads of their own. The transcript is in the order of the script, whatever the order of
 * events: a thread's output is collected and printed where the script waits for it (the end of
 * the parallel block, `wait`).
 *
 * The first expectation that fails ends the script: a message with file:line on stderr, exit 1.
 * The world is then left as it is. A script that ends well is cleaned up after (world_stop(): a
 * device that cannot be removed or memory that leaks is a finding).
 */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "script.h"
#include "script_life.h"

/* A command started by `start`, a command of a parallel block. */
struct script_job {
	const struct script_command *command;
	const char *label;
	struct script_thread *thread;
	sim_thread_t *sim;
	bool done;
	struct script_job *next;
};

struct script_thread {
	FILE *out;	/* NULL: nobody wants it */
	char *text;	/* of a collecting thread */
	size_t size;
	unsigned int depth;	/* of blocks, for the echo */
};

static struct {
	const struct script_options *options;
	const struct script_command *script;
	struct script_job *jobs;
	FILE *out;
	bool failed;
	char failure[512];
	const struct script_command *stop; /* the command that is not run, nor those after it; or NULL */
	const struct script_command *running; /* the last one begun, for messages */
	unsigned int parallel;	/* blocks under way, one inside of the other */
} run;

static void run_list(struct script_thread *t, const struct script_command *first);

/* ---- hooks ---- */

u64 script_io_begin(const struct script_command *c, sector_t sector, u32 sectors, const tag_t *tags)
{
	const struct script_options *o = run.options;

	return o->hooks ? o->hooks->io_begin(o->hooks_context, c, sector, sectors, tags) : 0;
}

void script_io_end(u64 begun, int error)
{
	if (run.options->hooks)
		run.options->hooks->io_end(run.options->hooks_context, begun, error);
}

u64 script_ctl_begin(const struct script_command *c)
{
	const struct script_options *o = run.options;

	return o->hooks ? o->hooks->ctl_begin(o->hooks_context, c) : 0;
}

void script_ctl_end(u64 begun, int error)
{
	if (run.options->hooks)
		run.options->hooks->ctl_end(run.options->hooks_context, begun, error);
}

void script_status(const struct script_command *c)
{
	const struct script_options *o = run.options;

	if (o->hooks && o->hooks->status)
		o->hooks->status(o->hooks_context, c);
}

bool script_again(const struct script_command *c, int error, const char *reason)
{
	const struct script_options *o = run.options;

	return error && o->hooks && o->hooks->again &&
	       o->hooks->again(o->hooks_context, c, error, reason);
}

static void parallel_hook(bool begins)
{
	const struct script_options *o = run.options;

	if (!o->hooks || !o->hooks->parallel)
		return;
	sim_settle();
	o->hooks->parallel(o->hooks_context, begins);
}

/* ---- transcript ---- */

void script_print(struct script_thread *t, const char *fmt, ...)
{
	va_list ap;

	if (!t->out)
		return;
	va_start(ap, fmt);
	vfprintf(t->out, fmt, ap);
	va_end(ap);
	fputc('\n', t->out);
}

static void echo(struct script_thread *t, const char *text)
{
	script_print(t, "> %*s%s", 2 * t->depth, "", text);
}

void script_failed(struct script_thread *t, const struct script_command *c, const char *fmt, ...)
{
	const struct script_options *o = run.options;
	va_list ap;
	int n;

	if (run.failed || (o->hooks && o->hooks->forgives && o->hooks->forgives(o->hooks_context, c)))
		return;
	run.failed = true;
	n = snprintf(run.failure, sizeof(run.failure), "%s:%u: ", c->file, c->line);
	va_start(ap, fmt);
	vsnprintf(run.failure + n, sizeof(run.failure) - n, fmt, ap);
	va_end(ap);
}

void script_result(struct script_thread *t, const struct script_command *c, int r,
		   const char *detail)
{
	if (r)
		script_print(t, "error: %s%s%s", errno_name(r), detail ? " " : "",
			     detail ? detail : "");
	if (-r == c->expect_error || c->may_fail || run.options->keep_going)
		return;
	if (!c->expect_error)
		script_failed(t, c, "failed with %s%s%s: %s", errno_name(r), detail ? " " : "",
			      detail ? detail : "", c->text);
	else
		script_failed(t, c, "%s was expected, it %s%s: %s", errno_name(c->expect_error),
			      r ? "failed with " : "succeeded", r ? errno_name(r) : "", c->text);
}

/* ---- threads ---- */

static void job_main(void *arg)
{
	struct script_job *job = arg;

	if (!strcmp(job->command->verb->name, "{")) {
		job->thread->depth++;
		run_list(job->thread, job->command->block);
	} else {
		job->command->verb->run(job->thread, job->command);
	}
	job->done = true;
}

static struct script_job *start_job(struct script_thread *parent, const struct script_command *c,
				    const char *label)
{
	struct script_job *job = calloc(1, sizeof(*job));
	struct script_thread *t = calloc(1, sizeof(*t));

	if (!job || !t)
		abort();
	if (parent->out) {
		t->out = open_memstream(&t->text, &t->size);
		if (!t->out)
			abort();
	}
	t->depth = parent->depth + 1;
	job->command = c;
	job->label = label;
	job->thread = t;
	job->sim = sim_thread_start(label, job_main, job);
	return job;
}

static void free_job(struct script_job *job)
{
	free(job->thread->text);
	free(job->thread);
	free(job);
}

/* Waits for @job, prints what it printed, frees it. */
static void finish_job(struct script_thread *t, struct script_job *job)
{
	sim_thread_join(job->sim);
	if (job->thread->out) {
		fclose(job->thread->out);
		fwrite(job->thread->text, 1, job->thread->size, t->out);
	}
	free_job(job);
}

/* Also the verb "{", which inside of a parallel block is one thread. */
void script_parallel(struct script_thread *t, const struct script_command *c)
{
	struct script_job *jobs = NULL, **end = &jobs, *job;
	char name[32];

	if (!strcmp(c->verb->name, "{")) {
		t->depth++;
		run_list(t, c->block);
		t->depth--;
		echo(t, "}");
		return;
	}
	if (!run.parallel++)
		parallel_hook(true);
	for (const struct script_command *child = c->block; child; child = child->next) {
		snprintf(name, sizeof(name), "line-%u", child->line);
		job = start_job(t, child, name);
		*end = job;
		end = &job->next;
	}
	t->depth++;
	while (jobs) {
		const struct script_command *child = jobs->command;
		bool sequence = !strcmp(child->verb->name, "{");

		job = jobs;
		jobs = job->next;
		echo(t, child->text);
		finish_job(t, job);
		if (sequence)
			echo(t, "}");
	}
	if (!--run.parallel)
		parallel_hook(false);
	t->depth--;
	echo(t, "}");
}

static struct script_job **find_job(const char *label)
{
	struct script_job **p = &run.jobs;

	while (*p && strcmp((*p)->label, label))
		p = &(*p)->next;
	return p;
}

void script_start(struct script_thread *t, const struct script_command *c)
{
	struct script_job *job;

	if (*find_job(c->args.name)) {
		script_failed(t, c, "%s was started already and not waited for", c->args.name);
		return;
	}
	job = start_job(t, c->block, c->args.name);
	job->next = run.jobs;
	run.jobs = job;
}

void script_wait(struct script_thread *t, const struct script_command *c)
{
	struct script_job **p = find_job(c->args.name), *job = *p;

	if (!job) {
		script_failed(t, c, "%s was not started", c->args.name);
		return;
	}
	*p = job->next;
	finish_job(t, job);
}

/* The job must not have ended although everything else has come to rest. */
void script_pending(struct script_thread *t, const struct script_command *c)
{
	struct script_job *job = *find_job(c->args.name);

	sim_settle();
	if (!job)
		script_failed(t, c, "%s was not started", c->args.name);
	else if (job->done)
		script_failed(t, c, "%s has ended", c->args.name);
}

/* ---- the list of commands ---- */

static void run_list(struct script_thread *t, const struct script_command *first)
{
	for (const struct script_command *c = first; c && c != run.stop && !run.failed; c = c->next) {
		run.running = c;
		echo(t, c->text);
		c->verb->run(t, c);
	}
}

/* The script ends in the middle: what it has begun is let go, and forgotten. */
static void end_jobs(void)
{
	struct script_thread nowhere = { .out = run.out };
	const char *name;

	if (run.options->hooks)
		run.options->hooks->crashed(run.options->hooks_context);
	script_close_all();
	sim_settle();
	for (unsigned int i = 0; (name = world_device_name(i, NULL)); i++)
		if (dmctl_suspended(name))
			dmctl_resume(name);
	while (run.jobs) {
		struct script_job *job = run.jobs;

		run.jobs = job->next;
		finish_job(&nowhere, job);
	}
}

static void main_thread(void *arg)
{
	const struct script_command *first = arg;
	struct script_thread t = { .out = run.out };

	if (script_life_resume())
		script_failed(&t, first, "the disks could not be set up after the crash");
	run_list(&t, first);
	if (run.failed)
		return;
	if (run.stop) {
		end_jobs();
		return;
	}
	while (run.jobs) {
		script_failed(&t, run.jobs->command, "%s was started and not waited for",
			      run.jobs->label);
		return;
	}
	script_close_all();
}

const struct script_command *script_running(void)
{
	return run.running;
}

/* The simulated kernel has found a violation. */
static void violation(void *context, const char *what)
{
	fflush(stdout);
	if (run.running)
		sim_message("%s:%u: %s", run.running->file, run.running->line, what);
	else
		sim_message("%s", what);
	_exit(SIM_EXIT_FOUND);
}

int script_run_life(const struct script_options *options, const struct script_command *first)
{
	struct world_options wo = options->world;

	wo.fail = violation;
	run.options = options;
	run.out = stdout;
	world_start(&wo);
	sim_thread_start("script", main_thread, (void *)first);
	sim_run();
	fflush(stdout);
	if (run.failed) {
		sim_message("%s", run.failure);
		return SIM_EXIT_FOUND;
	}
	return world_stop() ? SIM_EXIT_USAGE : SIM_EXIT_OK;
}

const char *script_play(const struct script_options *options, const struct script_command *script,
			FILE *out)
{
	memset(&run, 0, sizeof(run));
	run.options = options;
	run.out = out;
	for (run.stop = script; run.stop && run.stop->verb->run != script_crash; run.stop = run.stop->next)
		;
	sim_thread_start("script", main_thread, (void *)script);
	sim_run();
	/* A script that failed has not waited for them; they have ended all the same. */
	while (run.jobs) {
		struct script_job *job = run.jobs;

		run.jobs = job->next;
		if (job->thread->out)
			fclose(job->thread->out);
		free_job(job);
	}
	return run.failed ? run.failure : NULL;
}
