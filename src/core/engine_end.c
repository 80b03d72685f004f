/* A life has ended: what becomes of its dyno? */
#include "core/engine_private.h"

#include "base/hash.h"

#include <stdio.h>

/* A rollout that can be rolled back does not wait for StartRetries. */
#define ROLLOUT_BAD_STARTS 3

static char *exit_text(const struct engine *e, const struct dyno *d, char *text, size_t size)
{
	return dyno_exit_text(&d->last_exit, e->stage_text, text, size);
}

static void give_up(struct engine *e, struct slot *s)
{
	struct dyno *d = &s->dyno;
	struct engine_action *a = action_dyno(e, ACTION_REPORT, s);
	char how[96];

	d->gave_up = true;
	d->desired = DESIRED_REST;
	exit_text(e, d, how, sizeof how);
	if (d->bad_starts)
		(void)snprintf(a->text, sizeof a->text, "gave up after %u failed start%s: %s",
			d->bad_starts, d->bad_starts == 1 ? "" : "s", how);
	else
		(void)snprintf(
			a->text, sizeof a->text, "gave up, as it is never restarted: %s", how);
}

void dyno_count_start(struct dyno *d)
{
	if (d->was_up)
		d->bad_starts = 0;
	else if (!d->bad)
		d->bad_starts++;
	d->bad = !d->was_up;
}

/* Its life ended by itself: was that its job done? */
static bool job_done(const struct engine *e, const struct slot *s)
{
	const struct dyno *d = &s->dyno;
	bool expected = d->last_exit.kind == EXIT_CODE && !d->bad &&
			formation_exit_expected(s->type, d->last_exit.value);

	if (e->oneshot)
		return true;
	if (d->condemned)
		return false;
	if (s->type->restart == RESTART_NEVER)
		return expected || d->was_up;
	return s->type->restart == RESTART_ON_FAILURE && expected;
}

static void back_off(struct engine *e, struct slot *s, uint64_t delay, uint64_t at)
{
	s->dyno.backoff_delay = delay;
	if (dyno_step(e->grid, &s->dyno, s->type, DYNO_EV_CRASHED, at) & FX_WRONG)
		e->wrong++;
}

/* The jitter is the same for every supervisor that comes to this life's end. */
static uint64_t wait_after(const struct dyno *d)
{
	uint64_t seed = hash_u64(hash_u64(HASH_INIT, d->id), d->generation);

	return backoff_delay(&backoff_default, d->failures, &seed);
}

static void crashed(struct engine *e, struct slot *s, uint64_t at)
{
	struct dyno *d = &s->dyno;
	const struct formation_type *t = s->type;

	d->failures++;
	dyno_count_start(d);
	if (t->restart == RESTART_NEVER ||
		(t->start_retries >= 0 && d->bad_starts > (unsigned)t->start_retries))
		give_up(e, s);
	else
		back_off(e, s, wait_after(d), at);
	if (d->gave_up || d->bad_starts >= ROLLOUT_BAD_STARTS ||
		(settle_needed(e, s) && d->failures >= ROLLOUT_BAD_STARTS))
		rollout_watch(e, s);
	if (d->gave_up)
		essential_watch(e, s);
}

unsigned slot_decide(struct engine *e, struct slot *s, uint64_t at, uint64_t now)
{
	struct dyno *d = &s->dyno;
	int code = dyno_exit_code(&d->last_exit);

	if (d->phase) { /* looked at by phase_run() */
		if (d->desired != DESIRED_RETIRE)
			d->desired = DESIRED_REST;
		return 0;
	}
	if (!d->asked && code > e->code && !e->essential_gone)
		e->code = code;
	if (e->stopping)
		d->desired = DESIRED_RETIRE;
	if (d->desired == DESIRED_RETIRE || (d->asked && d->desired == DESIRED_REST))
		return 0;
	if (!d->asked && job_done(e, s)) {
		d->desired = DESIRED_REST;
		essential_watch(e, s);
		return 0;
	}
	if (!s->current) { /* it is to be replaced in any case */
		d->desired = DESIRED_RETIRE;
		return 0;
	}
	if (d->asked && !e->holding)
		return dyno_step(e->grid, d, s->type, DYNO_EV_WANTED, now);
	if (d->asked)
		back_off(e, s, 0, at);
	else
		crashed(e, s, at);
	return 0;
}
