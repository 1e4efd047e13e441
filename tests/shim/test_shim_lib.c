// SPDX-License-Identifier: GPL-2.0
/*
 * The kernel's library: lists, trees, numbers, byte order, bitmaps, CRC, sorting. Against slow and
 * obvious ones.
 */
#include <errno.h>

#include "finding.h"

static u64 random_state = 1;

static u32 random_number(u32 below)
{
	random_state = random_state * 6364136223846793005ULL + 1442695040888963407ULL;
	return (u32)(random_state >> 33) % below;
}

/* ---- lists ---- */

struct item {
	int value;
	struct list_head list;
	struct hlist_node hash;
	struct rb_node node;
};

static int digits(struct list_head *head)
{
	struct item *item;
	int forward = 0, backward = 0, scale = 1;

	list_for_each_entry(item, head, list)
		forward = forward * 10 + item->value;
	list_for_each_entry_reverse(item, head, list) {
		backward += item->value * scale;
		scale *= 10;
	}
	assert_int_equal(forward, backward);
	return forward;
}

static void test_list(void **state)
{
	LIST_HEAD(a);
	LIST_HEAD(b);
	struct item items[6], *item, *next;

	for (int i = 0; i < 6; i++)
		items[i].value = i + 1;
	assert_true(list_empty(&a));
	assert_null(list_first_entry_or_null(&a, struct item, list));
	list_add(&items[0].list, &a);
	assert_true(list_is_singular(&a));
	list_add_tail(&items[1].list, &a);
	list_add(&items[2].list, &a);
	assert_false(list_is_singular(&a));
	assert_int_equal(digits(&a), 312);
	list_move(&items[1].list, &a);
	assert_int_equal(digits(&a), 231);
	list_move_tail(&items[1].list, &a);
	assert_int_equal(digits(&a), 312);
	list_add_tail(&items[3].list, &b);
	list_add_tail(&items[4].list, &b);
	list_splice_init(&b, &a);
	assert_int_equal(digits(&a), 45312);
	assert_true(list_empty(&b));
	list_cut_position(&b, &a, &items[2].list);
	assert_int_equal(digits(&b), 453);
	assert_int_equal(digits(&a), 12);
	list_splice_tail_init(&b, &a);
	assert_int_equal(digits(&a), 12453);
	list_move(&items[0].list, &b);
	list_splice(&a, &b);
	assert_int_equal(digits(&b), 24531);
	assert_ptr_equal(list_first_entry(&b, struct item, list), &items[1]);
	assert_ptr_equal(list_last_entry(&b, struct item, list), &items[0]);
	assert_ptr_equal(list_next_entry(&items[1], list), &items[3]);
	list_for_each_entry_safe(item, next, &b, list)
		if (item->value % 2)
			list_del_init(&item->list);
	assert_int_equal(digits(&b), 24);
	assert_true(list_empty(&items[0].list));
	list_cut_position(&a, &b, &b);
	assert_true(list_empty(&a));
}

static void deletes_twice(void *arg)
{
	LIST_HEAD(a);
	struct item item;

	list_add(&item.list, &a);
	list_del(&item.list);
	list_del(&item.list);
}

static void adds_twice(void *arg)
{
	LIST_HEAD(a);
	struct item item;

	list_add(&item.list, &a);
	list_add(&item.list, &a);
}

static void hlist_deletes_twice(void *arg)
{
	HLIST_HEAD(a);
	struct item item;

	hlist_add_head(&item.hash, &a);
	hlist_del(&item.hash);
	hlist_del(&item.hash);
}

static void kref_below_zero(void *arg)
{
	struct kref kref = KREF_INIT(0);

	kref_put(&kref, NULL);
}

static void test_findings(void **state)
{
	expect_finding(deletes_twice, "list_del corruption");
	expect_finding(adds_twice, "list_add corruption");
	expect_finding(hlist_deletes_twice, "hlist_del of a removed entry");
	expect_finding(kref_below_zero, "without references");
}

static void test_hlist(void **state)
{
	HLIST_HEAD(head);
	struct item items[4], *item;
	struct hlist_node *next;
	int sum = 0;

	assert_true(hlist_empty(&head));
	for (int i = 0; i < 4; i++) {
		items[i].value = 1 << i;
		hlist_add_head(&items[i].hash, &head);
	}
	hlist_for_each_entry(item, &head, hash)
		sum = sum * 10 + item->value;
	assert_int_equal(sum, 8421);
	hlist_for_each_entry_safe(item, next, &head, hash)
		if (item->value & 6)
			hlist_del_init(&item->hash);
	assert_true(hlist_unhashed(&items[1].hash));
	hlist_del_init(&items[1].hash);
	sum = 0;
	hlist_for_each_entry(item, &head, hash)
		sum = sum * 10 + item->value;
	assert_int_equal(sum, 81);
}

/* ---- red-black trees ---- */

#define NODES 300
static struct item nodes[NODES];
static bool in_tree[NODES];

/* The number of black nodes on each way down; checks colours and order. */
static int check_subtree(const struct rb_node *node, const struct rb_node *parent, int low,
			 int high)
{
	const struct item *item;
	bool black;
	int left, right;

	if (!node)
		return 1;
	item = rb_entry(node, struct item, node);
	black = node->__rb_parent_color & 1;
	assert_ptr_equal(rb_parent(node), parent);
	assert_true(item->value > low && item->value < high);
	assert_true(black || !parent || (parent->__rb_parent_color & 1));
	assert_true(black || parent);
	left = check_subtree(node->rb_left, node, low, item->value);
	right = check_subtree(node->rb_right, node, item->value, high);
	assert_int_equal(left, right);
	return left + black;
}

static void insert(struct rb_root *root, struct item *item)
{
	struct rb_node **link = &root->rb_node, *parent = NULL;

	while (*link) {
		parent = *link;
		link = item->value < rb_entry(parent, struct item, node)->value ? &parent->rb_left :
										  &parent->rb_right;
	}
	rb_link_node(&item->node, parent, link);
	rb_insert_color(&item->node, root);
}

static void check_walk(const struct rb_root *root)
{
	struct rb_node *node = rb_first(root), *last = NULL;
	int i;

	for (i = 0; i < NODES; i++) {
		if (!in_tree[i])
			continue;
		assert_non_null(node);
		assert_int_equal(rb_entry(node, struct item, node)->value, i);
		assert_ptr_equal(rb_prev(node), last);
		last = node;
		node = rb_next(node);
	}
	assert_null(node);
	assert_ptr_equal(rb_last(root), last);
}

static void test_rbtree(void **state)
{
	struct rb_root root = RB_ROOT;
	struct item spare;

	assert_true(RB_EMPTY_ROOT(&root));
	for (int i = 0; i < NODES; i++) {
		nodes[i].value = i;
		RB_CLEAR_NODE(&nodes[i].node);
		assert_true(RB_EMPTY_NODE(&nodes[i].node));
	}
	for (int step = 0; step < 20000; step++) {
		u32 i = random_number(step / 1000 % 2 ? NODES : NODES / 20);

		if (in_tree[i])
			rb_erase(&nodes[i].node, &root);
		else
			insert(&root, &nodes[i]);
		in_tree[i] = !in_tree[i];
		if (step % 16 == 0) {
			check_subtree(root.rb_node, NULL, -1, NODES);
			check_walk(&root);
		}
		if (in_tree[i] && step % 5 == 0) {
			spare.value = (int)i;
			rb_replace_node(&nodes[i].node, &spare.node, &root);
			check_subtree(root.rb_node, NULL, -1, NODES);
			rb_replace_node(&spare.node, &nodes[i].node, &root);
		}
	}
	for (int i = 0; i < NODES; i++)
		if (in_tree[i])
			rb_erase(&nodes[i].node, &root);
	assert_true(RB_EMPTY_ROOT(&root));
}

/* ---- numbers and strings ---- */

static void check_number(const char *text, unsigned int base, int error, unsigned long long value)
{
	unsigned long long got = 4711;

	assert_int_equal(kstrtoull(text, base, &got), error);
	assert_true(got == (error ? 4711 : value));
}

static void test_numbers(void **state)
{
	unsigned int small = 3;

	check_number("0", 10, 0, 0);
	check_number("18446744073709551615", 10, 0, U64_MAX);
	check_number("18446744073709551616", 10, -ERANGE, 0);
	check_number("99999999999999999999999", 10, -ERANGE, 0);
	check_number("", 10, -EINVAL, 0);
	check_number(" 1", 10, -EINVAL, 0);
	check_number("1 ", 10, -EINVAL, 0);
	check_number("-1", 10, -EINVAL, 0);
	check_number("+1", 10, 0, 1); /* as the kernel's */
	check_number("1\n", 10, 0, 1);
	check_number("1\n\n", 10, -EINVAL, 0);
	check_number("0x1f", 0, 0, 31);
	check_number("0x1f", 16, 0, 31);
	check_number("1F", 16, 0, 31);
	check_number("017", 0, 0, 15);
	check_number("0x", 0, -EINVAL, 0);
	check_number("12a", 10, -EINVAL, 0);
	assert_int_equal(kstrtouint("4294967295", 10, &small), 0);
	assert_true(small == UINT_MAX);
	assert_int_equal(kstrtouint("4294967296", 10, &small), -ERANGE);
	assert_int_equal(kstrtouint("x", 10, &small), -EINVAL);
}

static void test_strings(void **state)
{
	char buf[8];

	assert_int_equal(strscpy(buf, "1234567", sizeof(buf)), 7);
	assert_int_equal(strscpy(buf, "12345678", sizeof(buf)), -E2BIG);
	assert_string_equal(buf, "1234567");
	assert_int_equal(strscpy(buf, "x", 0), -E2BIG);
	assert_int_equal(scnprintf(buf, sizeof(buf), "%s", "123456789"), 7);
	assert_int_equal(scnprintf(buf, 0, "%s", "123456789"), 0);
	assert_int_equal(scnprintf(buf, sizeof(buf), "%d", 12), 2);
	for (size_t n = 0; n < 40; n++) {
		char text[40];

		memset(text, 'x', sizeof(text));
		assert_null(memchr_inv(text, 'x', n));
		if (n) {
			text[n - 1] = 'y';
			assert_ptr_equal(memchr_inv(text, 'x', n), text + n - 1);
			text[n / 2] = 'z';
			assert_ptr_equal(memchr_inv(text, 'x', n), text + n / 2);
		}
	}
}

static void test_arithmetic(void **state)
{
	u64 n = 1000000000007ULL;
	u32 rem;

	assert_int_equal(do_div(n, 10), 7);
	assert_true(n == 100000000000ULL);
	assert_true(div_u64_rem(100, 7, &rem) == 14 && rem == 2);
	assert_true(div64_u64(U64_MAX, 1ULL << 40) == (1 << 24) - 1);
	assert_true(DIV_ROUND_UP_ULL(10, 3) == 4);
	assert_int_equal(DIV_ROUND_UP(10, 5), 2);
	assert_int_equal(roundup(10, 3), 12);
	assert_int_equal(rounddown(10, 3), 9);
	assert_int_equal(round_up(9, 8), 16);
	assert_int_equal(round_down(15, 8), 8);
	assert_int_equal(min(3, 2), 2);
	assert_int_equal(max_t(u8, 300, 7), 44);
	assert_int_equal(clamp(7, 1, 5), 5);
	assert_true(is_power_of_2(64) && !is_power_of_2(0) && !is_power_of_2(12));
	assert_int_equal(ilog2(1ULL << 63), 63);
	assert_int_equal(ilog2(1000), 9);
	assert_int_equal(fls(0), 0);
	assert_int_equal(fls(0x80000000), 32);
	assert_int_equal(fls64(1ULL << 40), 41);
	assert_int_equal(ffs(8), 4);
	assert_int_equal(__ffs(8), 3);
	assert_int_equal(__ffs64(1ULL << 50), 50);
	assert_int_equal(hweight64(U64_MAX), 64);
	assert_true(GENMASK(7, 4) == 0xf0 && BIT(3) == 8 && BIT_ULL(40) == 1ULL << 40);
	assert_in_range(hash_64(12345, 5), 0, 31);
	assert_true(IS_ERR(ERR_PTR(-EIO)) && PTR_ERR(ERR_PTR(-EIO)) == -EIO && !IS_ERR(&n));
	assert_true(IS_ERR_OR_NULL(NULL));
}

/* ---- byte order and bitmaps ---- */

static void test_byte_order(void **state)
{
	u8 bytes[9];

	put_unaligned_le16(0x1234, bytes + 1);
	assert_memory_equal(bytes + 1, "\x34\x12", 2);
	put_unaligned_le32(0x12345678, bytes + 1);
	assert_memory_equal(bytes + 1, "\x78\x56\x34\x12", 4);
	put_unaligned_le64(0x0102030405060708ULL, bytes + 1);
	assert_memory_equal(bytes + 1, "\x08\x07\x06\x05\x04\x03\x02\x01", 8);
	assert_true(get_unaligned_le64(bytes + 1) == 0x0102030405060708ULL);
	assert_true(get_unaligned_le32(bytes + 1) == 0x05060708);
	assert_true(get_unaligned_le16(bytes + 1) == 0x0708);
	__le32 v = cpu_to_le32(0x11223344);
	assert_memory_equal(&v, "\x44\x33\x22\x11", 4);
	assert_true(le32_to_cpu(v) == 0x11223344);
	assert_true(le64_to_cpu(cpu_to_le64(77)) == 77 && le16_to_cpu(cpu_to_le16(77)) == 77);
}

static void test_bitmaps(void **state)
{
	DECLARE_BITMAP(map, 200) = { 0 };
	u8 bits[32] = { 0 };
	bool truth[256] = { false };

	set_bit(70, map);
	assert_true(test_bit(70, map) && !test_bit(71, map));
	assert_true(test_and_set_bit(70, map));
	clear_bit(70, map);
	assert_false(test_and_set_bit(70, map));
	__clear_bit(70, map);
	assert_false(test_bit(70, map));
	__set_bit(199, map);
	assert_true(test_bit(199, map));

	for (int step = 0; step < 3000; step++) {
		u32 i = random_number(250), size = random_number(251), from = random_number(252), j;

		if (random_number(2)) {
			__set_bit_le((int)i, bits);
			truth[i] = true;
		} else {
			__clear_bit_le((int)i, bits);
			truth[i] = false;
		}
		assert_int_equal(test_bit_le((int)i, bits), truth[i]);
		for (j = from; j < size && !truth[j]; j++)
			;
		assert_int_equal(find_next_bit_le(bits, size, from), min(j, size));
		for (j = from; j < size && truth[j]; j++)
			;
		assert_int_equal(find_next_zero_bit_le(bits, size, from), min(j, size));
	}
	memset(bits, 0xff, sizeof(bits));
	assert_int_equal(find_next_zero_bit_le(bits, 250, 3), 250);
	assert_int_equal(find_next_bit_le(bits, 250, 249), 249);
}

/* ---- CRC and sorting ---- */

u32 shim_crc32c_portable(u32 crc, const void *address, unsigned int length);

static void test_crc32c(void **state)
{
	u8 data[1100];

	/* The check value of the Castagnoli polynomial, and RFC 3720's 32 zeroes. */
	assert_true(~crc32c(~0U, "123456789", 9) == 0xe3069283);
	memset(data, 0, sizeof(data));
	assert_true(~crc32c(~0U, data, 32) == 0x8a9136aa);
	for (unsigned int i = 0; i < sizeof(data); i++)
		data[i] = (u8)random_number(256);
	for (unsigned int from = 0; from < 9; from++)
		for (unsigned int n = 0; n + from <= sizeof(data); n += n < 100 ? 1 : 7) {
			u32 whole = crc32c(from, data + from, n);

			assert_true(whole == shim_crc32c_portable(from, data + from, n));
			assert_true(whole == crc32c(crc32c(from, data + from, n / 3),
						    data + from + n / 3, n - n / 3));
		}
}

static int compare(const void *a, const void *b)
{
	const u16 *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static int compare_triple(const void *a, const void *b)
{
	return memcmp(a, b, 3);
}

static void test_sort(void **state)
{
	u16 numbers[200];
	char triples[] = "zzzabcmmmabdaaa";

	for (u32 n = 0; n < 200; n++) {
		u32 sum = 0;

		for (u32 i = 0; i < n; i++) {
			numbers[i] = (u16)random_number(n < 100 ? 10 : 65536);
			sum += numbers[i];
		}
		sort(numbers, n, sizeof(numbers[0]), compare, NULL);
		for (u32 i = 0; i < n; i++) {
			sum -= numbers[i];
			assert_true(!i || numbers[i - 1] <= numbers[i]);
		}
		assert_int_equal(sum, 0);
	}
	sort(triples, 5, 3, compare_triple, NULL);
	assert_string_equal(triples, "aaaabcabdmmmzzz");
}

/* ---- atomics ---- */

static int released;

static void release(struct kref *kref)
{
	released++;
}

static void test_atomics(void **state)
{
	atomic_t a = ATOMIC_INIT(1);
	atomic64_t b = ATOMIC64_INIT(1LL << 40);
	struct kref kref;

	assert_int_equal(atomic_inc_return(&a), 2);
	assert_false(atomic_dec_and_test(&a));
	assert_true(atomic_dec_and_test(&a));
	assert_false(atomic_inc_not_zero(&a));
	atomic_set(&a, 5);
	assert_true(atomic_inc_not_zero(&a));
	assert_int_equal(atomic_cmpxchg(&a, 6, 9), 6);
	assert_int_equal(atomic_cmpxchg(&a, 6, 10), 9);
	assert_int_equal(atomic_xchg(&a, 3), 9);
	atomic_add(4, &a);
	atomic_sub(2, &a);
	assert_int_equal(atomic_add_return(1, &a), 6);
	assert_true(atomic64_dec_return(&b) == (1LL << 40) - 1);
	kref_init(&kref);
	kref_get(&kref);
	assert_int_equal(kref_put(&kref, release), 0);
	assert_int_equal(kref_put(&kref, release), 1);
	assert_int_equal(released, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_list),	   cmocka_unit_test(test_findings),
		cmocka_unit_test(test_hlist),	   cmocka_unit_test(test_rbtree),
		cmocka_unit_test(test_numbers),	   cmocka_unit_test(test_strings),
		cmocka_unit_test(test_arithmetic), cmocka_unit_test(test_byte_order),
		cmocka_unit_test(test_bitmaps),	   cmocka_unit_test(test_crc32c),
		cmocka_unit_test(test_sort),	   cmocka_unit_test(test_atomics),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
