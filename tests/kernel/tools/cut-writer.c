// SPDX-License-Identifier: GPL-2.0
/*
 * Writes that can be judged after a power cut.
 *
 *   cut-writer write DEVICE LOG LINEAGE FIRST COUNT SEQ STOP
 *        writes to the sectors FIRST..FIRST+COUNT of DEVICE, one write at a time, until the file STOP exists
 *   cut-writer verify DEVICE BASE LINEAGE NEW-BASE [LOG]...
 *        is DEVICE what BASE and the logs allow? NEW-BASE becomes what it is
 *
 * Method. The n-th write's place, length and contents follow from its number and the lineage (which device
 * it is for). A write is logged, and the log is with the host, after it was acknowledged and before the next is
 * sent. So each sector must be: as the last logged write to it, else as in BASE; or as the one write
 * behind the last logged one, which was perhaps on its way. Anything else is a lost write, a write that came late, or
 * foreign data.
 */
#include <err.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SECTOR = 512, WORDS = SECTOR / 8, LENGTH_MAX = 64, LOGS_MAX = 8 };

struct log_header {
	uint64_t lineage, first, count, seq;
};

struct extent {
	uint64_t sector, count;
};

struct log {
	struct log_header head;
	uint64_t last; /* the last write that was logged; before the first: one less than its number */
};

static uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15ull;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
	return x ^ (x >> 31);
}

/* Half of the writes are short; a quarter begin on a border of 4 KiB. */
static struct extent place(const struct log_header *h, uint64_t seq)
{
	uint64_t r = mix(seq ^ mix(h->lineage));
	struct extent e;

	e.count = 1 + (r & 1 ? (r >> 8) % 8 : (r >> 8) % LENGTH_MAX);
	if (e.count > h->count)
		e.count = h->count;
	e.sector = (r >> 20) % (h->count - e.count + 1);
	if ((r & 6) == 6)
		e.sector &= ~7ull;
	e.sector += h->first;
	return e;
}

static void contents(uint64_t *words, uint64_t lineage, uint64_t seq, uint64_t sector)
{
	words[0] = 0x7265746972777563ull;
	words[1] = seq;
	words[2] = sector;
	words[3] = lineage;
	for (int i = 4; i < WORDS; i++)
		words[i] = mix(words[i - 1] ^ seq ^ sector << 32 ^ lineage << 56);
}

static uint64_t number(const char *text)
{
	char *end;
	uint64_t n = strtoull(text, &end, 10);

	if (!*text || *end)
		errx(2, "'%s' is no number", text);
	return n;
}

static void *aligned(size_t size)
{
	void *p;

	if (posix_memalign(&p, 4096, size))
		errx(2, "no memory");
	return p;
}

/* ---- write ---- */

static void append(int fd, const void *data, size_t size)
{
	if (write(fd, data, size) != (ssize_t)size || fsync(fd))
		err(1, "log");
}

static int do_write(char **argv)
{
	struct log_header h = { number(argv[2]), number(argv[3]), number(argv[4]), number(argv[5]) };
	uint64_t *data = aligned(LENGTH_MAX * SECTOR);
	int dev = open(argv[0], O_RDWR | O_DIRECT);
	int log = open(argv[1], O_WRONLY | O_CREAT | O_EXCL, 0644);

	if (dev < 0)
		err(1, "%s", argv[0]);
	if (log < 0)
		err(1, "%s", argv[1]);
	append(log, &h, sizeof(h));
	for (uint64_t seq = h.seq; access(argv[6], F_OK); seq++) {
		struct extent e = place(&h, seq);
		size_t size = e.count * SECTOR;

		for (uint64_t i = 0; i < e.count; i++)
			contents(data + i * WORDS, h.lineage, seq, e.sector + i);
		if (pwrite(dev, data, size, (off_t)(e.sector * SECTOR)) != (ssize_t)size)
			err(1, "%s: write %" PRIu64 " of %" PRIu64 " sectors at %" PRIu64, argv[0], seq, e.count, e.sector);
		append(log, &seq, sizeof(seq));
	}
	return 0;
}

/* ---- verify ---- */

static unsigned char *read_file(const char *name, size_t *size, int flags)
{
	int fd = open(name, O_RDONLY | flags);
	off_t end = fd < 0 ? -1 : lseek(fd, 0, SEEK_END);
	unsigned char *data;

	if (end < 0)
		err(2, "%s", name);
	data = aligned((size_t)end + 1);
	for (off_t at = 0; at < end;) {
		size_t piece = end - at > 1 << 20 ? 1 << 20 : (size_t)(end - at);
		ssize_t r = pread(fd, data + at, piece, at);

		if (r <= 0)
			err(1, "%s: read at %lld", name, (long long)at);
		at += r;
	}
	close(fd);
	*size = (size_t)end;
	return data;
}

/*
 * The number of the last logged write to each sector, 0: none. A log that ends within a number was cut there:
 * its write was acknowledged, but the log does not say so; it counts as on its way.
 */
static struct log load_log(const char *name, uint64_t lineage, uint64_t *acked, uint64_t sectors)
{
	size_t size;
	unsigned char *data = read_file(name, &size, 0);
	struct log log = { .last = 0 };

	if (size < sizeof(log.head)) {
		free(data);
		return log;
	}
	memcpy(&log.head, data, sizeof(log.head));
	if (log.head.lineage != lineage || log.head.first + log.head.count > sectors || !log.head.seq)
		errx(2, "%s is not a log of this device", name);
	log.last = log.head.seq - 1;
	for (size_t at = sizeof(log.head); at + 8 <= size; at += 8) {
		uint64_t seq;
		struct extent e;

		memcpy(&seq, data + at, 8);
		if (seq != log.last + 1)
			errx(2, "%s: %" PRIu64 " after %" PRIu64, name, seq, log.last);
		log.last = seq;
		e = place(&log.head, seq);
		for (uint64_t i = 0; i < e.count; i++)
			acked[e.sector + i] = seq;
	}
	free(data);
	return log;
}

static bool is_write(const unsigned char *sector_data, uint64_t lineage, uint64_t seq, uint64_t sector)
{
	uint64_t wanted[WORDS];

	contents(wanted, lineage, seq, sector);
	return !memcmp(sector_data, wanted, SECTOR);
}

static bool on_its_way(const struct log *log, const unsigned char *data, uint64_t sector)
{
	struct extent e;

	if (!log->head.seq)
		return false;
	e = place(&log->head, log->last + 1);
	return sector >= e.sector && sector < e.sector + e.count &&
	       is_write(data, log->head.lineage, log->last + 1, sector);
}

static void complain(const char *name, uint64_t sector, uint64_t acked, const unsigned char *data)
{
	uint64_t w[4];

	memcpy(w, data, sizeof(w));
	warnx("%s: sector %" PRIu64 " is wrong: expected %s %" PRIu64 ", has words %016" PRIx64 " %" PRIu64 " %" PRIu64 " %" PRIu64,
	      name, sector, acked ? "write" : "what it was, write", acked, w[0], w[1], w[2], w[3]);
}

static int do_verify(int argc, char **argv)
{
	uint64_t lineage = number(argv[2]), sectors, writes = 0, in_flight = 0, wrong = 0, *acked;
	struct log logs[LOGS_MAX];
	size_t size, base_size;
	unsigned char *data, *base;
	int count = argc - 4, fd;

	if (count > LOGS_MAX)
		errx(2, "too many logs");
	data = read_file(argv[0], &size, O_DIRECT);
	base = read_file(argv[1], &base_size, 0);
	if (size != base_size)
		errx(1, "%s has %zu bytes, %s has %zu", argv[0], size, argv[1], base_size);
	sectors = size / SECTOR;
	acked = calloc(sectors, sizeof(*acked));
	if (!acked)
		errx(2, "no memory");
	for (int i = 0; i < count; i++) {
		logs[i] = load_log(argv[4 + i], lineage, acked, sectors);
		if (logs[i].head.seq)
			writes += logs[i].last + 1 - logs[i].head.seq;
	}
	for (uint64_t s = 0; s < sectors; s++) {
		const unsigned char *here = data + s * SECTOR;
		bool fine = acked[s] ? is_write(here, lineage, acked[s], s) : !memcmp(here, base + s * SECTOR, SECTOR);

		for (int i = 0; i < count && !fine; i++) {
			fine = on_its_way(&logs[i], here, s);
			in_flight += fine;
		}
		if (!fine && wrong++ < 5)
			complain(argv[0], s, acked[s], here);
	}
	if (wrong)
		errx(1, "%s: %" PRIu64 " of %" PRIu64 " sectors are wrong", argv[0], wrong, sectors);
	fd = open(argv[3], O_WRONLY | O_CREAT | O_TRUNC, 0644);
	if (fd < 0 || write(fd, data, size) != (ssize_t)size || close(fd))
		err(2, "%s", argv[3]);
	printf("%" PRIu64 " writes acknowledged, %" PRIu64 " sectors of those on their way\n", writes, in_flight);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 9 && !strcmp(argv[1], "write"))
		return do_write(argv + 2);
	if (argc >= 6 && !strcmp(argv[1], "verify"))
		return do_verify(argc - 2, argv + 2);
	errx(2, "usage: cut-writer write DEVICE LOG LINEAGE FIRST COUNT SEQ STOP | "
		"cut-writer verify DEVICE BASE LINEAGE NEW-BASE [LOG]...");
}
