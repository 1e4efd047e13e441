// SPDX-License-Identifier: GPL-2.0
/*
 * Arguments of tables and messages: words to numbers, with no leniency.
 *
 * Numbers are unsigned decimal: no sign, no blank, nothing behind, no wrap-around. Each failure
 * names the argument it is about.
 */
#include "multisnap.h"

int dm_multisnap_parse_uint64(const char *word, u64 *value)
{
	u64 v = 0;

	if (!*word)
		return -EINVAL;
	/*
	 * All characters are looked at first: "99999999999999999999x" is malformed, not too
	 * large.
	 */
	for (const char *p = word; *p; p++)
		if (*p < '0' || *p > '9')
			return -EINVAL;

	for (; *word; word++) {
		unsigned int digit = *word - '0';

		if (v > div_u64(U64_MAX - digit, 10))
			return -ERANGE;
		v = v * 10 + digit;
	}
	*value = v;
	return 0;
}
EXPORT_SYMBOL_GPL(dm_multisnap_parse_uint64);

int dm_multisnap_get_string(struct dm_arg_set *as, const char **string, char *what, char **error)
{
	const char *word = dm_shift_arg(as);

	if (!word || !*word) {
		*error = what;
		return -EINVAL;
	}
	*string = word;
	return 0;
}
EXPORT_SYMBOL_GPL(dm_multisnap_get_string);

int dm_multisnap_get_uint64(struct dm_arg_set *as, u64 *value, char *what, char **error)
{
	const char *word;
	int r = dm_multisnap_get_string(as, &word, what, error);

	if (r)
		return r;
	r = dm_multisnap_parse_uint64(word, value);
	if (r)
		*error = what;
	return r;
}
EXPORT_SYMBOL_GPL(dm_multisnap_get_uint64);

int dm_multisnap_get_uint(struct dm_arg_set *as, unsigned int *value, char *what, char **error)
{
	u64 v;
	int r = dm_multisnap_get_uint64(as, &v, what, error);

	if (r)
		return r;
	if (v > UINT_MAX) {
		*error = what;
		return -ERANGE;
	}
	*value = v;
	return 0;
}
EXPORT_SYMBOL_GPL(dm_multisnap_get_uint);

int dm_multisnap_get_argcount(struct dm_arg_set *as, unsigned int *count, char *what, char **error)
{
	u64 v;
	int r = dm_multisnap_get_uint64(as, &v, what, error);

	if (r)
		return r;
	/* Also keeps what is allocated by count within what the caller has passed. */
	if (v > as->argc) {
		*error = what;
		return v > UINT_MAX ? -ERANGE : -EINVAL;
	}
	*count = v;
	return 0;
}
EXPORT_SYMBOL_GPL(dm_multisnap_get_argcount);

int multisnap_parse_chunk_size(struct multisnap_args *args, struct dm_arg_set *as, char **error)
{
	u64 sectors;
	int r = dm_multisnap_get_uint64(as, &sectors, "Invalid chunk size", error);

	if (r)
		return r;
	if (sectors > bytes_to_sectors(MULTISNAP_MAX_CHUNK_BYTES)) {
		*error = "Chunk size too large";
		return -ERANGE;
	}
	if (!is_power_of_2(sectors)) {
		*error = "Chunk size is not a power of two";
		return -EINVAL;
	}
	args->chunk_sectors = sectors;
	return 0;
}

int multisnap_parse_generic(struct multisnap_args *args, struct dm_arg_set *as, char **error)
{
	unsigned int count;
	int r = dm_multisnap_get_argcount(as, &count, "Invalid number of generic arguments", error);

	if (r)
		return r;
	while (count--) {
		const char *word;

		r = dm_multisnap_get_string(as, &word, "Empty generic argument", error);
		if (r)
			return r;
		if (!strcasecmp(word, "sync-snapshots")) {
			args->sync_snapshots = true;
		} else if (!strcasecmp(word, "preserve-on-error")) {
			args->preserve_on_error = true;
		} else {
			*error = "Unknown generic argument";
			return -EINVAL;
		}
	}
	return 0;
}

int multisnap_read_snapid(struct dm_multisnap *s, const char *text, snapid_t *id)
{
	int r;

	if (s->ops->read_snapid)
		r = s->ops->read_snapid(s->store, text, id);
	else
		r = dm_multisnap_parse_uint64(text, id);
	/* Taken as a snapshot, it would run snapshot I/O through the origin's paths (H12). */
	if (!r && *id == SNAPID_ORIGIN)
		r = -EINVAL;
	return r;
}

/* For sort(). */
int multisnap_compare_snapids(const void *a, const void *b)
{
	snapid_t x = *(const snapid_t *)a, y = *(const snapid_t *)b;

	return x < y ? -1 : x > y;
}
