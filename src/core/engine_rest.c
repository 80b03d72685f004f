/* The numbers that the operator has stopped: a dyno of such a number, of whatever release, is made
 * at rest. Sorted. */
#include "core/engine_private.h"

#include <errno.h>

static int compare(const struct engine_rest *r, const char *type, unsigned instance)
{
	int order = strcmp(r->type, type);

	return order ? order : (r->instance > instance) - (r->instance < instance);
}

/* Where it is, or belongs. */
static size_t place(const struct engine *e, const char *type, unsigned instance)
{
	size_t low = 0, high = e->n_rests;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (compare(&e->rests[mid], type, instance) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

bool rest_has(const struct engine *e, const char *type, unsigned instance)
{
	size_t at = place(e, type, instance);

	return at < e->n_rests && compare(&e->rests[at], type, instance) == 0;
}

int rest_add(struct engine *e, const char *type, unsigned instance)
{
	size_t at = place(e, type, instance);
	int r;

	if (rest_has(e, type, instance))
		return 0;
	r = mem_grow(&e->rests, &e->rests_cap, e->n_rests + 1, (size_t)2 * LIMIT_DYNOS,
		sizeof *e->rests);
	if (r < 0)
		return r;
	memmove(&e->rests[at + 1], &e->rests[at], (e->n_rests - at) * sizeof *e->rests);
	e->rests[at] = (struct engine_rest){.instance = instance};
	strncpy(e->rests[at].type, type, LIMIT_TYPE_NAME);
	e->n_rests++;
	e->tell_rests = true;
	return 0;
}

static void remove_at(struct engine *e, size_t at)
{
	e->n_rests--;
	memmove(&e->rests[at], &e->rests[at + 1], (e->n_rests - at) * sizeof *e->rests);
	e->tell_rests = true;
}

void rest_remove(struct engine *e, const char *type, unsigned instance)
{
	if (rest_has(e, type, instance))
		remove_at(e, place(e, type, instance));
}

int rests_take(struct engine *e, const struct engine_options *o)
{
	for (size_t i = 0; i < o->n_rests; i++) {
		int r = rest_add(e, o->rests[i].type, o->rests[i].instance);

		if (r < 0)
			return r;
	}
	e->tell_rests = false;
	return 0;
}

static bool is_wanted(const struct engine *e, const struct group *g, unsigned instance)
{
	unsigned quantity = g && g->wanted ? g->quantity : 0;

	return instance >= e->start_number && instance - e->start_number < quantity;
}

void rests_settle(struct engine *e)
{
	for (size_t i = e->n_rests; i-- > 0;)
		if (!is_wanted(e, group_find(e, e->rests[i].type), e->rests[i].instance))
			remove_at(e, i);
}

/* Not at the end of all, nor as long as a roll back may want it again. */
void rest_forget(struct engine *e, const struct slot *s)
{
	if (e->n_rests && !e->stopping && !rollout_protected(e) &&
		!is_wanted(e, s->group, s->dyno.instance))
		rest_remove(e, s->dyno.type, s->dyno.instance);
}

/* Two of a number: what runs on was started after the other was stopped, and after that was written
 * down. What nobody has written down is at rest by its tag alone. */
int rests_caught_up(struct engine *e, uint64_t now)
{
	int r = mem_grow(&e->rests, &e->rests_cap, e->n_rests + e->n, SIZE_MAX, sizeof *e->rests);

	if (r < 0)
		return r;
	for (size_t i = 0; i < e->n && e->n_rests; i++) {
		const struct slot *s = e->slots[i];

		if (s->current && s->dyno.desired == DESIRED_RUN && !s->dyno.phase)
			rest_remove(e, s->dyno.type, s->dyno.instance);
	}
	for (size_t i = 0; i < e->n && r == 0; i++) {
		struct slot *s = e->slots[i];

		if (!s->current || s->dyno.phase || !dyno_stopped_by_operator(&s->dyno) ||
			rest_has(e, s->dyno.type, s->dyno.instance))
			continue;
		if (!slot_has_twin(s)) {
			r = rest_add(e, s->dyno.type, s->dyno.instance);
			continue;
		}
		s->dyno.outdated = true;
		s->current = false;
		s->group->busy = true;
		slot_count(e, s, now);
	}
	return r;
}

void rests_tell(struct engine *e, uint64_t now)
{
	if (!e->tell_rests)
		return;
	if (actions_reserve(e, 1) < 0) {
		plan_later(e, now);
		return;
	}
	struct engine_action *a = action_add(e, ACTION_RESTING);
	a->rests = e->rests;
	a->n_rests = e->n_rests;
	e->tell_rests = false;
}
