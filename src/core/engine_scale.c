/* How many dynos of a type are wanted: the operator's word, else the command line's, else the
 * release's. */
#include "core/engine_private.h"

#include <errno.h>

#define OVERRIDES_MAX ((size_t)4 * LIMIT_TYPES)

static const struct quantity_override *find(
	const struct quantity_override *list, size_t n, const char *type)
{
	while (n-- > 0)
		if (strcmp(list[n].type, type) == 0)
			return &list[n];
	return NULL;
}

/* What is wanted when the operator has not said anything. */
static unsigned plain_quantity(const struct engine *e, const struct formation_type *t)
{
	const struct quantity_override *o = find(e->named, e->n_named, t->name);

	if (o)
		return o->quantity;
	return e->n_named || !t->autostart ? 0 : t->quantity;
}

/* An override is void as long as the release says another quantity than when it was made: a roll
 * back may bring that release again. */
unsigned wanted_quantity(const struct engine *e, const struct formation_type *t)
{
	const struct quantity_override *o = find(e->scaled, e->n_scaled, t->name);

	if (t->phase)
		return 0;
	return o && o->base == t->quantity ? o->quantity : plain_quantity(e, t);
}

static int take(struct quantity_override **list, size_t *n, size_t *cap,
	const struct engine_options *o, bool by_operator)
{
	size_t total = 0;
	int r = mem_grow(list, cap, o->n_overrides, OVERRIDES_MAX, sizeof **list);

	for (size_t i = 0; r == 0 && i < o->n_overrides; i++) {
		if (o->overrides[i].by_operator != by_operator)
			continue;
		(*list)[(*n)++] = o->overrides[i];
		total += o->overrides[i].quantity;
	}
	/* Some of the operator's may be void. */
	return r < 0 ? r : !by_operator && total > LIMIT_QUANTITY ? -E2BIG : 0;
}

int overrides_take(struct engine *e, const struct engine_options *o)
{
	int r;

	if (!o->n_overrides)
		return 0;
	r = take(&e->named, &e->n_named, &e->named_cap, o, false);
	return r < 0 ? r : take(&e->scaled, &e->n_scaled, &e->scaled_cap, o, true);
}

/* Do the quantities of f, with these overrides in front, fit the limits? */
static bool fits(const struct engine *e, const struct formation *f,
	const struct quantity_override *list, size_t n)
{
	size_t total = 0;

	for (size_t i = 0; i < n; i++)
		if (list[i].quantity > LIMIT_QUANTITY)
			return false;
	for (unsigned i = 0; f && i < f->n_types; i++) {
		const struct formation_type *t = &f->types[i];
		const struct quantity_override *o = t->phase ? NULL : find(list, n, t->name);

		total += o ? o->quantity : wanted_quantity(e, t);
	}
	return total <= LIMIT_QUANTITY;
}

bool quantities_fit(const struct engine *e, const struct formation *f)
{
	return fits(e, f, NULL, 0);
}

void overrides_fit(struct engine *e, const struct formation *f)
{
	if (!f || !e->n_scaled || quantities_fit(e, f))
		return;
	e->n_scaled = 0;
	e->tell_scaled = true;
}

static void forget(struct engine *e, const struct quantity_override *o)
{
	e->scaled[o - e->scaled] = e->scaled[--e->n_scaled];
	e->tell_scaled = true;
}

/* Room is reserved. */
static void scale(struct engine *e, struct group *g, unsigned quantity)
{
	const struct quantity_override *o = find(e->scaled, e->n_scaled, g->name);
	const struct formation_type *t = g->wanted;

	if (plain_quantity(e, t) == quantity) {
		if (o)
			forget(e, o);
	} else {
		size_t at = o ? (size_t)(o - e->scaled) : e->n_scaled++;

		e->scaled[at] = (struct quantity_override){
			.quantity = quantity, .by_operator = true, .base = t->quantity};
		memcpy(e->scaled[at].type, g->name, sizeof g->name);
		e->tell_scaled = true;
	}
	g->last = false;
	group_want(g, wanted_quantity(e, t));
}

static int scale_all(struct engine *e, const struct quantity_override *list, size_t n)
{
	int r;

	if (!fits(e, engine_formation(e), list, n))
		return -E2BIG;
	r = mem_grow(&e->scaled, &e->scaled_cap, e->n_scaled + n, OVERRIDES_MAX, sizeof *e->scaled);
	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++) {
		struct group *g = group_find(e, list[i].type);

		if (g && g->wanted)
			scale(e, g, list[i].quantity);
		else
			e->stale++;
	}
	return 0;
}

int handle_scale(struct engine *e, const struct engine_event *event)
{
	return scale_all(e, event->overrides, event->n_overrides);
}

int handle_start_type(struct engine *e, const char *type)
{
	const struct group *g = type ? group_find(e, type) : NULL;
	struct quantity_override o = {0};

	if (!g || !g->wanted || g->quantity || !g->wanted->quantity) {
		e->stale++;
		return 0;
	}
	memcpy(o.type, g->name, sizeof o.type);
	o.quantity = g->wanted->quantity;
	return scale_all(e, &o, 1);
}

void overrides_settle(struct engine *e)
{
	for (size_t i = e->n_scaled; i-- > 0;) {
		const struct formation_type *t =
			formation_find(e->wanted->formation, e->scaled[i].type);

		if (!t || t->quantity != e->scaled[i].base)
			forget(e, &e->scaled[i]);
	}
}

void overrides_tell(struct engine *e, uint64_t now)
{
	if (!e->tell_scaled)
		return;
	if (actions_reserve(e, 1) < 0) {
		plan_later(e, now);
		return;
	}
	struct engine_action *a = action_add(e, ACTION_SCALED);
	a->overrides = e->scaled;
	a->n_overrides = e->n_scaled;
	e->tell_scaled = false;
}
