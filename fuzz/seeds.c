// SPDX-License-Identifier: GPL-2.0
/*
 * Writes the samples of all trace formats, those of the tests, as seeds: FOLDER/trace_FORMAT/NUMBER, and each of them, as
 * it is and packed, in FOLDER/trace_detect; the base images of mikulas_image and mikulas_image_ops, and bytes for ops
 * and mikulas_image_ops. The folders must be there. ci/fuzz-seeds runs it.
 */
#include "unit/trace_samples.h"

static void write_seed(const char *format, size_t number, const char *filter)
{
	const struct bytes *b = sample_bytes(&samples[number]);
	char name[64];

	snprintf(name, sizeof(name), "trace_%s/%02zu%s%s", format, number, filter ? "-" : "", filter ? filter : "");
	if (filter)
		write_packed(name, filter, b->data, b->size);
	else
		write_file(name, b->data, b->size);
}

/* What has a meaning whatever it is: a function of the seed. */
static void put_bytes(uint8_t *data, size_t size, uint64_t seed)
{
	for (size_t i = 0; i < size; i++) {
		seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
		data[i] = seed >> 56;
	}
}

#define BASES 10	/* image.h */
#define OPS 18

static void write_images(void)
{
	uint8_t data[94] = { 0 }; /* the head, and thirty operations */
	char name[64];

	for (uint8_t base = 0; base < BASES; base++) {
		data[0] = base;
		snprintf(name, sizeof(name), "mikulas_image/base-%u", base);
		write_file(name, data, 4);
		put_bytes(data + 4, sizeof(data) - 4, base);
		snprintf(name, sizeof(name), "mikulas_image_ops/base-%u", base);
		write_file(name, data, sizeof(data));
	}
}

static void write_ops(void)
{
	uint8_t data[400];
	char name[64];

	for (uint8_t i = 0; i < OPS; i++) {
		put_bytes(data, sizeof(data), i);
		data[0] = i % 3;
		data[1] = i / 6;
		snprintf(name, sizeof(name), "ops/%02u", i);
		write_file(name, data, 60 + 20 * i);
	}
}

int main(int argc, char **argv)
{
	static const char *const filters[] = { "gzip", "xz", "zstd" };

	if (argc != 2 || (size_t)snprintf(sample_dir, sizeof(sample_dir), "%s", argv[1]) >= sizeof(sample_dir)) {
		fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
		return 2;
	}
	for (size_t i = 0; i < NR_SAMPLES; i++) {
		write_seed(samples[i].format, i, NULL);
		write_seed("detect", i, NULL);
		if (i < 3)
			write_seed("detect", i, filters[i]);
	}
	write_images();
	write_ops();
	return 0;
}
