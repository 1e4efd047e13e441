// SPDX-License-Identifier: GPL-2.0
/*
 * Red-black trees behind the kernel's API; written anew after the textbook (Cormen et al.), with
 * parent pointers that carry the colour. Invariants: the root is black, a red node has black
 * children, every path from the root down has the same number of black nodes.
 */
#include "../shim.h"

#define RED 0UL
#define BLACK 1UL

static inline bool is_red(const struct rb_node *node)
{
	return node && !(node->__rb_parent_color & BLACK);
}

static inline void set_parent(struct rb_node *node, struct rb_node *parent)
{
	node->__rb_parent_color = (unsigned long)parent | (node->__rb_parent_color & BLACK);
}

static inline void set_color(struct rb_node *node, unsigned long color)
{
	node->__rb_parent_color = (node->__rb_parent_color & ~BLACK) | color;
}

/* The parent of @old now points to @new. */
static inline void replace_child(struct rb_root *root, struct rb_node *parent,
				 const struct rb_node *old, struct rb_node *new)
{
	if (!parent)
		root->rb_node = new;
	else if (parent->rb_left == old)
		parent->rb_left = new;
	else
		parent->rb_right = new;
}

static void rotate_left(struct rb_root *root, struct rb_node *node)
{
	struct rb_node *right = node->rb_right, *parent = rb_parent(node);

	node->rb_right = right->rb_left;
	if (right->rb_left)
		set_parent(right->rb_left, node);
	right->rb_left = node;
	set_parent(right, parent);
	replace_child(root, parent, node, right);
	set_parent(node, right);
}

static void rotate_right(struct rb_root *root, struct rb_node *node)
{
	struct rb_node *left = node->rb_left, *parent = rb_parent(node);

	node->rb_left = left->rb_right;
	if (left->rb_right)
		set_parent(left->rb_right, node);
	left->rb_right = node;
	set_parent(left, parent);
	replace_child(root, parent, node, left);
	set_parent(node, left);
}

/* @node is new and red (rb_link_node()); its parent may be red too. */
void rb_insert_color(struct rb_node *node, struct rb_root *root)
{
	struct rb_node *parent, *grandparent, *uncle;

	while (is_red(parent = rb_parent(node))) {
		bool left;

		grandparent = rb_parent(parent);
		left = parent == grandparent->rb_left;
		uncle = left ? grandparent->rb_right : grandparent->rb_left;
		if (is_red(uncle)) {
			set_color(parent, BLACK);
			set_color(uncle, BLACK);
			set_color(grandparent, RED);
			node = grandparent;
			continue;
		}
		if (left && node == parent->rb_right) {
			rotate_left(root, parent);
			parent = node;
		} else if (!left && node == parent->rb_left) {
			rotate_right(root, parent);
			parent = node;
		}
		set_color(parent, BLACK);
		set_color(grandparent, RED);
		if (left)
			rotate_right(root, grandparent);
		else
			rotate_left(root, grandparent);
		break;
	}
	set_color(root->rb_node, BLACK);
}

/* The subtree of @node (may be empty) below @parent has one black node too few. */
static void erase_color(struct rb_node *node, struct rb_node *parent, struct rb_root *root)
{
	while (node != root->rb_node && !is_red(node)) {
		bool left = node == parent->rb_left;
		struct rb_node *sibling = left ? parent->rb_right : parent->rb_left;
		struct rb_node *far, *near;

		if (is_red(sibling)) {
			set_color(sibling, BLACK);
			set_color(parent, RED);
			if (left)
				rotate_left(root, parent);
			else
				rotate_right(root, parent);
			sibling = left ? parent->rb_right : parent->rb_left;
		}
		near = left ? sibling->rb_left : sibling->rb_right;
		far = left ? sibling->rb_right : sibling->rb_left;
		if (!is_red(near) && !is_red(far)) {
			set_color(sibling, RED);
			node = parent;
			parent = rb_parent(node);
			continue;
		}
		if (!is_red(far)) {
			set_color(near, BLACK);
			set_color(sibling, RED);
			if (left)
				rotate_right(root, sibling);
			else
				rotate_left(root, sibling);
			sibling = left ? parent->rb_right : parent->rb_left;
			far = left ? sibling->rb_right : sibling->rb_left;
		}
		set_color(sibling, parent->__rb_parent_color & BLACK);
		set_color(parent, BLACK);
		set_color(far, BLACK);
		if (left)
			rotate_left(root, parent);
		else
			rotate_right(root, parent);
		node = root->rb_node;
		break;
	}
	if (node)
		set_color(node, BLACK);
}

void rb_erase(struct rb_node *node, struct rb_root *root)
{
	struct rb_node *child, *parent;
	bool black;

	if (node->rb_left && node->rb_right) {
		/*
		 * The successor takes the place and the colour of @node, and is missed where it
		 * was.
		 */
		struct rb_node *next = node->rb_right;

		while (next->rb_left)
			next = next->rb_left;
		child = next->rb_right;
		black = !is_red(next);
		parent = rb_parent(next);
		if (parent == node) {
			parent = next;
		} else {
			if (child)
				set_parent(child, parent);
			parent->rb_left = child;
			next->rb_right = node->rb_right;
			set_parent(node->rb_right, next);
		}
		next->rb_left = node->rb_left;
		set_parent(node->rb_left, next);
		next->__rb_parent_color = node->__rb_parent_color;
		replace_child(root, rb_parent(node), node, next);
	} else {
		child = node->rb_left ? node->rb_left : node->rb_right;
		parent = rb_parent(node);
		black = !is_red(node);
		if (child)
			set_parent(child, parent);
		replace_child(root, parent, node, child);
	}
	if (black)
		erase_color(child, parent, root);
}

struct rb_node *rb_first(const struct rb_root *root)
{
	struct rb_node *node = root->rb_node;

	while (node && node->rb_left)
		node = node->rb_left;
	return node;
}

struct rb_node *rb_last(const struct rb_root *root)
{
	struct rb_node *node = root->rb_node;

	while (node && node->rb_right)
		node = node->rb_right;
	return node;
}

struct rb_node *rb_next(const struct rb_node *node)
{
	struct rb_node *parent;

	if (RB_EMPTY_NODE(node))
		return NULL;
	if (node->rb_right) {
		node = node->rb_right;
		while (node->rb_left)
			node = node->rb_left;
		return (struct rb_node *)node;
	}
	while ((parent = rb_parent(node)) && node == parent->rb_right)
		node = parent;
	return parent;
}

struct rb_node *rb_prev(const struct rb_node *node)
{
	struct rb_node *parent;

	if (RB_EMPTY_NODE(node))
		return NULL;
	if (node->rb_left) {
		node = node->rb_left;
		while (node->rb_right)
			node = node->rb_right;
		return (struct rb_node *)node;
	}
	while ((parent = rb_parent(node)) && node == parent->rb_left)
		node = parent;
	return parent;
}

void rb_replace_node(struct rb_node *victim, struct rb_node *new, struct rb_root *root)
{
	*new = *victim;
	if (victim->rb_left)
		set_parent(victim->rb_left, new);
	if (victim->rb_right)
		set_parent(victim->rb_right, new);
	replace_child(root, rb_parent(victim), victim, new);
}
