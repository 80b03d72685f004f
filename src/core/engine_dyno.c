#include "core/engine_private.h"

#include "base/clock.h"
#include "base/parse.h"

#include <signal.h>
#include <stdio.h>

const struct formation_type unknown_type = {
	.restart = RESTART_ALWAYS,
	.start_time = NSEC_PER_SEC,
	.start_timeout = 60 * NSEC_PER_SEC,
	.stop_timeout = 30 * NSEC_PER_SEC,
	.start_retries = -1,
	.stop_signal = SIGTERM,
};

void slot_bind(struct slot *s, struct era *era, const struct formation_type *type)
{
	struct era *old = s->era;

	s->era = era ? era_ref(era) : NULL;
	s->type = type ? type : &unknown_type;
	s->dyno.release_seq = era ? era->seq : 0;
	era_unref(old);
}

static void tally_move(struct tally *sum, const struct tally *from, const struct tally *to)
{
	sum->live += to->live - from->live;
	sum->held += to->held - from->held;
	sum->ready += to->ready - from->ready;
	sum->arrived += to->arrived - from->arrived;
	sum->waited += to->waited - from->waited;
	sum->excused += to->excused - from->excused;
	sum->waiting += to->waiting - from->waiting;
	sum->proving += to->proving - from->proving;
	sum->begun += to->begun - from->begun;
	sum->succeeded += to->succeeded - from->succeeded;
	sum->failing += to->failing - from->failing;
	sum->coming += to->coming - from->coming;
}

static void recount(struct slot *s, const struct tally *now_is)
{
	struct group *g = s->group;

	tally_move(&g->tally, &s->counted, now_is);
	s->counted = *now_is;
	if (g->tally.held < g->ceiling) {
		size_t limit = group_limit(g);

		g->ceiling = g->tally.held > limit ? g->tally.held : limit;
	}
	if (g->busy)
		g->dirty = true;
}

/* Its job is done, and well. */
static bool succeeded(const struct slot *s)
{
	const struct dyno *d = &s->dyno;

	return d->state == DYNO_STOPPED && d->desired == DESIRED_REST && !d->gave_up && !d->asked &&
	       d->last_exit.kind == EXIT_CODE &&
	       formation_exit_expected(s->type, d->last_exit.value);
}

/* What those that come after it want to know. */
static void tally_order(const struct slot *s, struct tally *t)
{
	const struct dyno *d = &s->dyno;
	bool failed = d->failures || d->bad_starts || d->gave_up;

	if (!s->current || d->desired == DESIRED_RETIRE)
		return;
	t->begun = t->ready || (dyno_live(d) && d->started);
	t->succeeded = succeeded(s);
	t->failing = !t->ready && failed;
	t->coming = !t->ready && !failed;
}

void slot_count(struct engine *e, struct slot *s, uint64_t now)
{
	const struct dyno *d = &s->dyno;
	struct group *g = s->group;
	bool stays = d->desired != DESIRED_RETIRE;
	bool ready = stays && dyno_ready(d), awaited = stays && s->current && !ready;
	uint64_t proof = settle_proof(e, s, now);
	struct tally t = {
		.live = dyno_live(d),
		.held = dyno_live(d) || (stays && s->current),
		.ready = ready,
		.arrived = ready && s->current,
		.waited = awaited && !slot_kept(e, s) && !s->waiting,
		.excused = awaited && slot_kept(e, s),
		.waiting = s->waiting,
		.proving = stays && proof,
	};

	tally_order(s, &t);
	if (proof && proof < g->proof)
		g->proof = proof;
	recount(s, &t);
	if (g->tally.arrived > g->best) {
		g->best = g->tally.arrived;
		g->progress = now;
	}
}

static void forget(struct engine *e, struct slot *s, uint64_t now)
{
	recount(s, &(struct tally){0});
	if (!s->current)
		s->group->progress = now;
	rest_forget(e, s);
	table_remove(e, s);
	action_dyno(e, ACTION_FORGET, s);
}

static void report(struct engine *e, const struct slot *s, unsigned effects)
{
	const struct formation_type *t = s->type;
	struct engine_action *a;

	if (effects & FX_REPORT_R10) {
		a = action_dyno(e, ACTION_REPORT, s);
		(void)snprintf(a->text, sizeof a->text,
			"Error R10 (Boot timeout): not up within %.3g s, sending KILL",
			(double)t->start_timeout / (double)NSEC_PER_SEC);
	}
	if (effects & FX_REPORT_R15) {
		a = action_dyno(e, ACTION_REPORT, s);
		(void)snprintf(a->text, sizeof a->text,
			"Error R15 (Memory quota vastly exceeded): sending KILL");
	}
	if (effects & FX_REPORT_R12) {
		a = action_dyno(e, ACTION_REPORT, s);
		(void)snprintf(a->text, sizeof a->text,
			"Error R12 (Exit timeout): still there %.3g s after %s, sending KILL",
			(double)t->stop_timeout / (double)NSEC_PER_SEC,
			signal_name(t->stop_signal));
	}
}

void slot_unhealthy(struct engine *e, struct slot *s, const char *how)
{
	struct engine_action *a = action_dyno(e, ACTION_REPORT, s);

	e->counts.unhealthy++;
	(void)snprintf(a->text, sizeof a->text, "unhealthy%s%.200s: to be started again",
		how && *how ? ": " : "", how ? how : "");
}

/* Counted, and told in Heroku's words. */
static void count(struct engine *e, const struct slot *s, unsigned effects)
{
	struct engine_counts *c = &e->counts;

	c->starts += !!(effects & FX_START);
	c->restarts += effects & FX_START && s->dyno.generation > 1;
	c->start_timeouts += !!(effects & FX_REPORT_R10);
	c->stop_timeouts += !!(effects & FX_REPORT_R12);
	c->oom += !!(effects & FX_REPORT_R15);
}

static void carry_out(struct engine *e, struct slot *s, unsigned effects)
{
	if (effects & FX_START)
		action_dyno(e, ACTION_START, s);
	if (effects & FX_SIGNAL)
		action_dyno(e, ACTION_SIGNAL, s)->signo = s->type->stop_signal;
	if (effects & FX_KILL)
		action_dyno(e, ACTION_KILL, s);
	report(e, s, effects);
	count(e, s, effects);
}

static bool kept_differs(const struct dyno_kept *a, const struct dyno_kept *b)
{
	return a->failures != b->failures || a->bad_starts != b->bad_starts ||
	       a->resting != b->resting || a->asked != b->asked || a->was_up != b->was_up ||
	       a->bad != b->bad || a->condemned != b->condemned;
}

void slot_retag(struct engine *e, const struct slot *s, const struct dyno_kept *before)
{
	struct dyno_kept after = dyno_kept(&s->dyno);

	/* A new life was ordered with all of it. */
	if (after.restarts == before->restarts && kept_differs(before, &after))
		action_dyno(e, ACTION_RETAG, s);
}

/* The end of a life is kept as such, and decided on again by whoever finds it: of what it has
 * changed nothing is written down. */
static void retag_alive(struct engine *e, const struct slot *s, struct dyno_kept before, bool clock)
{
	/* Nor that it came up by its age. */
	if (clock)
		before.was_up = s->dyno.was_up;
	if (dyno_live(&s->dyno))
		slot_retag(e, s, &before);
}

static void apply(
	struct engine *e, struct slot *s, enum dyno_event event, uint64_t when, uint64_t now)
{
	struct dyno *d = &s->dyno;
	struct dyno_kept before = dyno_kept(d);
	enum dyno_state from = d->state;
	bool clock = event == d->timer && d->deadline <= when;
	unsigned effects = dyno_step(e->grid, d, s->type, event, when);
	size_t at = e->n_actions;

	if (effects & FX_WRONG)
		e->wrong++;
	if (effects & FX_BAD_START)
		dyno_count_start(d);
	if (effects & FX_FORGIVE)
		d->failures = 0;

	struct engine_action *changed = action_add(e, ACTION_CHANGED);
	if (effects & FX_DECIDE)
		effects |= slot_decide(e, s, when, now);
	changed->dyno = d;
	changed->id = d->id;
	changed->generation = d->generation;
	changed->from = from;
	changed->to = d->state;
	changed->event = event;
	if (from == d->state) /* nothing to tell: drop it, keep what decide() had to say */
		memmove(changed, changed + 1, (--e->n_actions - at) * sizeof *changed);

	carry_out(e, s, effects);
	retag_alive(e, s, before, clock);
	heap_sync(&e->heap, s);
	if (d->desired == DESIRED_RETIRE && d->state == DYNO_STOPPED)
		forget(e, s, now);
	else
		slot_count(e, s, now);
}

/* Its timer stands for an age it reaches, whether anybody looks then or later. */
static bool is_age(const struct dyno *d)
{
	return d->deadline && (d->timer == DYNO_EV_READY || d->timer == DYNO_EV_STABLE);
}

void slot_apply(struct engine *e, struct slot *s, enum dyno_event event, uint64_t now)
{
	apply(e, s, event, now, now);
}

void slot_end(struct engine *e, struct slot *s, enum dyno_event event, uint64_t at, uint64_t now)
{
	const struct dyno *d = &s->dyno;

	/* It may have come up, and have been up for long, before anybody looked. */
	while (event == DYNO_EV_EXITED && !d->bad && !d->asked && !d->condemned && is_age(d) &&
		d->deadline <= at)
		apply(e, s, d->timer, d->deadline, now);
	apply(e, s, event, at, now);
}

void slot_retire(struct engine *e, struct slot *s, enum dyno_event how, uint64_t now)
{
	s->dyno.desired = DESIRED_RETIRE;
	s->dyno.asked = true;
	s->waiting = false;
	slot_apply(e, s, how, now);
}

bool timers_due(const struct engine *e, uint64_t now)
{
	const struct slot *first = heap_first(&e->heap);

	return first && first->dyno.deadline <= now && (!e->holding || e->stopping);
}

bool timers_run(struct engine *e, uint64_t now)
{
	while (timers_due(e, now)) {
		struct slot *s = heap_first(&e->heap);

		if (actions_reserve(e, ACTIONS_PER_STEP) < 0)
			return false;
		if (s->dyno.timer == DYNO_EV_RETRY && !s->current)
			slot_retire(
				e, s, DYNO_EV_UNWANTED, now); /* never again of an old release */
		else
			apply(e, s, s->dyno.timer, is_age(&s->dyno) ? s->dyno.deadline : now, now);
	}
	return true;
}
