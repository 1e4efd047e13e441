/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Inside the trace readers: streamed input, text helpers, and what a format is.
 *
 * A format is one struct trace_ops in one file. It turns one line (text) or one record (binary) into a
 * struct trace_record and says what it was: a request, something well-formed that is no request, or
 * bad. All else (files, compression, detection, order, device numbering, counting, giving up)
 * is done once, for all formats, in trace.c and its helpers.
 *
 * Everything read is hostile: numbers are parsed with overflow checks, extents are made by
 * record_extent() alone, nothing is allocated in proportion to a number found in a file.
 */
#ifndef SIM_TRACE_IMPL_H
#define SIM_TRACE_IMPL_H

#include "trace.h"

#define TRACE_SECTOR_SHIFT 9
#define TRACE_SECTOR_SIZE ((uint64_t)1 << TRACE_SECTOR_SHIFT)

/* A bio counts its bytes in 32 bits: nothing longer was ever one request. */
#define TRACE_MAX_LENGTH ((uint64_t)1 << 32)
/* Ends of requests stay below this (loff_t), so that sums of two offsets cannot wrap. */
#define TRACE_MAX_END ((uint64_t)INT64_MAX)
/* Address spaces and names of one trace; the largest public collection has 5,584 volumes. */
#define TRACE_MAX_DEVICES 65536
#define TRACE_MAX_NAME 255
/* The longest line; longer ones are bad, and are skipped without being kept. */
#define TRACE_MAX_LINE ((size_t)16 << 10)
/* What detection looks at: bytes, and lines among them. */
#define TRACE_HEAD_SIZE ((size_t)64 << 10)
#define TRACE_HEAD_LINES 64

/* ---- input.c: the bytes of one file, decompressed, in order ---- */

struct input;

/* @memory: its contents, or NULL. */
struct input *input_open(const char *path, const struct trace_memory *memory, char *error, size_t error_size);
void input_close(struct input *in);
int input_rewind(struct input *in);
/*
 * The next bytes, without taking them: at least @want (at most TRACE_HEAD_SIZE * 2) unless the input ends before.
 * *have is what is there. NULL on a read error only.
 */
const unsigned char *input_peek(struct input *in, size_t want, size_t *have);
/* Take @bytes of what input_peek() showed. */
void input_take(struct input *in, size_t bytes);
/* Take up to @bytes, however many; false when the input ended before (or failed). */
bool input_skip(struct input *in, uint64_t bytes);

enum input_line {
	INPUT_LINE,	/* [*line, *end), without newline and carriage return, good until the next call */
	INPUT_LONG,	/* a line of more than TRACE_MAX_LINE, skipped */
	INPUT_END,
	INPUT_ERROR,
};

enum input_line input_line(struct input *in, const char **line, const char **end);
/* The last line given had no newline: the file was cut or is still being written. */
bool input_line_cut(const struct input *in);
const char *input_path(const struct input *in);
const char *input_error(const struct input *in);
uint64_t input_bytes_read(const struct input *in);	/* of the file, as stored */
uint64_t input_bytes_total(const struct input *in);	/* of the file, as stored */
bool input_compressed(const struct input *in);

/* ---- text.c: parsing without allocation, locale or surprises ---- */

struct trace_file;

struct cursor {
	const char *p;
	const char *end;
};

/* Each takes what it names and returns true, or returns false (the cursor is then anywhere). */
bool take_u64(struct cursor *c, uint64_t *value);
bool take_u32(struct cursor *c, uint32_t *value);
/* "12", "12.5": the value times 10^@digits, further digits cut off. */
bool take_decimal(struct cursor *c, unsigned int digits, uint64_t *value);
bool take_blanks(struct cursor *c);	/* one or more blanks or tabs */
bool take_word(struct cursor *c, const char **word, size_t *length); /* up to blank, tab or end; not empty */
bool take_field(struct cursor *c, const char **word, size_t *length); /* up to comma or end, trimmed; may be empty */

static inline bool take_char(struct cursor *c, char wanted)
{
	if (c->p == c->end || *c->p != wanted)
		return false;
	c->p++;
	return true;
}

static inline void skip_blanks(struct cursor *c)
{
	while (c->p != c->end && (*c->p == ' ' || *c->p == '\t'))
		c->p++;
}

static inline bool at_end(const struct cursor *c)
{
	return c->p == c->end;
}

/* A comma, with blanks around it. */
static inline bool take_comma(struct cursor *c)
{
	skip_blanks(c);
	if (!take_char(c, ','))
		return false;
	skip_blanks(c);
	return true;
}

/* Same letters, without regard to case; @lower is lower case. */
bool word_is(const char *word, size_t length, const char *lower);

/* ---- keymap.c: byte strings to dense numbers ---- */

struct keymap;

struct keymap *keymap_new(unsigned int limit);
void keymap_free(struct keymap *map);
/* The number of the key, a new one if it is new; false when the limit is reached. */
bool keymap_get(struct keymap *map, const void *key, size_t length, uint64_t *number);
unsigned int keymap_count(const struct keymap *map);

/* ---- formats ---- */

/* A request as a format sees it; trace.c makes a struct trace_request of it. */
struct trace_record {
	enum trace_op op;
	unsigned int flags;
	uint64_t time_ns;	/* the trace's own clock */
	uint64_t space[2];	/* the address space; any numbers */
	uint64_t offset;
	uint64_t length;
	uint64_t position;
	uint32_t cpu;		/* with sequence: order among equal times */
	uint32_t sequence;
	bool requeued;		/* no request: the one like this will be issued once more */
	struct trace_file *file; /* where it comes from */
};

enum trace_outcome {
	TRACE_END,
	TRACE_REQUEST,
	TRACE_SKIPPED,	/* well-formed, no request */
	TRACE_BAD,	/* file->why says why */
	TRACE_FATAL,	/* trace->error says why */
};

/* Events of which a capture may hold several per request; the first kind that occurs at all is used. */
enum trace_event {
	TRACE_EVENT_QUEUE,
	TRACE_EVENT_ISSUE,
	TRACE_EVENT_COMPLETE,
	TRACE_NR_EVENTS,
};

#define TRACE_MAX_STATE 64

struct trace_file {
	struct trace *trace;
	struct input *in;
	bool empty;
	uint64_t position;	/* records or lines taken */
	const char *why;
	_Alignas(16) unsigned char state[TRACE_MAX_STATE]; /* of the format; zeroed before start() */
};

struct trace_ops {
	const char *name;
	const char *help;
	bool per_cpu;		/* comes in several files, to be merged */
	bool has_events;	/* see enum trace_event */
	bool units_certain;	/* written by the block layer itself: the plausibility check is not needed */
	bool time_certain;	/* its unit of time is fixed, or there is none */
	/* Is it this, by the first @size bytes? NULL: text without a header, detected by its grammar. */
	bool (*magic)(const unsigned char *head, size_t size, const struct input *in);
	/* Read the header, decide on units; 0 or -1 with trace->error. May be NULL. */
	int (*start)(struct trace_file *file);
	/* One record of a binary format, and ++file->position. */
	enum trace_outcome (*next)(struct trace_file *file, struct trace_record *record);
	/* One line of a text format: position and blank lines are the caller's business. */
	enum trace_outcome (*line)(struct trace_file *file, struct cursor *c,
				   struct trace_record *record);
};

extern const struct trace_ops blktrace_ops, blkparse_ops, fio_ops, dmlog_ops, msr_ops, spc_ops,
	alibaba_ops, tencent_ops, k5_ops, systor_ops, fiu_ops, disksim_ops, vscsi_ops;
extern const struct trace_ops *const trace_formats[];

#define TRACE_REQUEUES 64

struct trace {
	const struct trace_ops *ops;
	struct trace_options options;
	struct trace_file *files;
	unsigned int nr_files;
	struct merge *merge;	/* formats that are per_cpu */
	enum { OFFSET_HABIT, OFFSET_BYTES, OFFSET_SECTORS } offset_unit;
	struct keymap *devices;
	struct keymap *names;
	uint64_t last_space[2];	/* the last record's device, which mostly is the next one's too */
	uint64_t last_device;
	bool have_last;
	bool started;		/* the first request was seen: */
	uint64_t first_time_ns;
	uint64_t last_time_ns;	/* relative to the first */
	/* has_events: what is there, while looking; what is used, then. */
	unsigned int events_seen;
	enum trace_event event;
	bool choosing;
	bool looking;		/* a pass to decide something: no reports, no giving up */
	struct trace_record requeues[TRACE_REQUEUES];
	unsigned int nr_requeues;
	struct trace_stats stats;
	char **notes;
	unsigned int nr_notes;
	bool failed;
	char error[512];
};

static inline enum trace_outcome record_bad(struct trace_file *file, const char *why)
{
	file->why = why;
	return TRACE_BAD;
}

/* For formats that has_events: is a request of this kind of event wanted? */
static inline bool event_wanted(struct trace *trace, enum trace_event event)
{
	if (!trace->choosing)
		return event == trace->event;
	trace->events_seen |= 1u << event;
	return false;
}

/* Bounds and unit of an extent, in one place. @sectors: the format's offsets are sectors. */
enum trace_outcome record_extent(struct trace_file *file, struct trace_record *record, uint64_t offset,
				 bool sectors, uint64_t length);
/* Sectors to bytes with the same bound; a value over it gives one that record_extent() refuses. */
static inline uint64_t sectors_to_length(uint64_t sectors)
{
	return sectors > TRACE_MAX_LENGTH >> TRACE_SECTOR_SHIFT ? UINT64_MAX : sectors << TRACE_SECTOR_SHIFT;
}

/* The multiple of ns of options.time_unit, as digits of a decimal (9 for s .. 0 for ns), or @habit. */
unsigned int time_digits(const struct trace *trace, unsigned int habit);
/* A name (host, file, volume) as a number; false if too many or too long. */
bool trace_name(struct trace *trace, const char *name, size_t length, uint64_t *number);
/* A device column: a number or a name. Fills record->space. */
bool take_device(struct trace_file *file, struct cursor *c, struct trace_record *record);
void trace_add_note(struct trace *trace, const char *format, ...) __attribute__((format(printf, 2, 3)));
int trace_fail(struct trace *trace, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* One step of one file, whatever the format: counts, reports and skips bad records. REQUEST, END or FATAL. */
enum trace_outcome trace_file_next(struct trace_file *file, struct trace_record *record);

/* The next record that is a request, of all files, in order; before device numbers and counting. */
enum trace_outcome trace_next_record(struct trace *trace, struct trace_record *record);

/* ---- detect.c ---- */

/* The format of @in by its content, or NULL with the reason in @error. */
const struct trace_ops *trace_detect(struct trace *trace, struct input *in, char *error, size_t error_size);

/* ---- merge.c: several files into one order of (time, cpu, sequence) ---- */

struct merge;

struct merge *merge_new(struct trace_file *files, unsigned int nr_files);
void merge_free(struct merge *merge);
void merge_reset(struct merge *merge);
enum trace_outcome merge_next(struct merge *merge, struct trace_record *record);

/* ---- plausible.c: do offset and length count the same thing? ---- */

struct plausible;

enum plausible_verdict {
	PLAUSIBLE,
	PLAUSIBLE_ODD,		/* worth a note */
	IMPLAUSIBLE,
};

struct plausible *plausible_new(void);
void plausible_free(struct plausible *check);
/* False when enough was seen. */
bool plausible_add(struct plausible *check, const struct trace_record *record);
/* @why: a sentence, and what to do. */
enum plausible_verdict plausible_verdict(const struct plausible *check, char *why, size_t why_size);

#endif /* SIM_TRACE_IMPL_H */
