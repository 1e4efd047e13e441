// SPDX-License-Identifier: GPL-2.0
/*
 * The bytes of one trace file, in order, whatever it is packed with.
 *
 * Plain files are read directly; files that start with the magic of gzip, xz or zstd go through
 * libarchive's filters (several members or streams in a row are read as one). One buffer of fixed size; a
 * caller looks at bytes with input_peek() and takes them. To rewind is to start over: only regular
 * files and block devices are accepted.
 *
 * Invariant: buffer[pos..len) is what was read and not yet taken.
 */
#include <archive.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "trace_impl.h"

#define BUFFER_SIZE ((size_t)256 << 10)
#define ARCHIVE_BLOCK ((size_t)64 << 10)
/* Below this, reading on is cheaper than a seek. */
#define SEEK_WORTH ((uint64_t)1 << 20)

struct input {
	char *path;
	int fd;				/* or: */
	const unsigned char *memory;	/* all total_bytes */
	struct archive *archive;	/* NULL: not compressed */
	bool compressed;
	bool ended;			/* the file has no more */
	bool cut;			/* the last line had no newline */
	uint64_t file_bytes;		/* read so far, as stored */
	uint64_t total_bytes;
	size_t pos;
	size_t len;
	size_t scanned;			/* no newline in buffer[pos..pos + scanned) */
	char error[256];
	unsigned char buffer[BUFFER_SIZE]; /* last: it needs no zeroes */
};

static bool is_compressed(const unsigned char *head, size_t size)
{
	static const struct {
		unsigned char length;
		unsigned char bytes[6];
	} magics[] = {
		{ 2, { 0x1f, 0x8b } },				/* gzip */
		{ 6, { 0xfd, '7', 'z', 'X', 'Z', 0 } },		/* xz */
		{ 4, { 0x28, 0xb5, 0x2f, 0xfd } },		/* zstd */
	};

	for (size_t i = 0; i < sizeof(magics) / sizeof(magics[0]); i++)
		if (size >= magics[i].length && !memcmp(head, magics[i].bytes, magics[i].length))
			return true;
	return false;
}

static int archive_start(struct input *in)
{
	struct archive_entry *entry;
	int r;

	in->archive = archive_read_new();
	if (!in->archive) {
		snprintf(in->error, sizeof(in->error), "out of memory");
		return -1;
	}
	archive_read_support_filter_gzip(in->archive);
	archive_read_support_filter_xz(in->archive);
	archive_read_support_filter_zstd(in->archive);
	archive_read_support_format_raw(in->archive);
	archive_read_support_format_empty(in->archive);
	if (in->memory)
		r = archive_read_open_memory(in->archive, in->memory, in->total_bytes);
	else
		r = archive_read_open_fd(in->archive, in->fd, ARCHIVE_BLOCK);
	if (r == ARCHIVE_OK)
		r = archive_read_next_header(in->archive, &entry);
	if (r == ARCHIVE_EOF) {
		in->ended = true;	/* compressed nothing */
		return 0;
	}
	if (r != ARCHIVE_OK && r != ARCHIVE_WARN) {
		const char *why = archive_error_string(in->archive);

		snprintf(in->error, sizeof(in->error), "cannot decompress: %s", why ? why : "unknown error");
		return -1;
	}
	return 0;
}

int input_rewind(struct input *in)
{
	in->pos = in->scanned = 0;
	in->cut = false;
	in->error[0] = 0;
	/* Of a short file all that was read is still there. */
	if (!in->compressed && in->len && in->file_bytes == in->len)
		return 0;
	in->len = 0;
	in->file_bytes = 0;
	in->ended = false;
	if (in->archive)
		archive_read_free(in->archive);
	in->archive = NULL;
	if (!in->memory && lseek(in->fd, 0, SEEK_SET) < 0) {
		snprintf(in->error, sizeof(in->error), "cannot rewind: %s", strerror(errno));
		return -1;
	}
	return in->compressed ? archive_start(in) : 0;
}

/* Opens the file, and finds out what it is; false with a message. */
static bool open_file(struct input *in, char *error, size_t error_size)
{
	unsigned char head[8];
	struct stat st;
	off_t size;
	ssize_t r;

	in->fd = open(in->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (in->fd < 0 || fstat(in->fd, &st) < 0) {
		snprintf(error, error_size, "%s: %s", in->path, strerror(errno));
		return false;
	}
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode)) {
		snprintf(error, error_size,
			 "%s: not a regular file or block device (a trace is read more than once)", in->path);
		return false;
	}
	size = lseek(in->fd, 0, SEEK_END);
	in->total_bytes = size > 0 ? size : 0;
	r = pread(in->fd, head, sizeof(head), 0);
	if (r < 0) {
		snprintf(error, error_size, "%s: %s", in->path, strerror(errno));
		return false;
	}
	in->compressed = is_compressed(head, r);
	return true;
}

static void open_memory(struct input *in, const struct trace_memory *memory)
{
	in->memory = memory->size ? memory->data : (const unsigned char *)"";
	in->total_bytes = memory->size;
	in->compressed = is_compressed(in->memory, memory->size);
}

struct input *input_open(const char *path, const struct trace_memory *memory, char *error, size_t error_size)
{
	struct input *in = malloc(sizeof(*in));

	if (in)
		memset(in, 0, offsetof(struct input, buffer));
	if (!in || !(in->path = strdup(path))) {
		snprintf(error, error_size, "%s: out of memory", path);
		free(in);
		return NULL;
	}
	in->fd = -1;
	if (memory)
		open_memory(in, memory);
	else if (!open_file(in, error, error_size))
		goto bad;
	if (input_rewind(in) < 0) {
		snprintf(error, error_size, "%s: %s", path, in->error);
		goto bad;
	}
	return in;
bad:
	input_close(in);
	return NULL;
}

void input_close(struct input *in)
{
	if (!in)
		return;
	if (in->archive)
		archive_read_free(in->archive);
	if (in->fd >= 0)
		close(in->fd);
	free(in->path);
	free(in);
}

static size_t read_memory(struct input *in, unsigned char *to, size_t room)
{
	uint64_t rest = in->total_bytes - in->file_bytes;
	size_t n = rest < room ? rest : room;

	memcpy(to, in->memory + in->file_bytes, n);
	return n;
}

/* More bytes behind those there; false at the end of the file or on an error. */
static bool fill(struct input *in)
{
	ssize_t r;

	if (in->ended || in->error[0])
		return false;
	if (in->len == BUFFER_SIZE && in->pos) {
		memmove(in->buffer, in->buffer + in->pos, in->len - in->pos);
		in->len -= in->pos;
		in->pos = 0;
	}
	if (in->len == BUFFER_SIZE)
		return false;
	if (in->archive) {
		r = archive_read_data(in->archive, in->buffer + in->len, BUFFER_SIZE - in->len);
		if (r < 0) {
			const char *why = archive_error_string(in->archive);

			snprintf(in->error, sizeof(in->error), "cannot decompress: %s",
				 why ? why : "unknown error");
			return false;
		}
		in->file_bytes = archive_filter_bytes(in->archive, -1);
	} else if (in->memory) {
		r = read_memory(in, in->buffer + in->len, BUFFER_SIZE - in->len);
		in->file_bytes += r;
	} else {
		do {
			r = read(in->fd, in->buffer + in->len, BUFFER_SIZE - in->len);
		} while (r < 0 && errno == EINTR);
		if (r < 0) {
			snprintf(in->error, sizeof(in->error), "cannot read: %s", strerror(errno));
			return false;
		}
		in->file_bytes += r;
	}
	if (r == 0) {
		in->ended = true;
		return false;
	}
	in->len += r;
	return true;
}

const unsigned char *input_peek(struct input *in, size_t want, size_t *have)
{
	while (in->len - in->pos < want && fill(in))
		;
	*have = in->len - in->pos;
	if (*have < want && in->error[0])
		return NULL;
	return in->buffer + in->pos;
}

void input_take(struct input *in, size_t bytes)
{
	in->pos += bytes;
	in->scanned = 0;
}

bool input_skip(struct input *in, uint64_t bytes)
{
	in->scanned = 0;
	for (;;) {
		size_t have = in->len - in->pos;
		uint64_t at;

		if (bytes <= have) {
			in->pos += bytes;
			return true;
		}
		bytes -= have;
		in->pos = in->len = 0;
		at = in->file_bytes;
		if (!in->archive && bytes >= SEEK_WORTH && at <= in->total_bytes &&
		    bytes <= in->total_bytes - at) {
			if (!in->memory && lseek(in->fd, (off_t)bytes, SEEK_CUR) < 0) {
				snprintf(in->error, sizeof(in->error), "cannot seek: %s", strerror(errno));
				return false;
			}
			in->file_bytes += bytes;
			return true;
		}
		if (!fill(in))
			return false;
	}
}

/* The rest of a line that is too long to be one. */
static enum input_line skip_line(struct input *in)
{
	for (;;) {
		unsigned char *at = in->buffer + in->pos;
		unsigned char *newline = memchr(at, '\n', in->len - in->pos);

		in->scanned = 0;
		if (newline) {
			in->pos += newline - at + 1;
			return INPUT_LONG;
		}
		in->pos = in->len;
		if (!fill(in))
			return in->error[0] ? INPUT_ERROR : INPUT_LONG;
	}
}

enum input_line input_line(struct input *in, const char **line, const char **end)
{
	unsigned char *start, *newline;

	for (;;) {
		start = in->buffer + in->pos;
		newline = memchr(start + in->scanned, '\n', in->len - in->pos - in->scanned);
		if (newline)
			break;
		in->scanned = in->len - in->pos;
		if (in->scanned > TRACE_MAX_LINE)
			return skip_line(in);
		if (fill(in))
			continue;
		if (in->error[0])
			return INPUT_ERROR;
		start = in->buffer + in->pos;
		newline = in->buffer + in->len;
		if (newline == start)
			return INPUT_END;
		break;
	}
	in->cut = newline == in->buffer + in->len;
	in->pos = newline - in->buffer + !in->cut;
	in->scanned = 0;
	if ((size_t)(newline - start) > TRACE_MAX_LINE)
		return INPUT_LONG;
	if (newline > start && newline[-1] == '\r')
		newline--;
	*line = (const char *)start;
	*end = (const char *)newline;
	return INPUT_LINE;
}

bool input_line_cut(const struct input *in)
{
	return in->cut;
}

const char *input_path(const struct input *in)
{
	return in->path;
}

const char *input_error(const struct input *in)
{
	return in->error[0] ? in->error : NULL;
}

uint64_t input_bytes_read(const struct input *in)
{
	return in->file_bytes;
}

uint64_t input_bytes_total(const struct input *in)
{
	return in->total_bytes;
}

bool input_compressed(const struct input *in)
{
	return in->compressed;
}
