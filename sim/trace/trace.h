/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Block traces: many formats in, one kind of request out.
 *
 * trace_open() takes the files of one trace (blktrace writes one per CPU), unwraps compression, detects the
 * format by content and gives requests in order of time. Readers stream: memory does not
 * grow with the trace (but for merge buffers).
 */
#ifndef SIM_TRACE_H
#define SIM_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum trace_op {
	TRACE_READ,
	TRACE_WRITE,
	TRACE_FLUSH,	/* no data */
	TRACE_DISCARD,
	TRACE_WRITE_ZEROES,
	TRACE_NR_OPS,
};

#define TRACE_FUA 1	/* the data is durable at completion */
#define TRACE_PREFLUSH 2 /* a flush before the data */
#define TRACE_META 4
#define TRACE_SYNC 8

struct trace_request {
	enum trace_op op;
	unsigned int flags;
	uint64_t time_ns;	/* since the first request of the trace; 0 throughout where a format has none */
	uint64_t device;	/* index of the address space (device, ASU, LUN, volume), dense from 0 in order of appearance */
	uint64_t offset;	/* bytes */
	uint64_t length;	/* bytes; 0 for TRACE_FLUSH */
	uint64_t position;	/* line or record number, from 1, for messages */
};

/* A file that is in memory. */
struct trace_memory {
	const void *data;
	size_t size;
};

struct trace_options {
	const char *format;	/* NULL: detect */
	const struct trace_memory *memory; /* until trace_close(): contents of the files, which are names only; NULL: read them */
	const char *time_unit;	/* "ms", "us", "ns", "s" where the format leaves it open; NULL: the format's habit */
	/*
	 * Give up when more than this share of the records is bad. 0: the default, 0.05; negative: none may be
	 * bad; 1: all may. Judged once there are 100 records, and at the end (where one bad record among good ones is
	 * never too many, unless max_bad is negative).
	 */
	double max_bad;
	void (*bad)(void *context, const char *file, uint64_t position, const char *why); /* each bad record; may be NULL */
	void *bad_context;
	const char *offset_unit; /* "bytes" or "sectors", against the format's habit; NULL: the format's habit */
	bool force;		/* believe a trace whose units are implausible: a note instead of a refusal */
};

struct trace_stats {
	uint64_t requests[TRACE_NR_OPS];
	uint64_t bytes[TRACE_NR_OPS];
	uint64_t with_fua, with_preflush;
	uint64_t records;	/* lines or records read, good, bad and skipped */
	uint64_t skipped;	/* well-formed records that are not requests (notifications, completions, marks, ...) */
	uint64_t bad;
	uint64_t devices;
	uint64_t end_offset;	/* largest offset + length seen */
	uint64_t duration_ns;
	uint64_t backwards;	/* requests earlier than the one before them: given that one's time */
	uint64_t bytes_read;	/* of the files, compressed; for progress */
	uint64_t bytes_total;
};

struct trace;

/*
 * NULL on failure, with a message (file, position, reason, what to do) in @error. @nr_files > 1 only for formats that
 * come in several files (blktrace); the order of the files does not matter.
 */
struct trace *trace_open(const char *const *files, unsigned int nr_files,
			 const struct trace_options *options, char *error, size_t error_size);
/* 1: *request filled; 0: end; -1: given up, message in trace_error(). */
int trace_next(struct trace *trace, struct trace_request *request);
/* Start again from the first request (for several chunk sizes, or to know the size first). 0 or -1. */
int trace_rewind(struct trace *trace);
void trace_close(struct trace *trace);

const char *trace_format(const struct trace *trace);	/* "blktrace", ... */
const char *trace_error(const struct trace *trace);
const struct trace_stats *trace_stats(const struct trace *trace); /* so far */
/*
 * What was assumed or looks wrong, one text each, for people; NULL after the last. Some are known at trace_open(), some
 * only at the end of the trace.
 */
const char *trace_note(const struct trace *trace, unsigned int i);

/* All formats, for --help and for --format; NULL at the end of the list. */
const char *trace_format_name(unsigned int i);
const char *trace_format_help(unsigned int i);

#endif /* SIM_TRACE_H */
