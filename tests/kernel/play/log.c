// SPDX-License-Identifier: GPL-2.0
/*
 * The kernel's log, by /dev/kmsg: one read() gives one line, "LEVEL,NUMBER,TIME,FLAGS;TEXT".
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "play.h"

int log_open(void)
{
	int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	if (fd >= 0)
		lseek(fd, 0, SEEK_END);
	return fd;
}

/* The next text, and its level; NULL: that is all. */
static const char *next_line(int fd, char *buffer, size_t size, int *level)
{
	char *text, *end;
	ssize_t n;

	do
		n = read(fd, buffer, size - 1);
	while (n < 0 && (errno == EPIPE || errno == EINTR)); /* EPIPE: lines were overwritten */
	if (n <= 0)
		return NULL;
	buffer[n] = '\0';
	*level = atoi(buffer) & 7;
	text = strchr(buffer, ';');
	text = text ? text + 1 : buffer;
	end = strchr(text, '\n');
	if (end)
		*end = '\0';
	return text;
}

/* "device-mapper: table: MAJOR:MINOR: TYPE: REASON (-ERRNO)" */
void log_table_error(int log, unsigned int major, unsigned int minor, char *reason, size_t size)
{
	char buffer[8192], prefix[64];
	const char *text;
	int level;

	*reason = '\0';
	if (log < 0)
		return;
	snprintf(prefix, sizeof(prefix), "device-mapper: table: %u:%u: ", major, minor);
	while ((text = next_line(log, buffer, sizeof(buffer), &level))) {
		const char *colon, *bracket;

		if (strncmp(text, prefix, strlen(prefix)))
			continue;
		text += strlen(prefix);
		colon = strstr(text, ": ");
		bracket = strrchr(text, '(');
		if (!colon || !bracket || bracket - 1 <= colon + 2 || bracket[1] != '-')
			continue;
		snprintf(reason, size, "%.*s", (int)(bracket - 1 - (colon + 2)), colon + 2);
	}
	close(log);
}

void log_replay(int log, void (*line)(void *context, int level, const char *line), void *context)
{
	char buffer[8192];
	const char *text;
	int level;

	if (log < 0)
		return;
	while ((text = next_line(log, buffer, sizeof(buffer), &level)))
		line(context, level, text);
	close(log);
}
