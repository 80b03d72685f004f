#include "model/diff.h"

static enum type_change change_of(
	const struct formation_type *old, const struct formation_type *now)
{
	if (!old)
		return CHANGE_ADD;
	if (old->fingerprint != now->fingerprint)
		return CHANGE_REPLACE;
	return old->quantity == now->quantity ? CHANGE_SAME : CHANGE_SCALE;
}

size_t formation_diff(
	const struct formation *before, const struct formation *now, struct type_diff *ret)
{
	size_t n = 0;

	for (unsigned i = 0; i < now->n_types; i++) {
		const struct formation_type *t = &now->types[i];
		const struct formation_type *old = before ? formation_find(before, t->name) : NULL;
		struct type_diff *d = &ret[n++];

		*d = (struct type_diff){
			.change = change_of(old, t),
			.old_quantity = old ? old->quantity : 0,
			.new_quantity = t->quantity,
		};
		memcpy(d->type, t->name, sizeof d->type);
	}
	for (unsigned i = 0; before && i < before->n_types; i++) {
		const struct formation_type *old = &before->types[i];
		struct type_diff *d = &ret[n];

		if (formation_find(now, old->name))
			continue;
		n++;
		*d = (struct type_diff){
			.change = CHANGE_REMOVE,
			.old_quantity = old->quantity,
		};
		memcpy(d->type, old->name, sizeof d->type);
	}
	return n;
}

const char *type_change_text(enum type_change c)
{
	static const char *const texts[CHANGE_MAX] = {
		[CHANGE_SAME] = "same",
		[CHANGE_SCALE] = "scale",
		[CHANGE_REPLACE] = "replace",
		[CHANGE_ADD] = "add",
		[CHANGE_REMOVE] = "remove",
	};

	return c < CHANGE_MAX ? texts[c] : "?";
}
