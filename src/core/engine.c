#include "core/engine_private.h"

#include <errno.h>

/* What one event may cause by itself, without the plan: of one dyno, and a few of releases. */
#define ACTIONS_PER_EVENT (2 * ACTIONS_PER_STEP)

/* An array this large was for a rare, large step: its memory is given back. */
#define ACTIONS_KEPT 256

struct engine *engine_new(const struct engine_options *o)
{
	struct engine *e;

	if (!o->first_id)
		return NULL;
	e = calloc(1, sizeof *e);
	if (!e)
		return NULL;
	e->next_id = o->first_id;
	e->oneshot = o->oneshot;
	e->exit_when_done = o->exit_when_done;
	e->start_number = o->start_number;
	e->grid = o->grid ? o->grid : &dyno_table;
	e->stage_text = o->stage_text;
	if (overrides_take(e, o) < 0 || rests_take(e, o) < 0)
		return engine_free(e);
	return e;
}

struct engine *engine_free(struct engine *e)
{
	if (!e)
		return NULL;
	while (e->n)
		table_remove(e, e->slots[e->n - 1]);
	table_free_gone(e);
	groups_done(e);
	era_unref(e->phasing);
	era_unref(e->committing);
	era_unref(e->wanted);
	era_unref(e->settled);
	free(e->slots);
	free(e->buckets);
	free(e->heap.at);
	free(e->named);
	free(e->scaled);
	free(e->rests);
	free(e->plan_dynos);
	free(e->plan_steps);
	free(e->plan_slots);
	free(e->actions);
	free(e);
	return NULL;
}

/* Not mem_grow(), which zeroes: of what a large step might need, most stays untouched. */
int actions_reserve(struct engine *e, size_t more)
{
	size_t need = e->n_actions + more;

	if (need <= e->actions_cap)
		return 0;
	if (need < 2 * e->actions_cap)
		need = 2 * e->actions_cap;
	struct engine_action *grown = reallocarray(e->actions, need, sizeof *grown);
	if (!grown)
		return -ENOMEM;
	e->actions = grown;
	e->actions_cap = need;
	return 0;
}

struct engine_action *action_add(struct engine *e, enum engine_action_type type)
{
	struct engine_action *a = &e->actions[e->n_actions++];

	/* Not the room for a text, which most have no use for. */
	memset(a, 0, offsetof(struct engine_action, text));
	a->text[0] = '\0';
	a->type = type;
	return a;
}

struct engine_action *action_dyno(
	struct engine *e, enum engine_action_type type, const struct slot *s)
{
	struct engine_action *a = action_add(e, type);

	a->dyno = &s->dyno;
	a->id = s->dyno.id;
	a->generation = s->dyno.generation;
	a->release = s->era ? s->era->handle : 0;
	a->kept = dyno_kept(&s->dyno);
	return a;
}

static int caught_up(struct engine *e, uint64_t now)
{
	int r = rests_caught_up(e, now);

	if (r < 0)
		return r;
	e->holding = false;
	e->caught_up = true;
	phase_caught_up(e, now);
	return 0;
}

static int dispatch(struct engine *e, const struct engine_event *event, uint64_t now)
{
	switch (event->type) {
	case ENGINE_SUBMITTED:
	case ENGINE_PREPARED:
	case ENGINE_PREPARE_FAILED:
	case ENGINE_COMMITTED:
	case ENGINE_COMMIT_FAILED:
	case ENGINE_RESTORED:
		return handle_release(e, event, now);
	case ENGINE_ADOPTED:
		return handle_adopted(e, event->adopted, now);
	case ENGINE_CAUGHT_UP:
		return caught_up(e, now);
	case ENGINE_STARTED:
	case ENGINE_READY:
	case ENGINE_LEFT:
	case ENGINE_EXITED:
	case ENGINE_FAILED:
	case ENGINE_UNHEALTHY:
	case ENGINE_OOM:
		handle_process(e, event, now);
		return 0;
	case ENGINE_SCALE:
		return handle_scale(e, event);
	case ENGINE_START_TYPE:
		return handle_start_type(e, event->text);
	case ENGINE_ROLL_TYPE:
		handle_roll_type(e, event->text, now);
		return 0;
	case ENGINE_ABORT:
		handle_abort(e, now);
		return 0;
	case ENGINE_STOP_DYNO:
	case ENGINE_START_DYNO:
	case ENGINE_RESTART_DYNO:
		return handle_operator(e, event, now);
	case ENGINE_SHUTDOWN:
		return handle_shutdown(e, event->urgency, now);
	case ENGINE_TIMER:
		return 0;
	case ENGINE_EVENT_MAX:
		break;
	}
	return -EINVAL;
}

int engine_handle(struct engine *e, const struct engine_event *event, uint64_t now,
	const struct engine_action **ret_actions, size_t *ret_n)
{
	bool more, all;
	int r;

	table_free_gone(e);
	e->n_actions = 0;
	if (e->actions_cap > ACTIONS_KEPT) {
		free(TAKE_PTR(e->actions));
		e->actions_cap = 0;
	}
	r = actions_reserve(e, ACTIONS_PER_EVENT);
	if (r < 0)
		return r;
	r = dispatch(e, event, now);
	if (r < 0)
		return r;

	plan_retry(e, now);
	/* Who is not wanted any more must not come back by a back-off that ran out meanwhile. */
	if (event->type == ENGINE_CAUGHT_UP)
		plans_run(e, now);
	do {
		all = timers_run(e, now);
		settle_run(e, now);
		rollout_check_failed(e, now);
		do
			plans_run(e, now);
		while (order_run(e, now));
		phase_run(e, now);
		more = rollout_check_done(e, now);
		check_essential(e, now);
		stops_run(e, now);
	} while (more || (all && timers_due(e, now)));
	groups_drop_empty(e);
	overrides_tell(e, now);
	rests_tell(e, now);
	check_leave(e, now);

	*ret_actions = e->actions;
	*ret_n = e->n_actions;
	return 0;
}

uint64_t engine_deadline(const struct engine *e)
{
	const struct slot *first = heap_first(&e->heap);
	uint64_t deadline = rollout_deadline(e), proof = settle_deadline(e);

	if (proof < deadline)
		deadline = proof;
	if (first && (!e->holding || e->stopping) && first->dyno.deadline < deadline)
		deadline = first->dyno.deadline;
	if (e->retry && e->retry < deadline)
		deadline = e->retry;
	return deadline;
}

size_t engine_dynos(const struct engine *e)
{
	return e->n;
}

const struct dyno *engine_dyno(const struct engine *e, size_t index)
{
	return index < e->n ? &e->slots[index]->dyno : NULL;
}

const struct dyno *engine_find(const struct engine *e, uint64_t id)
{
	const struct slot *s = table_find(e, id);

	return s ? &s->dyno : NULL;
}

const struct formation *engine_formation(const struct engine *e)
{
	return e->wanted ? e->wanted->formation : NULL;
}

uint64_t engine_release(const struct engine *e)
{
	return e->wanted ? e->wanted->handle : 0;
}

uint64_t engine_dyno_release(const struct engine *e, const struct dyno *d)
{
	const struct slot *s = table_find(e, d->id);

	return s && s->era ? s->era->handle : 0;
}

bool engine_rolling(const struct engine *e)
{
	return e->rolling;
}

bool engine_stopping(const struct engine *e)
{
	return e->stopping;
}

uint64_t engine_wrong(const struct engine *e)
{
	return e->wrong;
}

uint64_t engine_stale(const struct engine *e)
{
	return e->stale;
}

unsigned engine_max_live(const struct engine *e, const char *type)
{
	const struct group *g = group_find(e, type);

	return g ? (unsigned)g->ceiling : 0;
}

unsigned engine_min_up(const struct engine *e, const char *type)
{
	const struct group *g = group_find(e, type);
	size_t promised;

	if (!g || !g->wanted || e->stopping || e->clearing)
		return 0;
	promised = g->quantity > g->tally.excused ? g->quantity - g->tally.excused : 0;
	if (g->wanted->rollout.strategy == ROLLOUT_RECREATE) {
		size_t batch = plan_batch(&g->wanted->rollout, g->quantity);

		promised = promised > batch ? promised - batch : 0;
	}
	return (unsigned)(g->tally.ready < promised ? g->tally.ready : promised);
}

const struct engine_counts *engine_counts(const struct engine *e)
{
	return &e->counts;
}

unsigned engine_quantity(const struct engine *e, const char *type)
{
	const struct group *g = group_find(e, type);

	return g && g->wanted ? g->quantity : 0;
}
