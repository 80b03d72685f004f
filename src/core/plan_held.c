#include "core/plan.h"

static bool in_range(const struct plan_dyno *d, unsigned first, unsigned quantity)
{
	return d->instance >= first && d->instance - first < quantity;
}

/* Of an old release, and without a process: it will not have one again. */
static bool worthless(const struct plan_dyno *d)
{
	return !d->current && !d->live && !d->up;
}

/* Those above the quantity go, but none that is up in place of one that is not. */
static size_t retire_surplus(unsigned quantity, unsigned first, const struct plan_dyno *dynos,
	size_t n, struct plan_step *ret)
{
	size_t up = 0, steps = 0;

	for (size_t i = 0; i < n; i++)
		up += !dynos[i].retiring && plan_counts(&dynos[i]);
	for (size_t i = n; i-- > 0;) {
		if (dynos[i].retiring)
			continue;
		if (in_range(&dynos[i], first, quantity) && !worthless(&dynos[i]))
			continue;
		if (dynos[i].up && (dynos[i].proving ? up < quantity : up <= quantity))
			continue;
		up -= plan_counts(&dynos[i]);
		ret[steps++] = (struct plan_step){.type = PLAN_RETIRE, .index = i};
	}
	return steps;
}

size_t plan_held(const struct rollout *rollout, unsigned quantity, unsigned first_instance,
	const struct plan_dyno *dynos, size_t n, struct plan_step *ret)
{
	bool taken[LIMIT_QUANTITY] = {false};
	size_t steps = retire_surplus(quantity, first_instance, dynos, n, ret), occupied = 0,
	       stay = 0;

	for (size_t i = 0; i < n; i++) {
		bool goes = dynos[i].retiring || worthless(&dynos[i]);
		bool there = !goes || rollout->strategy == ROLLOUT_RECREATE;

		occupied += dynos[i].live || !goes;
		stay += !dynos[i].retiring;
		if (there && in_range(&dynos[i], first_instance, quantity))
			taken[dynos[i].instance - first_instance] = true;
	}
	stay -= steps;
	for (unsigned i = 0; i < quantity && stay < quantity; i++) {
		if (taken[i] || occupied >= quantity + plan_surge(rollout, quantity))
			continue;
		ret[steps++] =
			(struct plan_step){.type = PLAN_MAKE, .instance = first_instance + i};
		occupied++;
		stay++;
	}
	return steps;
}
