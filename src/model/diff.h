/* What changes from one formation to the next, per type. */
#pragma once

#include "model/formation.h"

enum type_change {
	CHANGE_SAME,	/* nothing to do */
	CHANGE_SCALE,	/* only the quantity */
	CHANGE_REPLACE, /* the fingerprint: every dyno of the type is replaced */
	CHANGE_ADD,
	CHANGE_REMOVE,
	CHANGE_MAX,
};

struct type_diff {
	char type[LIMIT_TYPE_NAME + 1];
	enum type_change change;
	unsigned old_quantity, new_quantity;
};

/* Types of `now` in order, then those only in `before` (which may be NULL: all are added).
 * ret must hold before->n_types + now->n_types entries. Returns how many were written. */
size_t formation_diff(
	const struct formation *before, const struct formation *now, struct type_diff *ret);

/* What of a type differs: the keys of its document. First those for which its dynos are replaced
 * (*ret_replacing), then those that hold from now on for the dynos that run. Returns how many; 0
 * when one of the releases has no such type. */
#define DIFF_NAMES 26
size_t process_diff(const struct release *before, const struct release *now, const char *type,
	const char *ret_names[DIFF_NAMES], size_t *ret_replacing);

const char *type_change_text(enum type_change c); /* "same", "scale", "replace", "add", "remove" */
