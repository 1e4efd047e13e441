// SPDX-License-Identifier: GPL-2.0
/*
 * The machine as a whole: threads, time, the power, the beginning and the end of a script's life.
 *
 * Time. `settle` must return when nothing can run but what is held up by the script. The kernel is
 * therefore booted with time-travel=inf-cpu (User-Mode Linux): its clock stands still as long as anything
 * can run, and jumps to the next timer when nothing can. A sleep of any length ends, at once by the
 * clock on the wall, when all that was under way has come to rest. The watchdog rests on the same: it
 * wakes up only when everybody waits for what nobody will do.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "fail.h"
#include "play.h"

#define SETTLE_NS 1000000000ULL /* longer than anything in the kernel takes that is not stuck */
#define WATCHDOG_NS 50000000000ULL /* shorter than what the kernel's own watchdog allows */

struct sim_thread {
	pthread_t thread;
	void (*fn)(void *arg);
	void *arg;
	bool ended;
	struct sim_thread *next;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static struct {
	struct sim_options options;
	int control;		/* of ms-disk */
	int log;
	struct sim_thread *threads, **threads_end; /* not joined */
	_Atomic u64 steps;	/* has anybody done anything? */
	bool started;	/* a script before this one */
	bool off;
	pthread_t switched_off_by;
} machine;

static void sleep_ns(u64 ns)
{
	struct timespec ts = { .tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000 };

	while (nanosleep(&ts, &ts) && errno == EINTR)
		;
}

/* ---- the lock ---- */

void play_leave(void)
{
	machine.steps++;
	pthread_mutex_unlock(&lock);
}

void play_enter(void)
{
	pthread_mutex_lock(&lock);
	machine.steps++;
	while (machine.off && !pthread_equal(machine.switched_off_by, pthread_self())) {
		pthread_mutex_unlock(&lock);
		pause();
		pthread_mutex_lock(&lock);
	}
}

int play_ms_disk(unsigned long cmd, void *args)
{
	return ioctl(machine.control, cmd, args) ? -errno : 0;
}

/* ---- threads ---- */

static void *thread_main(void *arg)
{
	struct sim_thread *t = arg;

	play_enter();
	t->fn(t->arg);
	t->ended = true;
	play_leave();
	return NULL;
}

sim_thread_t *sim_thread_start(const char *name, void (*fn)(void *arg), void *arg)
{
	struct sim_thread *t = calloc(1, sizeof(*t));

	if (!t)
		abort();
	t->fn = fn;
	t->arg = arg;
	*machine.threads_end = t;
	machine.threads_end = &t->next;
	if (pthread_create(&t->thread, NULL, thread_main, t))
		abort();
	return t;
}

static void forget(struct sim_thread *t)
{
	struct sim_thread **p = &machine.threads;

	while (*p != t)
		p = &(*p)->next;
	*p = t->next;
	if (!*p)
		machine.threads_end = p;
	free(t);
}

void sim_thread_join(sim_thread_t *thread)
{
	play_leave();
	pthread_join(thread->thread, NULL);
	play_enter();
	forget(thread);
}

/*
 * The first thread is the script; it leaves others behind only when it has failed, stuck perhaps in what
 * it holds up.
 */
void sim_run(void)
{
	sim_thread_join(machine.threads);
	if (machine.threads)
		sim_power_off();
}

/* ---- time ---- */

u64 sim_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (u64)now.tv_sec * 1000000000 + now.tv_nsec;
}

void sim_sleep_ns(u64 ns)
{
	while (ns) {
		u64 piece = ns < SETTLE_NS ? ns : SETTLE_NS;

		play_leave(); /* a step for the watchdog */
		sleep_ns(piece);
		play_enter();
		ns -= piece;
	}
}

void sim_settle(void)
{
	sim_sleep_ns(SETTLE_NS);
}

/* The clock must be one that waits for everybody. */
static bool time_travels(void)
{
	char line[4096] = "";
	FILE *f = fopen("/proc/cmdline", "r");

	if (f) {
		if (!fgets(line, sizeof(line), f))
			*line = '\0';
		fclose(f);
	}
	return strstr(line, "time-travel=inf-cpu");
}

static void *watchdog(void *unused)
{
	u64 seen = 0;

	for (;;) {
		sleep_ns(WATCHDOG_NS);
		if (machine.steps == seen && !machine.off)
			sim_fail("everybody waits, and nothing will come");
		seen = machine.steps;
	}
	return NULL;
}

/* ---- the power ---- */

/*
 * Disks first, then what used them: it can only fail, and what waited for a disk, or for a device
 * that was suspended, ends with an error.
 */
static void switch_off(void)
{
	machine.off = true;
	machine.switched_off_by = pthread_self();
	ioctl(machine.control, MS_DISK_POWER_OFF);
	dm_remove_all();
	module_unload_all();
}

void sim_power_off(void)
{
	/* Those who wait in the kernel come back, and stop. */
	machine.off = true;
	machine.switched_off_by = pthread_self();
	pthread_mutex_unlock(&lock);
	switch_off();
	pthread_mutex_lock(&lock);
}

void sim_fail(const char *fmt, ...)
{
	char what[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	if (!machine.off)
		switch_off();
	bdev_stop();
	if (machine.options.fail)
		machine.options.fail(machine.options.fail_context, what);
	fprintf(stderr, "%s\n", what);
	_exit(1);
}

/* BUG() in what is shared with the simulation. */
void shim_bug(const char *site, const char *what)
{
	sim_fail("%s: %s", site, what);
}

/* ---- beginning and end ---- */

void sim_start(const struct sim_options *options)
{
	static pthread_t dog;
	int r;

	play_enter();
	machine.options = *options;
	if (machine.started)
		close(machine.control);
	machine.started = true;
	machine.threads = NULL;
	machine.threads_end = &machine.threads;
	machine.control = -1;
	if (options->strategy != SIM_FIFO)
		sim_fail("a real kernel makes its choices itself: no --strategy, no --choices");
	if (!time_travels())
		sim_fail("the kernel was not booted with time-travel=inf-cpu: nobody could tell when it has come to rest");
	/* Of another script, or of this one before the power went. */
	if (!dm_remove_all() || !module_unload_all())
		sim_fail("what an earlier script left cannot be taken away");
	r = module_load_disks();
	if (r)
		sim_fail("module ms-disk of %s does not load: %s", play_module_dir, strerror(-r));
	machine.control = open("/dev/ms-disk", O_RDWR | O_CLOEXEC);
	if (machine.control < 0)
		sim_fail("/dev/ms-disk: %s", strerror(errno));
	machine.log = log_open();
	bdev_start();
	sim_module_autoload(true);
	if (!dog && pthread_create(&dog, NULL, watchdog, NULL))
		abort();
}

void sim_stop(void)
{
	if (!module_unload_all())
		sim_fail("a module cannot be unloaded at the end");
	if (machine.options.log)
		log_replay(machine.log, machine.options.log, machine.options.log_context);
	bdev_stop();
	play_leave();
}

/* ---- what only the simulator has ---- */

void sim_fail_alloc(u64 first, u64 count)
{
	if (count)
		sim_fail("fault alloc: only the simulator counts allocations");
}

void sim_fail_alloc_random(unsigned int per_million)
{
	if (per_million)
		sim_fail("fault alloc: only the simulator counts allocations");
}

int fail_each(const struct fail_options *options)
{
	sim_message("only the simulator can make each thing fail");
	return SIM_EXIT_USAGE;
}

u64 sim_alloc_count(void)
{
	return 0;
}
