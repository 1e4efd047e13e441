// SPDX-License-Identifier: GPL-2.0
/*
 * Writes the samples of all trace formats, those of the tests, as seeds: FOLDER/trace_FORMAT/NUMBER, and each of them, as
 * it is and packed, in FOLDER/trace_detect. The folders must be there. ci/fuzz-seeds runs it.
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
	return 0;
}
