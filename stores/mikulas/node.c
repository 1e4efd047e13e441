// SPDX-License-Identifier: GPL-2.0
/*
 * Blocks of the tree and of the maps: seal, check, pack and unpack.
 *
 * A node is packed by frame of reference: per field the least value and the bytes that the greatest
 * difference needs. With one snapshot an exception of a random chunk takes five or six bytes; 137
 * entries fit whatever they hold.
 *
 * What block_check() has passed can be read without further thought: counts fit, keys ascend,
 * ranges of a chunk do not overlap. What only the parent knows (seq, first key, bound) its reader
 * checks.
 */
#include "format.h"

static const u8 leaf_width_max[NODE_FIELDS] = { 7, 4, 4, 4, 4, 6 };
static const u8 inner_width_max[NODE_FIELDS] = { 7, 4, 4, 6, 8, 0 };

static inline void entry_fields(const struct entry *entry, unsigned int level, u64 f[NODE_FIELDS])
{
	f[0] = entry->chunk;
	f[1] = snapid_high(entry->from);
	f[2] = snapid_sub(entry->from);
	if (level) {
		f[3] = entry->a;
		f[4] = entry->b;
		f[5] = 0;
	} else {
		f[3] = snapid_high(entry->a);
		f[4] = snapid_sub(entry->a);
		f[5] = entry->b;
	}
}

static inline unsigned int bytes_for(u64 difference)
{
	return (fls64(difference) + 7) / 8;
}

unsigned int node_prefix(const struct entry *entries, unsigned int n, unsigned int level)
{
	u64 low[NODE_FIELDS], high[NODE_FIELDS], f[NODE_FIELDS];
	unsigned int i, j, stride = 0;

	entry_fields(&entries[0], level, low);
	memcpy(high, low, sizeof(high));
	for (i = 1; i < n && i < NODE_ENTRIES_MAX; i++) {
		bool wider = false;

		entry_fields(&entries[i], level, f);
		for (j = 0; j < NODE_FIELDS; j++) {
			if (f[j] < low[j]) {
				low[j] = f[j];
				wider = true;
			} else if (f[j] > high[j]) {
				high[j] = f[j];
				wider = true;
			}
		}
		if (wider) {
			stride = 0;
			for (j = 0; j < NODE_FIELDS; j++)
				stride += bytes_for(high[j] - low[j]);
		}
		if ((i + 1) * stride > NODE_ROOM)
			break;
	}
	return i;
}

/* The least and the greatest value of each field. */
static void field_bounds(const struct entry *entries, unsigned int n, unsigned int level, u64 *low,
			 u64 *high)
{
	u64 f[NODE_FIELDS];
	unsigned int i, j;

	entry_fields(&entries[0], level, low);
	memcpy(high, low, sizeof(f));
	for (i = 1; i < n; i++) {
		entry_fields(&entries[i], level, f);
		for (j = 0; j < NODE_FIELDS; j++) {
			low[j] = min(low[j], f[j]);
			high[j] = max(high[j], f[j]);
		}
	}
}

unsigned int node_bytes(const struct entry *entries, unsigned int n, unsigned int level)
{
	u64 low[NODE_FIELDS], high[NODE_FIELDS];
	unsigned int j, stride = 0;

	field_bounds(entries, n, level, low, high);
	for (j = 0; j < NODE_FIELDS; j++)
		stride += bytes_for(high[j] - low[j]);
	return n * stride;
}

bool node_build(struct node_disk *node, const struct entry *entries, unsigned int n,
		unsigned int level, u64 seq)
{
	u64 low[NODE_FIELDS], high[NODE_FIELDS], f[NODE_FIELDS];
	unsigned int i, j, k, stride = 0;
	u8 *p = node->entries;

	if (!n || n > NODE_ENTRIES_MAX)
		return false;
	field_bounds(entries, n, level, low, high);
	for (j = 0; j < NODE_FIELDS; j++)
		stride += bytes_for(high[j] - low[j]);
	if (n * stride > NODE_ROOM)
		return false;
	memset(node, 0, sizeof(*node));
	node->magic = cpu_to_le32(NODE_MAGIC);
	node->seq = cpu_to_le64(seq);
	node->count = cpu_to_le16(n);
	node->level = level;
	for (j = 0; j < NODE_FIELDS; j++) {
		node->width[j] = bytes_for(high[j] - low[j]);
		node->base[j] = cpu_to_le64(low[j]);
	}
	for (i = 0; i < n; i++) {
		entry_fields(&entries[i], level, f);
		for (j = 0; j < NODE_FIELDS; j++) {
			u64 v = f[j] - low[j];

			for (k = 0; k < node->width[j]; k++) {
				*p++ = v;
				v >>= 8;
			}
		}
	}
	return true;
}

void node_open(struct node_layout *layout, const struct node_disk *node)
{
	unsigned int j, at = 0;

	layout->count = le16_to_cpu(node->count);
	layout->level = node->level;
	for (j = 0; j < NODE_FIELDS; j++) {
		unsigned int width = node->width[j];

		layout->offset[j] = at;
		layout->base[j] = le64_to_cpu(node->base[j]);
		layout->mask[j] = width == 8 ? U64_MAX : (1ULL << (8 * width)) - 1;
		at += width;
	}
	layout->stride = at;
}

/* The eight reserved bytes behind the entries make it safe to load eight at once. */
static inline u64 field(const struct node_layout *layout, const u8 *p, unsigned int j)
{
	return layout->base[j] + (get_unaligned_le64(p + layout->offset[j]) & layout->mask[j]);
}

void node_entry(const struct node_layout *layout, const struct node_disk *node, unsigned int i,
		struct entry *entry)
{
	const u8 *p = node->entries + i * layout->stride;

	entry->chunk = field(layout, p, 0);
	entry->from = snapid_make(field(layout, p, 1), field(layout, p, 2));
	if (layout->level) {
		entry->a = field(layout, p, 3);
		entry->b = field(layout, p, 4);
	} else {
		entry->a = snapid_make(field(layout, p, 3), field(layout, p, 4));
		entry->b = field(layout, p, 5);
	}
}

int node_find(const struct node_layout *layout, const struct node_disk *node, u64 chunk, u64 from)
{
	int low = 0, high = layout->count;

	/* entries [0, low) are <= the key, [high, count) are above */
	while (low < high) {
		int mid = (low + high) / 2;
		const u8 *p = node->entries + mid * layout->stride;
		u64 c = field(layout, p, 0);
		bool above = c > chunk;

		if (c == chunk)
			above = snapid_make(field(layout, p, 1), field(layout, p, 2)) > from;
		if (above)
			high = mid;
		else
			low = mid + 1;
	}
	return low - 1;
}

void block_seal(void *data, mblock_t location)
{
	struct block_header_disk *header = data;

	header->location = cpu_to_le64(location);
	header->crc = 0;
	header->crc = cpu_to_le32(~crc32c(~0U, data, MBLOCK_BYTES));
}

static const char *check_fields(const struct node_disk *node, unsigned int count)
{
	const u8 *width_max = node->level ? inner_width_max : leaf_width_max;
	unsigned int j, stride = 0;

	for (j = 0; j < NODE_FIELDS; j++) {
		u64 base = le64_to_cpu(node->base[j]);
		u64 limit = j == 0 ? EXCEPTION_CHUNK_END : U32_MAX;

		if (node->width[j] > width_max[j])
			return "field width";
		if (node->level && j == 5 && base)
			return "unused field";
		if ((j == 0 || j == 1 || j == 2 || (!node->level && j < 5)) && base > limit)
			return "field base";
		stride += node->width[j];
	}
	if (count * stride > NODE_ROOM)
		return "size of entries";
	if (memchr_inv(node->entries + count * stride, 0, NODE_ROOM - count * stride))
		return "bytes behind the entries";
	return NULL;
}

/* Differences may carry a field over its limit; values are checked one by one. */
static const char *check_values(const struct node_layout *layout, const u8 *p)
{
	unsigned int last = layout->level ? 2 : 4, j;

	if (field(layout, p, 0) > EXCEPTION_CHUNK_END)
		return "chunk number";
	for (j = 1; j <= last; j++) {
		if (field(layout, p, j) > U32_MAX)
			return "snapshot number";
	}
	return NULL;
}

static const char *check_entries(const struct node_disk *node)
{
	struct node_layout layout;
	struct entry entry, previous = { 0 };
	const char *wrong;
	unsigned int i;

	node_open(&layout, node);
	for (i = 0; i < layout.count; i++) {
		wrong = check_values(&layout, node->entries + i * layout.stride);
		if (wrong)
			return wrong;
		node_entry(&layout, node, i, &entry);
		if (i && key_cmp(previous.chunk, previous.from, entry.chunk, entry.from) >= 0)
			return "order of keys";
		if (entry.from == SNAPID_ORIGIN)
			return "reserved snapshot number";
		if (!layout.level) {
			if (entry.from > entry.a || entry.a == SNAPID_ORIGIN)
				return "range";
			if (entry.chunk == SNAPSHOT_KEY_CHUNK &&
			    (entry.from != entry.a || entry.b > U32_MAX))
				return "snapshot entry";
			if (i && previous.chunk == entry.chunk && previous.a >= entry.from)
				return "overlapping ranges";
		}
		previous = entry;
	}
	return NULL;
}

static const char *check_node(const struct node_disk *node)
{
	unsigned int count = le16_to_cpu(node->count);
	const char *wrong;

	if (!count || count > NODE_ENTRIES_MAX)
		return "count of entries";
	if (node->level >= TREE_DEPTH_MAX)
		return "level";
	if (memchr_inv(node->reserved1, 0, sizeof(node->reserved1)) ||
	    memchr_inv(node->reserved2, 0, sizeof(node->reserved2)) ||
	    memchr_inv(node->reserved3, 0, sizeof(node->reserved3)))
		return "reserved bytes";
	wrong = check_fields(node, count);
	return wrong ? wrong : check_entries(node);
}

const char *block_check(const void *data, mblock_t location)
{
	const struct block_header_disk *header = data;
	static const u8 zero[4];
	u32 crc;

	if (le32_to_cpu(header->magic) != NODE_MAGIC && le32_to_cpu(header->magic) != MAP_MAGIC)
		return "magic";
	if (le64_to_cpu(header->location) != location)
		return "location";
	crc = crc32c(~0U, data, offsetof(struct block_header_disk, crc));
	crc = crc32c(crc, zero, sizeof(zero));
	crc = crc32c(crc, (const u8 *)data + 8, MBLOCK_BYTES - 8);
	if (~crc != le32_to_cpu(header->crc))
		return "checksum";
	if (le32_to_cpu(header->magic) == NODE_MAGIC)
		return check_node(data);
	if (memchr_inv(((const struct map_disk *)data)->reserved, 0,
		       sizeof(((const struct map_disk *)data)->reserved)))
		return "reserved bytes";
	return NULL;
}
