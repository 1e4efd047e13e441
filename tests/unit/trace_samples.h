/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Help for the tests of the trace readers: files in a private directory, one small sample of each format
 * made by hand, and requests written as text so that a test shows what it expects.
 *
 * A request in text: "OP FLAGS DEVICE OFFSET LENGTH TIME_NS" on a line; OP is R W F D Z, FLAGS are of PFSM or "-".
 */
#ifndef TRACE_SAMPLES_H
#define TRACE_SAMPLES_H

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */
#include <archive.h>
#include <archive_entry.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "trace.h"

#define UNUSED __attribute__((unused))

/* ---- bytes ---- */

struct bytes {
	unsigned char data[1 << 16];
	size_t size;
	bool big;	/* big-endian numbers */
};

static UNUSED void put(struct bytes *b, uint64_t value, unsigned int size)
{
	assert_true(b->size + size <= sizeof(b->data));
	for (unsigned int i = 0; i < size; i++)
		b->data[b->size + i] = value >> 8 * (b->big ? size - 1 - i : i);
	b->size += size;
}

static UNUSED void put_zeroes(struct bytes *b, size_t size)
{
	assert_true(b->size + size <= sizeof(b->data));
	memset(b->data + b->size, 0, size);
	b->size += size;
}

static UNUSED void put_text(struct bytes *b, const char *text)
{
	size_t size = strlen(text);

	assert_true(b->size + size <= sizeof(b->data));
	memcpy(b->data + b->size, text, size);
	b->size += size;
}

/* ---- files ---- */

static char sample_dir[256];

static UNUSED int make_dir(void **state)
{
	const char *base = getenv("TMPDIR");

	snprintf(sample_dir, sizeof(sample_dir), "%s/multisnap-trace-XXXXXX", base ? base : "/tmp");
	return mkdtemp(sample_dir) ? 0 : -1;
}

static UNUSED const char *sample_path(const char *name)
{
	static char paths[4][320];
	static unsigned int next;
	char *path = paths[next++ % 4];

	snprintf(path, sizeof(paths[0]), "%s/%s", sample_dir, name);
	return path;
}

static UNUSED const char *write_file(const char *name, const void *data, size_t size)
{
	const char *path = sample_path(name);
	FILE *file;

	/* A new file: some file systems write one that is truncated and rewritten to the disk at once. */
	unlink(path);
	file = fopen(path, "wb");
	assert_non_null(file);
	assert_int_equal(fwrite(data, 1, size, file), size);
	assert_int_equal(fclose(file), 0);
	return path;
}

/* @filter as libarchive calls it: "gzip", "xz", "zstd". */
static UNUSED const char *write_packed(const char *name, const char *filter, const void *data, size_t size)
{
	const char *path = sample_path(name);
	struct archive *a = archive_write_new();
	struct archive_entry *entry = archive_entry_new();

	unlink(path);
	assert_int_equal(archive_write_add_filter_by_name(a, filter), ARCHIVE_OK);
	assert_int_equal(archive_write_set_format_raw(a), ARCHIVE_OK);
	assert_int_equal(archive_write_open_filename(a, path), ARCHIVE_OK);
	archive_entry_set_filetype(entry, AE_IFREG);
	archive_entry_set_pathname(entry, "data");
	assert_int_equal(archive_write_header(a, entry), ARCHIVE_OK);
	assert_int_equal(archive_write_data(a, data, size), size);
	archive_entry_free(entry);
	assert_int_equal(archive_write_free(a), ARCHIVE_OK);
	return path;
}

static UNUSED int remove_dir(void **state)
{
	static const char *const names[] = { "a", "b", "c", "d", "a.gz", "a.xz", "a.zst", "big" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		unlink(sample_path(names[i]));
	return rmdir(sample_dir);
}

/* ---- requests as text ---- */

struct report {
	unsigned int count;
	uint64_t positions[16];
	char why[16][96];
};

static UNUSED void keep_report(void *context, const char *file, uint64_t position, const char *why)
{
	struct report *report = context;

	assert_non_null(file);
	assert_non_null(why);
	if (report->count < 16) {
		report->positions[report->count] = position;
		snprintf(report->why[report->count], sizeof(report->why[0]), "%s", why);
	}
	report->count++;
}

static UNUSED struct trace *open_one(const char *path, const struct trace_options *options)
{
	char error[512] = "";
	struct trace *trace = trace_open(&path, 1, options, error, sizeof(error));

	if (!trace)
		fail_msg("%s", error);
	return trace;
}

/* The message of a trace_open() that must fail. */
static UNUSED const char *open_error(const char *path, const struct trace_options *options)
{
	static char error[512];
	struct trace *trace;

	error[0] = 0;
	trace = trace_open(&path, 1, options, error, sizeof(error));
	assert_null(trace);
	assert_true(error[0]);
	return error;
}

static UNUSED void assert_contains(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("'%s' is not in '%s'", part, text);
}

static UNUSED char *read_requests(struct trace *trace, int *result)
{
	static char text[1 << 16];
	struct trace_request r;
	size_t length = 0;

	text[0] = 0;
	while ((*result = trace_next(trace, &r)) > 0) {
		char flags[5], *f = flags;

		if (r.flags & TRACE_PREFLUSH)
			*f++ = 'P';
		if (r.flags & TRACE_FUA)
			*f++ = 'F';
		if (r.flags & TRACE_SYNC)
			*f++ = 'S';
		if (r.flags & TRACE_META)
			*f++ = 'M';
		if (f == flags)
			*f++ = '-';
		*f = 0;
		length += snprintf(text + length, sizeof(text) - length, "%c %s %llu %llu %llu %llu\n",
				   "RWFDZ"[r.op], flags, (unsigned long long)r.device,
				   (unsigned long long)r.offset, (unsigned long long)r.length,
				   (unsigned long long)r.time_ns);
		assert_true(length < sizeof(text));
	}
	return text;
}

/* Twice, with a rewind between: the same requests. */
static UNUSED void assert_requests(struct trace *trace, const char *expected)
{
	for (unsigned int round = 0; round < 2; round++) {
		int r;
		const char *text = read_requests(trace, &r);

		assert_string_equal(text, expected);
		if (r < 0)
			fail_msg("%s", trace_error(trace));
		assert_int_equal(trace_rewind(trace), 0);
	}
}

/* ---- one sample of each format ---- */

#define QUEUE 1
#define ISSUE 7
#define COMPLETE 8
#define REQUEUE 6
#define CAT(bit) (1u << (16 + (bit)))
#define READ_CAT CAT(0)
#define WRITE_CAT CAT(1)
#define FLUSH_CAT CAT(2)
#define SYNC_CAT CAT(3)
#define PASSTHROUGH_CAT CAT(9)
#define NOTIFY_CAT CAT(10)
#define META_CAT CAT(12)
#define DISCARD_CAT CAT(13)
#define FUA_CAT CAT(15)
#define CGROUP 0x100

static UNUSED void put_event(struct bytes *b, uint32_t cpu, uint32_t sequence, uint64_t time, uint32_t action,
			     uint64_t sector, uint32_t bytes, unsigned int pdu)
{
	put(b, 0x65617407, 4);
	put(b, sequence, 4);
	put(b, time, 8);
	put(b, sector, 8);
	put(b, bytes, 4);
	put(b, action, 4);
	put(b, 42, 4);		/* pid */
	put(b, 8 << 20 | 1, 4);	/* device */
	put(b, cpu, 4);
	put(b, 0, 2);
	put(b, pdu, 2);
	put_zeroes(b, pdu);
}

static UNUSED void put_log_super(struct bytes *b, uint64_t entries, uint32_t sector_size)
{
	put(b, 0x6a736677736872, 8);
	put(b, 1, 8);
	put(b, entries, 8);
	put(b, sector_size, 4);
	put_zeroes(b, sector_size - 28);
}

static UNUSED void put_log_entry(struct bytes *b, uint32_t sector_size, uint64_t sector, uint64_t sectors,
				 uint64_t flags, uint64_t text)
{
	put(b, sector, 8);
	put(b, sectors, 8);
	put(b, flags, 8);
	put(b, text, 8);
	put_zeroes(b, sector_size - 32);
	if (!(flags & 4))
		put_zeroes(b, sectors * sector_size);
}

static UNUSED void put_vscsi(struct bytes *b, unsigned int version, unsigned int cmd, uint32_t len, uint64_t lbn,
			     uint64_t ts)
{
	if (version == 2) {
		put(b, cmd, 2);
		put(b, 2 << 8, 2);
	}
	put(b, 7, 4);
	put(b, len, 4);
	put(b, 1, 4);
	if (version == 1) {
		put(b, cmd, 2);
		put(b, 1 << 8, 2);
	}
	put(b, lbn, 8);
	put(b, ts, 8);
	if (version == 2)
		put(b, 900, 8);
}

struct sample {
	const char *name;	/* of the sample */
	const char *format;
	const char *text;	/* or: */
	void (*make)(struct bytes *b);
	const char *expected;
};

static UNUSED void make_blktrace(struct bytes *b)
{
	put_event(b, 0, 0, 50, NOTIFY_CAT | 1, 0, 0, 8);	/* the number of a queue event */
	put_event(b, 0, 1, 100, QUEUE | READ_CAT, 8, 4096, 0);
	put_event(b, 0, 2, 110, 15 | READ_CAT, 8, 4096, 16);	/* remap */
	put_event(b, 0, 3, 200, QUEUE | CGROUP | WRITE_CAT | SYNC_CAT, 16, 8192, 8);
	put_event(b, 0, 4, 210, ISSUE | WRITE_CAT | SYNC_CAT, 16, 8192, 0);
	put_event(b, 0, 5, 300, QUEUE | WRITE_CAT | DISCARD_CAT, 1024, 65536, 0);
	put_event(b, 0, 6, 400, QUEUE | WRITE_CAT | FLUSH_CAT | SYNC_CAT, 0, 0, 0);
	put_event(b, 0, 7, 500, QUEUE | WRITE_CAT | FLUSH_CAT | SYNC_CAT | FUA_CAT | META_CAT, 32, 1024, 0);
	put_event(b, 0, 8, 600, COMPLETE | WRITE_CAT, 16, 8192, 0);
	put_event(b, 0, 9, 700, QUEUE | WRITE_CAT, 5, 0, 0);	/* nothing */
	put_event(b, 0, 10, 800, QUEUE | PASSTHROUGH_CAT | READ_CAT, 0, 36, 0);
}

static UNUSED void make_blktrace_big(struct bytes *b)
{
	b->big = true;
	make_blktrace(b);
}

static UNUSED void make_dmlog(struct bytes *b)
{
	put_log_super(b, 6, 512);
	put_log_entry(b, 512, 8, 2, 0, 0);
	put_log_entry(b, 512, 0, 0, 1 | 2 | 16, 0);
	put_log_entry(b, 512, 16, 1, 2 | 16, 0);
	put_log_entry(b, 512, 0, 0, 8, 4);	/* a mark */
	put_log_entry(b, 512, 1024, 2048, 4, 0);
	put_log_entry(b, 512, 24, 1, 1, 0);
}

static UNUSED void make_dmlog_4k(struct bytes *b)
{
	put_log_super(b, 2, 4096);
	put_log_entry(b, 4096, 3, 2, 0, 0);
	put_log_entry(b, 4096, 0, 0, 1, 0);
}

static UNUSED void make_vscsi1(struct bytes *b)
{
	put_vscsi(b, 1, 0x2a, 4096, 80, 5000000);
	put_vscsi(b, 1, 0x28, 512, 7, 5000001);
	put_vscsi(b, 1, 0x35, 0, 0, 5000002);
	put_vscsi(b, 1, 0x12, 96, 0, 5000003);	/* inquiry */
	put_vscsi(b, 1, 0x8a, 1536, 1ull << 33, 5000010);
}

static UNUSED void make_vscsi2(struct bytes *b)
{
	put_vscsi(b, 2, 0x2a, 4096, 80, 5000000);
	put_vscsi(b, 2, 0x88, 512, 7, 5000001);
	put_vscsi(b, 2, 0x0a, 512, 9, 5000002);
}

static const struct sample samples[] UNUSED = {
	{ "blktrace", "blktrace", NULL, make_blktrace,
	  "R - 0 4096 4096 0\nW S 0 8192 8192 100\nD - 0 524288 65536 200\nF S 0 0 0 300\n"
	  "W PFSM 0 16384 1024 400\n" },
	{ "blktrace, big-endian", "blktrace", NULL, make_blktrace_big,
	  "R - 0 4096 4096 0\nW S 0 8192 8192 100\nD - 0 524288 65536 200\nF S 0 0 0 300\n"
	  "W PFSM 0 16384 1024 400\n" },
	{ "blkparse", "blkparse",
	  "253,0    0        1     0.000000000   138  Q  RA 8 + 8 [mkfs.ext4]\n"
	  "253,0    0        2     0.000000100     0  C  RA 8 + 8 [0]\n"
	  "  8,1    3       77     1.000000000   142  Q FWFSM 32 + 2 [jbd2/dm-0-8]\n"
	  "253,0    1      829     1.676234750   240  Q FWS [a 1 + 2]]\n"
	  "253,0    1      830     1.676847450     0  C FWS 0 [0]\n"
	  "253,0    1      831     2.000000000     1  Q  DS 1024 + 128 [fstrim x]\n"
	  "253,0    1      832     2.000000000     1  A   W 16 + 8 <- (253,1) 8\n"
	  "253,0    1      833     2.000000001     1  m   N cfq schedule\n"
	  "253,0    1      834     2.000000002     1  P   N [dd]\n"
	  "253,0    1      835     2.000000003     1  U   N [dd] 1\n"
	  "253,0    1      836     2.000000004     1  X   W 16 / 20 [dd]\n"
	  "253,0    1      837     2.000000005     1  D   R 36 (12 00 00 00 24 00 ..) [udev]\n"
	  "253,0    1      838     2.000000006     1  Q   W 16 + 16 [dd]\n"
	  "CPU0 (dm-0):\n"
	  " Reads Queued:           1,        4KiB\n", NULL,
	  "R - 0 4096 4096 0\nW PFSM 1 16384 1024 1000000000\nF S 0 0 0 1676234750\n"
	  "D S 0 524288 65536 2000000000\nW - 0 8192 8192 2000000006\n" },
	{ "fio 3", "fio",
	  "fio version 3 iolog\n26 f add\n414 f open\n420 f write 249856 4096\n457 f read 512 1024\n"
	  "573 f sync 1683456 0\n600 g write 0 512\n700 f datasync 0 0\n701 f trim 4096 8192\n3423 f close\n", NULL,
	  "W - 0 249856 4096 0\nR - 0 512 1024 37000\nF - 0 0 0 153000\nW - 1 0 512 180000\n"
	  "F - 0 0 0 280000\nD - 0 4096 8192 281000\n" },
	{ "fio 2", "fio",
	  "fio version 2 iolog\nf add\nf open\nf write 249856 4096\nf wait 150 0\nf read 512 1024\n"
	  "f wait 50 0\nf sync 0 0\nf close\n", NULL,
	  "W - 0 249856 4096 0\nR - 0 512 1024 150000\nF - 0 0 0 200000\n" },
	{ "dm-log-writes", "dm-log-writes", NULL, make_dmlog,
	  "W - 0 4096 1024 0\nF FM 0 0 0 0\nW FM 0 8192 512 0\nD - 0 524288 1048576 0\nW P 0 12288 512 0\n" },
	{ "dm-log-writes, 4 KiB sectors", "dm-log-writes", NULL, make_dmlog_4k,
	  "W - 0 12288 8192 0\nF - 0 0 0 0\n" },
	{ "MSR", "msr",
	  "128166372003061629,hm,1,Read,383496192,32768,413\n"
	  "128166372003061630,hm,0,Write,0,512,1\n"
	  "128166372013061629,web,1,Write,8589934592,4096,0\n", NULL,
	  "R - 0 383496192 32768 0\nW - 1 0 512 100\nW - 2 8589934592 4096 1000000000\n" },
	{ "SPC", "spc",
	  "0,303567,3584,w,0.000000\n1, 55590, 3072, R, 0.5\n0,303574,3584,W,1.026214,extra,7\n", NULL,
	  "W - 0 155426304 3584 0\nR - 1 28462080 3072 500000000\nW - 0 155429888 3584 1026214000\n" },
	{ "Alibaba", "alibaba",
	  "419,W,8792731648,16384,1577808000000068\n725,R,59110326272,362496,1577808000000071\n"
	  "419,W,8792748032,512,1577808000000100\n", NULL,
	  "W - 0 8792731648 16384 0\nR - 1 59110326272 362496 3000\nW - 0 8792748032 512 32000\n" },
	{ "Tencent", "tencent",
	  "1538323200,12910952,128,0,1063\n1538323200,6338688,8,1,1627\n1538323201,1904106400,384,0,1063\n", NULL,
	  "R - 0 6610407424 65536 0\nW - 1 3245408256 4096 0\nR - 0 974902476800 196608 1000000000\n" },
	{ "K5", "k5",
	  "1,1483617601.123456,W,20480,4096\n2,1483617601.123457,R,0,512\n1,1483617602.5,W,24576,4096\n", NULL,
	  "W - 0 20480 4096 0\nR - 1 0 512 1000\nW - 0 24576 4096 1376544000\n" },
	{ "SYSTOR '17", "systor17",
	  "Timestamp,Response,IOType,LUN,Offset,Size\n1455592511.221344027,,W,0,512,4096\n"
	  "1455592511.221344028,0.000211,R,4,1048576,8192\n1455592512.0,0.1,W,0,4608,512\n", NULL,
	  "W - 0 512 4096 0\nR - 1 1048576 8192 1\nW - 0 4608 512 778655973\n" },
	{ "FIU", "fiu",
	  "329131208190249 4892 syslogd 904265560 8 W 6 0 531e779025734e51cd3cbbff2ae4b9bb\n"
	  "329131208190250 9 a b c 8 16 R 8 1 00000000000000000000000000000000\n"
	  "329131208190349 4892 syslogd 904265568 8 W 6 0 531E779025734E51CD3CBBFF2AE4B9BB\n", NULL,
	  "W - 0 462983966720 4096 0\nR - 1 4096 8192 1\nW - 0 462983970816 4096 100\n" },
	{ "DiskSim, ms", "disksim",
	  "13.191135\t30\t0\t5\t1\n17.829285\t20\t576560\t6\t0\n24.314779\t30\t7\t24\t1\n", NULL,
	  "R - 0 0 2560 0\nW - 1 295198720 3072 4638150\nR - 0 3584 12288 11123644\n" },
	{ "DiskSim, ns", "disksim", "938513000 4 264719034 16 0\n938828000 3 1 16 1\n", NULL,
	  "W - 0 135536145408 8192 0\nR - 1 512 8192 315000\n" },
	{ "vscsi 1", "vscsi", NULL, make_vscsi1,
	  "W - 0 40960 4096 0\nR - 0 3584 512 1000\nF - 0 0 0 2000\nW - 0 4398046511104 1536 10000\n" },
	{ "vscsi 2", "vscsi", NULL, make_vscsi2, "W - 0 40960 4096 0\nR - 0 3584 512 1000\nW - 0 4608 512 2000\n" },
};

#define NR_SAMPLES (sizeof(samples) / sizeof(samples[0]))

static UNUSED const struct bytes *sample_bytes(const struct sample *sample)
{
	static struct bytes b;

	memset(&b, 0, sizeof(b));
	if (sample->text)
		put_text(&b, sample->text);
	else
		sample->make(&b);
	return &b;
}

#endif /* TRACE_SAMPLES_H */
