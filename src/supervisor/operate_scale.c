/* What an operator does: how many dynos of a type there are. */
#include "supervisor/operate.h"

#include "supervisor/private.h"

#include <errno.h>
#include <stdio.h>

static int wanted(struct supervisor *s, const struct scale *wish, struct quantity_override *ret,
	struct err *err)
{
	const struct formation *f = engine_formation(s->engine);
	const struct formation_type *t = f ? formation_find(f, wish->type) : NULL;
	int64_t now, quantity;

	if (!t)
		return operate_no_such_name(s, wish->type, err);
	if (t->phase)
		return err_set(err, -EINVAL, "%s: it runs once for each release, and is not scaled",
			wish->type);
	now = engine_quantity(s->engine, t->name);
	quantity = wish->relative ? now + wish->amount : wish->amount;
	if (quantity < 0)
		return err_set(err, -EINVAL, "%s: there are %lld; %lld cannot be", wish->type,
			(long long)now, (long long)quantity);
	if (quantity > LIMIT_QUANTITY)
		return err_set(err, -E2BIG, "%s: %lld dynos are more than %d", wish->type,
			(long long)quantity, LIMIT_QUANTITY);
	*ret = (struct quantity_override){.quantity = (unsigned)quantity};
	(void)snprintf(ret->type, sizeof ret->type, "%s", t->name);
	return 0;
}

static int check_sum(
	struct supervisor *s, const struct quantity_override *list, size_t n, struct err *err)
{
	const struct formation *f = engine_formation(s->engine);
	size_t sum = 0;

	for (unsigned i = 0; i < f->n_types; i++) {
		size_t k = 0;

		while (k < n && strcmp(list[k].type, f->types[i].name) != 0)
			k++;
		sum += k < n ? list[k].quantity : engine_quantity(s->engine, f->types[i].name);
	}
	return sum <= LIMIT_QUANTITY ? 0
				     : err_set(err, -E2BIG, "%zu dynos in all are more than %d",
					       sum, LIMIT_QUANTITY);
}

int operate_scale(struct supervisor *s, const struct scale *list, size_t n,
	const struct asker *asker, struct err *err)
{
	struct quantity_override *overrides = s->wished;
	int r = operate_may_change(s, err);

	if (r == 0 && s->options->mode == MODE_UP)
		r = err_set(err, -EINVAL, "an app is started or stopped, not scaled");
	if (r == 0 && n > LIMIT_TYPES)
		r = err_set(err, -E2BIG, "more than %d types", LIMIT_TYPES);
	for (size_t i = 0; r == 0 && i < n; i++)
		r = wanted(s, &list[i], &overrides[i], err);
	if (r == 0)
		r = n ? check_sum(s, overrides, n, err) : err_set(err, -EINVAL, "no type is named");
	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++) {
		char text[60];

		(void)snprintf(text, sizeof text, "%u -> %u",
			engine_quantity(s->engine, overrides[i].type), overrides[i].quantity);
		record_text(s, RECORD_SCALED, overrides[i].type, 0, "%s", text);
		router_note(
			s->router, NULL, "%s scaled %s by %s", overrides[i].type, text, asker->who);
	}
	feed(s, &(struct engine_event){
			.type = ENGINE_SCALE, .overrides = overrides, .n_overrides = n});
	return 0;
}
