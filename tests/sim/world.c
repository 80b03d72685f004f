#include "world.h"

#include "base/hash.h"

#include <errno.h>
#include <stdarg.h>

const char *const world_types[WORLD_TYPES] = {"web", "worker", "clock", "job", "release"};
unsigned world_alloc_fails;

/* The linker gives us the engine's allocations (--wrap): now and then there is no memory. */
void *__real_calloc(size_t n, size_t size);
void *__real_reallocarray(void *p, size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_reallocarray(void *p, size_t n, size_t size);

static bool alloc_fails(void)
{
	if (!world_alloc_fails || --world_alloc_fails)
		return false;
	errno = ENOMEM;
	return true;
}

void *__wrap_calloc(size_t n, size_t size)
{
	return alloc_fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_reallocarray(void *p, size_t n, size_t size)
{
	return alloc_fails() ? NULL : __real_reallocarray(p, n, size);
}

uint64_t world_random(struct world *w, uint64_t below)
{
	uint64_t z = (w->random += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return (z ^ (z >> 31)) % below;
}

bool world_chance(struct world *w, unsigned percent)
{
	return world_random(w, 100) < percent;
}

void world_broken(struct world *w, const char *invariant, const char *fmt, ...)
{
	va_list args;

	if (w->broken)
		return;
	w->broken = invariant;
	va_start(args, fmt);
	(void)vsnprintf(w->why, sizeof w->why, fmt, args);
	va_end(args);
}

void world_init(struct world *w)
{
	for (size_t i = 0; i < WORLD_RELEASES; i++) {
		w->releases[i].formation = calloc(
			1, sizeof(struct formation) + WORLD_TYPES * sizeof(struct formation_type));
		if (!w->releases[i].formation)
			abort();
	}
}

void world_done(struct world *w)
{
	for (size_t i = 0; i < WORLD_RELEASES; i++)
		free(w->releases[i].formation);
}

struct engine *world_engine(struct world *w)
{
	struct quantity_override list[2 * WORLD_TYPES];
	struct engine_options o = {
		.first_id = w->next_id,
		.oneshot = w->oneshot,
		.exit_when_done = w->exit_when_done,
		.start_number = w->start_number,
		.overrides = list,
		.rests = w->rests,
		.n_rests = w->lost & LOST_RESTS ? 0 : w->n_rests,
		.grid = w->grid,
	};

	for (size_t i = 0; i < w->n_named; i++)
		list[o.n_overrides++] = w->named[i];
	for (unsigned i = 0; i < WORLD_TYPES && !(w->lost & LOST_SCALED); i++) {
		const struct sim_scale *s = &w->scaled[i];
		struct quantity_override *to = &list[o.n_overrides];

		if (!s->set)
			continue;
		*to = (struct quantity_override){
			.quantity = s->quantity, .by_operator = true, .base = s->base};
		(void)snprintf(to->type, sizeof to->type, "%s", world_types[i]);
		o.n_overrides++;
	}
	struct engine *e = engine_new(&o);

	if (!e)
		abort();
	return e;
}

void world_begin(struct world *w, uint64_t seed, const dyno_grid *grid)
{
	struct world fresh = {.seed = seed,
		.random = seed,
		.grid = grid,
		.verbose = w->verbose,
		.starved = w->starved,
		.lost = w->lost};

	memcpy(fresh.releases, w->releases, sizeof fresh.releases);
	*w = fresh;
	w->faults = true;
	w->now = 1 + world_random(w, 1000 * NSEC_PER_SEC);
	w->next_id = 1 + world_random(w, 5);
	w->oneshot = world_chance(w, 6);
	w->exit_when_done = !w->oneshot && world_chance(w, 6);
	w->scarce = world_chance(w, 15);
	w->alone = seed % 5 == 0;
	w->start_number = world_chance(w, 80) ? 1 : 10;
	if (world_chance(w, 10)) {
		for (unsigned i = 0; i < 2; i++) {
			struct quantity_override *o = &w->named[w->n_named++];

			(void)snprintf(o->type, sizeof o->type, "%s", world_types[i]);
			o->quantity = (unsigned)world_random(w, 4);
		}
	}
	w->engine = world_engine(w);
}

void world_end(struct world *w)
{
	w->engine = engine_free(w->engine);
}

struct task *world_process(struct world *w, uint64_t id, uint32_t generation)
{
	for (size_t i = 0; i < w->n_processes; i++)
		if (w->processes[i].id == id && w->processes[i].generation == generation)
			return &w->processes[i];
	return NULL;
}

unsigned world_type(const char *name)
{
	unsigned i = 0;

	while (i < WORLD_TYPES - 1 && strcmp(world_types[i], name) != 0)
		i++;
	return i;
}

const struct formation_type *world_wanted(const struct world *w, unsigned type)
{
	const struct formation *f = engine_formation(w->engine);

	return f ? formation_find(f, world_types[type]) : NULL;
}

unsigned world_plain_quantity(const struct world *w, const struct formation_type *t)
{
	for (size_t i = 0; i < w->n_named; i++)
		if (strcmp(w->named[i].type, t->name) == 0)
			return w->named[i].quantity;
	return w->n_named || !t->autostart ? 0 : t->quantity;
}

unsigned world_quantity(const struct world *w, const struct formation_type *t)
{
	if (!t || t->phase)
		return 0;
	const struct sim_scale *s = &w->scaled[world_type(t->name)];

	return s->set && s->base == t->quantity ? s->quantity : world_plain_quantity(w, t);
}

static void pend(struct world *w, enum engine_event_type type, uint64_t handle, uint64_t span)
{
	struct pending *p;

	if (w->n_pending == WORLD_PENDING) {
		world_broken(w, "flood", "more than %d answers are awaited", WORLD_PENDING);
		return;
	}
	p = &w->pending[w->n_pending++];
	*p = (struct pending){
		.event = {.type = type, .release = handle},
		.at = w->now + world_random(w, span),
	};
	if (type == ENGINE_PREPARED) {
		p->event.formation = w->releases[handle - 1].formation;
		p->event.skip_phase = w->releases[handle - 1].skip_phase;
	}
}

/* One that is dropped may answer all the same. */
static void drop(struct world *w, uint64_t handle)
{
	for (size_t i = 0; i < w->n_pending; i++)
		if (w->pending[i].event.release == handle && world_chance(w, 50))
			w->pending[i--] = w->pending[--w->n_pending];
}

/* What no release says any more is forgotten. */
static void settle_scaled(struct world *w)
{
	for (unsigned i = 0; i < WORLD_TYPES; i++) {
		const struct formation_type *t = world_wanted(w, i);

		w->scaled[i].set &= t && t->quantity == w->scaled[i].base;
	}
}

static void carry_out(struct world *w, const struct engine_action *a)
{
	switch (a->type) {
	case ACTION_PREPARE:
		pend(w, w->faults && world_chance(w, 15) ? ENGINE_PREPARE_FAILED : ENGINE_PREPARED,
			a->release, 5 * NSEC_PER_SEC);
		break;
	case ACTION_DROP:
	case ACTION_REFUSE:
		drop(w, a->release);
		if (w->submitted == a->release)
			w->submitted = 0;
		break;
	case ACTION_COMMIT:
		pend(w, w->faults && world_chance(w, 10) ? ENGINE_COMMIT_FAILED : ENGINE_COMMITTED,
			a->release, 50 * NSEC_PER_MSEC);
		break;
	case ACTION_START:
		process_start(w, a);
		break;
	case ACTION_SIGNAL:
		process_signal(w, a);
		break;
	case ACTION_KILL:
		process_kill(w, a);
		break;
	case ACTION_ROLL_BACK:
		w->loaded = a->previous;
		w->disturbed = !w->faults;
		w->step.rolled_back = true;
		break;
	case ACTION_ROLLOUT_BEGUN:
		w->disturbed = !w->faults;
		if (w->settled && w->settled == w->step.release && !w->renewing)
			w->settled_below = w->next_id;
		w->renewing = false;
		break;
	case ACTION_RETAG:
		process_retag(w, a);
		break;
	case ACTION_SETTLED:
		w->settled = a->release;
		w->settled_below = w->next_id;
		w->renewing = false;
		settle_scaled(w);
		break;
	case ACTION_LEAVE:
		w->left = true;
		break;
	case ACTION_FORGET:
		process_forget(w, a->id, UINT32_MAX);
		break;
	case ACTION_RESTING:
		w->n_rests = a->n_rests < WORLD_RESTS ? a->n_rests : WORLD_RESTS;
		memcpy(w->rests, a->rests, w->n_rests * sizeof *w->rests);
		break;
	case ACTION_CHANGED:
	case ACTION_REPORT:
	case ACTION_SCALED:
	case ACTION_MAX:
		break;
	}
}

void world_note_code(struct world *w, const struct dyno_exit *exit)
{
	int code = dyno_exit_code(exit);

	w->essential_codes[code & 255] |= exit->kind != EXIT_NONE;
	w->essential_codes[1] |= exit->kind != EXIT_NONE && !code;
}

/* What the invariants compare with: how it was before the engine had its say. */
static void look_before(struct world *w, const struct engine_event *event)
{
	const struct dyno *d = event->id ? engine_find(w->engine, event->id) : NULL;
	struct step *s = &w->step;

	*s = (struct step){.event = *event, .release = engine_release(w->engine)};
	s->operators = event->type < ENGINE_STARTED || event->type > ENGINE_OOM;
	if (event->type == ENGINE_TIMER)
		s->operators = false;
	const struct formation_type *t = d ? world_wanted(w, world_type(d->type)) : NULL;
	if (t && t->essential)
		world_note_code(w, &event->exit);
	s->was_stopping = engine_stopping(w->engine) || event->type == ENGINE_SHUTDOWN;
	s->was_rolling = engine_rolling(w->engine);
	s->protected = s->was_rolling && w->settled && w->settled != s->release;
	for (unsigned i = 0; i < WORLD_TYPES; i++)
		s->min_up[i] = engine_min_up(w->engine, world_types[i]);
	for (size_t i = 0; i < engine_dynos(w->engine); i++) {
		const struct dyno *one = engine_dyno(w->engine, i);

		s->resting[world_type(one->type)] += dyno_ready(one) && !dyno_live(one);
	}
	if (!d || d->generation != event->generation || !dyno_live(d) || d->phase)
		return;
	if (d->state == DYNO_UP)
		s->lost_ready[world_type(d->type)] = true;
	if ((event->type == ENGINE_EXITED || event->type == ENGINE_FAILED) && !d->asked &&
		dyno_exit_code(&event->exit) > w->code)
		w->code = dyno_exit_code(&event->exit);
}

/* All of the engine that can be seen from outside. */
static uint64_t fingerprint_of(const struct engine *e)
{
	uint64_t h = hash_u64(HASH_INIT, engine_release(e)), sum = 0;

	h = hash_u64(h, engine_rolling(e) | engine_stopping(e) << 1);
	h = hash_u64(hash_u64(h, engine_deadline(e)), engine_stale(e));
	for (size_t i = 0; i < engine_dynos(e); i++) {
		const struct dyno *d = engine_dyno(e, i);
		uint64_t one = hash_u64(hash_u64(HASH_INIT, d->id), d->generation);

		one = hash_u64(hash_u64(one, d->state), d->desired);
		sum += hash_u64(hash_u64(one, d->deadline), d->failures);
	}
	return hash_u64(h, sum);
}

/* Now and then there is no memory: then the event must not have happened at all, and succeeds when
 * it is said again. */
static int handle_scarcely(struct world *w, const struct engine_event *event,
	const struct engine_action **ret_actions, size_t *ret_n)
{
	bool armed = w->scarce && w->faults && world_chance(w, 30);
	uint64_t before = armed ? fingerprint_of(w->engine) : 0;
	int r;

	world_alloc_fails = armed ? 1 + (unsigned)world_random(w, 4) : 0;
	r = engine_handle(w->engine, event, w->now, ret_actions, ret_n);
	w->step.no_memory = armed && !world_alloc_fails;
	world_alloc_fails = 0;
	if (r != -ENOMEM)
		return r;
	w->starved++;
	if (!w->step.no_memory || fingerprint_of(w->engine) != before)
		world_broken(w, "half-handled", "an event without memory had an effect");
	w->step.no_memory = false;
	return engine_handle(w->engine, event, w->now, ret_actions, ret_n);
}

/* Who was at rest may be waiting now, to be started in its turn. */
static void note_wish(struct world *w, const struct engine_event *event)
{
	const struct dyno *d = engine_find(w->engine, event->id);

	for (size_t i = 0; i < w->n_ended && event->type == ENGINE_ROLL_TYPE; i++)
		if (strcmp(world_types[w->ended[i].task.type], event->text) == 0)
			w->ended[i].forgiven = true;
	if (!d || event->type < ENGINE_STOP_DYNO || event->type > ENGINE_RESTART_DYNO)
		return;
	for (size_t i = 0; i < w->n_ended; i++)
		if (w->ended[i].task.id == d->id)
			w->ended[i].forgiven = d->desired == DESIRED_RUN;
}

void world_handle(struct world *w, struct engine_event event)
{
	const struct engine_action *actions;
	size_t n;
	int r;

	if (w->broken || w->left)
		return;
	w->steps++;
	if (w->verbose)
		world_show_event(w, &event);
	look_before(w, &event);
	r = handle_scarcely(w, &event, &actions, &n);
	if (r < 0) {
		world_broken(w, "refused", "engine_handle gave %d", r);
		return;
	}
	if (event.type == ENGINE_COMMITTED)
		w->loaded = event.release;
	if ((event.type == ENGINE_COMMITTED || event.type == ENGINE_COMMIT_FAILED ||
		    event.type == ENGINE_PREPARE_FAILED) &&
		w->submitted == event.release)
		w->submitted = 0;
	note_wish(w, &event);
	for (size_t i = 0; i < n && !w->broken; i++) {
		if (w->verbose)
			world_show_action(&actions[i]);
		invariants_action(w, &actions[i]);
		promises_action(w, &actions[i]);
		carry_out(w, &actions[i]);
	}
	if (!w->broken)
		invariants_check(w);
	if (!w->broken)
		promises_check(w);
}

uint64_t world_next(const struct world *w)
{
	uint64_t next = engine_deadline(w->engine);

	for (size_t i = 0; i < w->n_processes; i++)
		next = w->processes[i].at < next ? w->processes[i].at : next;
	for (size_t i = 0; i < w->n_pending; i++)
		next = w->pending[i].at < next ? w->pending[i].at : next;
	return next;
}

void world_advance(struct world *w)
{
	uint64_t next = world_next(w);
	struct engine_event event = {.type = ENGINE_TIMER};

	if (next > w->now)
		w->now = next;
	for (size_t i = 0; i < w->n_processes; i++) {
		if (w->processes[i].at != next)
			continue;
		event = process_happens(w, &w->processes[i]);
		w->history[w->n_history++ % 8] = event;
		world_handle(w, event);
		return;
	}
	for (size_t i = 0; i < w->n_pending; i++) {
		if (w->pending[i].at != next)
			continue;
		event = w->pending[i].event;
		w->pending[i] = w->pending[--w->n_pending];
		break;
	}
	world_handle(w, event);
}
