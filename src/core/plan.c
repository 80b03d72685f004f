#include "core/plan.h"

/* One look at a type. `keep` are the dynos that stay: of the wanted fingerprint, one per wanted
 * instance. All others that are not yet retiring are to go: old ones, those above the quantity,
 * doubles. */
struct view {
	const struct rollout *rollout;
	unsigned quantity, first;
	const struct plan_dyno *dynos;
	size_t n;

	size_t n_keep, keep_up;
	size_t others, others_up; /* to go, and of them up */
	size_t others_count;	  /* and up for long enough */
	size_t occupied;	  /* processes, and keepers that will have one */

	/* Per wanted instance: its keeper + 1, 0 = none; and whether anything at all has its
	 * number. */
	uint32_t keeper[LIMIT_QUANTITY];
	bool taken[LIMIT_QUANTITY];
};

unsigned plan_surge(const struct rollout *r, unsigned quantity)
{
	if (r->strategy == ROLLOUT_RECREATE)
		return 0;
	if (r->surge)
		return r->surge;
	return quantity / 4 ? quantity / 4 : 1;
}

unsigned plan_batch(const struct rollout *r, unsigned quantity)
{
	if (r->batch)
		return r->batch;
	if (r->surge)
		return r->surge;
	return quantity / 4 ? quantity / 4 : 1;
}

static bool in_range(const struct view *v, unsigned instance)
{
	return instance >= v->first && instance - v->first < v->quantity;
}

static bool is_keeper(const struct view *v, size_t i)
{
	unsigned instance = v->dynos[i].instance;

	return in_range(v, instance) && v->keeper[instance - v->first] == i + 1;
}

/* Of two dynos of the same number the one that is up stays. */
static void choose_keepers(struct view *v, bool up)
{
	for (size_t i = 0; i < v->n; i++) {
		const struct plan_dyno *d = &v->dynos[i];

		if (!d->current || d->retiring || d->up != up || !in_range(v, d->instance))
			continue;
		if (v->keeper[d->instance - v->first])
			continue;
		v->keeper[d->instance - v->first] = (uint32_t)i + 1;
		v->n_keep++;
		v->keep_up += plan_counts(d);
	}
}

static void look(struct view *v)
{
	v->n_keep = v->keep_up = v->others = v->others_up = v->others_count = v->occupied = 0;
	for (unsigned i = 0; i < v->quantity; i++) {
		v->keeper[i] = 0;
		v->taken[i] = false;
	}
	choose_keepers(v, true);
	choose_keepers(v, false);

	for (size_t i = 0; i < v->n; i++) {
		const struct plan_dyno *d = &v->dynos[i];
		bool keeper = is_keeper(v, i);

		if (in_range(v, d->instance))
			v->taken[d->instance - v->first] = true;
		v->occupied += d->live || keeper;
		if (keeper || d->retiring)
			continue;
		v->others++;
		v->others_up += d->up;
		v->others_count += plan_counts(d);
	}
}

/* Which of two dynos goes first: one that is not up; one above the wanted numbers, the highest
 * first; one whose successor is up; the lowest number. */
static int compare_leaving(const void *left, const void *right, void *userdata)
{
	const struct plan_step *l = left, *r = right;
	const struct view *v = userdata;
	const struct plan_dyno *a = &v->dynos[l->index], *b = &v->dynos[r->index];
	bool a_in = in_range(v, a->instance), b_in = in_range(v, b->instance);

	if (a->up != b->up)
		return a->up ? 1 : -1;
	if (a_in != b_in)
		return a_in ? 1 : -1;
	if (!a_in && a->instance != b->instance)
		return a->instance > b->instance ? -1 : 1;
	if (a_in) {
		uint32_t ka = v->keeper[a->instance - v->first];
		uint32_t kb = v->keeper[b->instance - v->first];
		bool a_next = ka && plan_counts(&v->dynos[ka - 1]);
		bool b_next = kb && plan_counts(&v->dynos[kb - 1]);

		if (a_next != b_next)
			return a_next ? -1 : 1;
		if (a->instance != b->instance)
			return a->instance < b->instance ? -1 : 1;
	}
	return l->index < r->index ? -1 : 1;
}

static void sort_leaving(struct view *v, struct plan_step *list, size_t n)
{
	if (n > 1) /* also: the list may be NULL when there is nothing */
		qsort_r(list, n, sizeof *list, compare_leaving, v);
}

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

static size_t less(size_t a, size_t b)
{
	return a > b ? a - b : 0;
}

/* How many of the others that are up may go now. */
static size_t may_retire(const struct view *v)
{
	size_t up = v->keep_up + v->others_count;

	if (v->rollout->strategy == ROLLOUT_ROLLING)
		return less(up, v->quantity);

	return less(up + plan_batch(v->rollout, v->quantity), v->quantity);
}

/* Adds the dynos that are to go, of the wanted fingerprint or not, behind the n in ret. */
static size_t list_others(const struct view *v, bool current, struct plan_step *ret, size_t n)
{
	for (size_t i = 0; i < v->n; i++)
		if (v->dynos[i].current == current && !v->dynos[i].retiring && !is_keeper(v, i))
			ret[n++] = (struct plan_step){.type = PLAN_RETIRE, .index = i};
	return n;
}

/* The first n of ret go: they are others no longer. */
static void let_go(struct view *v, const struct plan_step *ret, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		v->others_up -= v->dynos[ret[i].index].up;
		v->others_count -= plan_counts(&v->dynos[ret[i].index]);
	}
	v->others -= n;
}

/* Puts those of the list that have no process first; how many they are. */
static size_t without_process(const struct view *v, struct plan_step *list, size_t n)
{
	size_t dead = 0;

	for (size_t i = 0; i < n; i++) {
		struct plan_step step = list[i];

		if (v->dynos[step.index].live)
			continue;
		list[i] = list[dead];
		list[dead++] = step;
	}
	return dead;
}

/* Writes the dynos to retire into ret. */
static size_t retire(struct view *v, struct plan_step *ret)
{
	size_t n = list_others(v, true, ret, 0), dead = without_process(v, ret, n);

	/* A smaller quantity is carried out at once: no number is missing that a spare one could
	 * stand in for until it is made. */
	size_t spare = dead + less(n - dead, v->quantity - v->n_keep);

	sort_leaving(v, ret + dead, n - dead);
	let_go(v, ret, spare);

	/* Those that are not up are missed by nobody. */
	n = list_others(v, false, ret, n);
	sort_leaving(v, ret + spare, n - spare);
	size_t more = least(v->others - v->others_up + may_retire(v), n - spare);

	let_go(v, ret + spare, more);
	return spare + more;
}

/* How many new dynos may be made now. */
static size_t may_make(const struct view *v)
{
	size_t missing = v->quantity - v->n_keep;
	size_t room = less(v->quantity + plan_surge(v->rollout, v->quantity), v->occupied);

	if (v->rollout->strategy == ROLLOUT_ROLLING && v->others) {
		size_t coming = v->n_keep - v->keep_up;
		size_t swap = less(plan_batch(v->rollout, v->quantity), coming);
		size_t lacking = less(v->quantity, v->n_keep + v->others);

		missing = least(missing, swap > lacking ? swap : lacking);
	}
	return least(missing, room);
}

size_t plan_type(const struct rollout *rollout, unsigned quantity, unsigned first_instance,
	const struct plan_dyno *dynos, size_t n, struct plan_step *ret, bool *ret_done)
{
	struct view
		v; /* not initialised: look() sets as much of its tables as the quantity needs */

	v.rollout = rollout;
	v.quantity = quantity < LIMIT_QUANTITY ? quantity : LIMIT_QUANTITY;
	v.first = first_instance;
	v.dynos = dynos;
	v.n = n;
	look(&v);

	size_t steps = retire(&v, ret);
	size_t make = may_make(&v);

	for (unsigned i = 0; i < v.quantity && make; i++) {
		if (v.keeper[i] || (rollout->strategy == ROLLOUT_RECREATE && v.taken[i]))
			continue;
		ret[steps++] =
			(struct plan_step){.type = PLAN_MAKE, .instance = first_instance + i};
		make--;
		v.n_keep++;
	}
	*ret_done = v.n_keep == v.quantity && !v.others;
	return steps;
}
