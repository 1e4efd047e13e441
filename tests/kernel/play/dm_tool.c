// SPDX-License-Identifier: GPL-2.0
/*
 * Device-mapper by the program dmsetup: what an administrator types.
 *
 * It tells errors as text, "... failed: Device or resource busy", or says in its own words that there is no
 * such device or that a table is none.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dm.h"

static int text_file(const char *name)
{
	int fd = memfd_create(name, MFD_CLOEXEC);

	if (fd < 0)
		abort();
	return fd;
}

/* All that was written to it, and closes it. */
static char *text_of(int fd)
{
	off_t size = lseek(fd, 0, SEEK_END);
	char *text = calloc(1, size + 1);

	if (size < 0 || !text || pread(fd, text, size, 0) != size)
		abort();
	close(fd);
	return text;
}

static int error_of(const char *said)
{
	static const char *const no_device[] = { "not found", "does not exist", NULL };
	const char *failed = strstr(said, "failed: ");

	for (int e = 1; failed && e < 134; e++) {
		const char *known = strerror(e);
		size_t n = strlen(known);

		if (!strncmp(failed + strlen("failed: "), known, n) &&
		    strchr("\n", failed[strlen("failed: ") + n]))
			return -e;
	}
	for (int i = 0; no_device[i]; i++)
		if (strstr(said, no_device[i]))
			return -ENXIO;
	return -EINVAL;
}

/* Runs dmsetup with these words up to NULL; *out is what it printed, if it is wanted and went well. */
static int dmsetup(char **out, const char *const *words)
{
	char *argv[16] = { "dmsetup" };
	char *const environment[] = { "DM_DISABLE_UDEV=1", "LC_ALL=C", NULL };
	int printed = text_file("printed"), said = text_file("said"), status = 0, r;
	posix_spawn_file_actions_t actions;
	char *text, *errors;
	pid_t pid;

	for (int i = 0; words[i]; i++)
		argv[i + 1] = (char *)words[i];
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, printed, STDOUT_FILENO);
	posix_spawn_file_actions_adddup2(&actions, said, STDERR_FILENO);
	r = posix_spawn(&pid, "/sbin/dmsetup", &actions, NULL, argv, environment);
	posix_spawn_file_actions_destroy(&actions);
	while (!r && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	text = text_of(printed);
	errors = text_of(said);
	if (r)
		r = -r;
	else if (!WIFEXITED(status) || WEXITSTATUS(status))
		r = error_of(errors);
	free(errors);
	if (!r && out)
		*out = text;
	else
		free(text);
	return r;
}

#define DMSETUP(out, ...) dmsetup(out, (const char *const[]){ __VA_ARGS__, NULL })

static int create(const char *name)
{
	return DMSETUP(NULL, "create", name, "--notable");
}

static int remove_device(const char *name)
{
	return DMSETUP(NULL, "remove", name);
}

static int clear(const char *name)
{
	return DMSETUP(NULL, "clear", name);
}

static int resume(const char *name)
{
	return DMSETUP(NULL, "resume", name);
}

static int suspend(const char *name, unsigned int flags)
{
	const char *words[5] = { "suspend", name };
	int n = 2;

	if (flags & DMCTL_NOFLUSH)
		words[n++] = "--noflush";
	if (flags & DMCTL_NOLOCKFS)
		words[n++] = "--nolockfs";
	return dmsetup(NULL, words);
}

static int load(const char *name, const char *table)
{
	return DMSETUP(NULL, "load", name, "--table", table);
}

static int message(const char *name, sector_t sector, const char *text)
{
	char number[24];

	snprintf(number, sizeof(number), "%llu", sector);
	return DMSETUP(NULL, "message", name, number, text);
}

static int status(const char *name, bool table, char **text)
{
	int r = DMSETUP(text, table ? "table" : "status", name);

	if (!r) {
		size_t n = strlen(*text);

		if (n && (*text)[n - 1] == '\n')
			(*text)[n - 1] = '\0';
	}
	return r;
}

static int get_state(const char *name, struct dm_state *state)
{
	char *text = NULL, word[16];
	int r = DMSETUP(&text, "info", "-c", "--noheadings", "--separator", " ", "-o",
			"major,minor,suspended,events", name);

	if (!r && sscanf(text, "%u %u %15s %u", &state->major, &state->minor, word,
			 &state->event_nr) != 4)
		r = -EPROTO;
	state->suspended = !r && !strcmp(word, "Suspended");
	free(text);
	return r;
}

const struct dm_way dm_by_dmsetup = {
	.create = create,
	.remove = remove_device,
	.clear = clear,
	.resume = resume,
	.suspend = suspend,
	.load = load,
	.message = message,
	.status = status,
	.state = get_state,
};
