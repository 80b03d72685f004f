/* A supervisor in place of the one there was. */
#include "engine.h"

static void adopts_what_still_runs(void **state)
{
	struct engine_adopted same = {.id = 5,
		.generation = 2,
		.type = "web",
		.instance = 1,
		.fingerprint = 1,
		.kept = {.restarts = 1, .failures = 3},
		.started = S(900)};
	struct engine_adopted other = {.id = 9,
		.generation = 1,
		.type = "web",
		.instance = 2,
		.fingerprint = 77,
		.started = S(900)};
	struct engine_adopted unknown = {.id = 7,
		.generation = 1,
		.type = "gone",
		.instance = 1,
		.fingerprint = 5,
		.started = S(999)};

	(void)state;
	say(ENGINE_RESTORED, .release = 4, .formation = web(2, 1));
	assert_int_equal(n_actions, 0);
	say(ENGINE_ADOPTED, .adopted = &same);
	say(ENGINE_ADOPTED, .adopted = &other);
	say(ENGINE_ADOPTED, .adopted = &unknown);
	say(ENGINE_ADOPTED, .adopted = &same);
	assert_int_equal(engine_stale(engine), 1);
	assert_int_equal(n_actions, 0);
	assert_int_equal(get("web", 1)->state, DYNO_UP);
	assert_int_equal(get("web", 1)->failures, 3);
	assert_int_equal(get("web", 1)->restarts, 1);
	assert_int_equal(engine_deadline(engine), UINT64_MAX);
	say(ENGINE_CAUGHT_UP);
	assert_int_equal(count(ACTION_SIGNAL), 1);
	assert_string_equal(action(ACTION_SIGNAL, 0)->dyno->type, "gone");
	assert_int_equal(count(ACTION_START), 1);
	assert_int_equal(action(ACTION_START, 0)->id, 10); /* above all that live */
	assert_int_equal(action(ACTION_START, 0)->dyno->instance, 2);
}

/* The supervisor died in the middle of a rollout of something that never comes up. */
static void a_rollout_goes_on_after_a_restart_and_rolls_back(void **state)
{
	struct engine_adopted old[2] = {
		{.id = 5, .generation = 1, .type = "web", .instance = 1, .started = S(999)},
		{.id = 6, .generation = 1, .type = "web", .instance = 2, .started = S(999)},
	};
	struct formation *before = web(2, 1), *now_wanted = web(2, 2);

	(void)state;
	now_wanted->types[0].start_time = S(10); /* by which the old ones would not be up yet */
	old[0].fingerprint = old[1].fingerprint = before->types[0].fingerprint;
	say(ENGINE_RESTORED, .release = 4, .formation = now_wanted, .settled = 3,
		.settled_formation = before);
	say(ENGINE_ADOPTED, .adopted = &old[0]);
	say(ENGINE_ADOPTED, .adopted = &old[1]);
	assert_int_equal(get("web", 1)->state, DYNO_UP);
	say(ENGINE_CAUGHT_UP);
	assert_int_equal(count(ACTION_SIGNAL), 0);
	assert_int_equal(count(ACTION_START), 1);
	uint64_t id = action(ACTION_START, 0)->id;

	size_t rolled = 0;
	for (unsigned i = 1; i <= 8 && !rolled; i++) {
		const struct dyno *d = engine_find(engine, id);
		assert_non_null(d);
		if (d->state == DYNO_BACKOFF) {
			now = engine_deadline(engine);
			say(ENGINE_TIMER);
			continue;
		}
		say(ENGINE_FAILED, .id = id, .generation = d->generation,
			.exit = {.kind = EXIT_STAGE, .value = 12, .error = 2});
		rolled = count(ACTION_ROLL_BACK);
	}
	assert_int_equal(rolled, 1);
	assert_int_equal(action(ACTION_ROLL_BACK, 0)->previous, 3);
	assert_int_equal(engine_release(engine), 3);
	assert_int_equal(count(ACTION_SIGNAL), 0);
}

/* It was told to stop because fewer are wanted, and ended while nobody looked: that is its end. */
static void a_surplus_dyno_that_ended_meanwhile_is_not_started_again(void **state)
{
	struct formation *f = web(1, 1);
	struct engine_adopted found[2] = {
		{.id = 5, .generation = 1, .type = "web", .instance = 1, .started = S(900)},
		{.id = 6,
			.generation = 1,
			.type = "web",
			.instance = 2,
			.started = S(900),
			.ended = true,
			.exit = {.kind = EXIT_SIGNAL, .value = 15},
			.at = S(999)},
	};

	(void)state;
	found[0].fingerprint = found[1].fingerprint = f->types[0].fingerprint;
	say(ENGINE_RESTORED, .release = 4, .formation = f, .settled = 4);
	say(ENGINE_ADOPTED, .adopted = &found[0]);
	say(ENGINE_ADOPTED, .adopted = &found[1]);
	say(ENGINE_CAUGHT_UP);
	assert_int_equal(count(ACTION_START), 0);
	assert_int_equal(count(ACTION_SIGNAL), 0);
	assert_int_equal(engine_dynos(engine), 1);
	assert_int_equal(get("web", 1)->state, DYNO_UP);
}

static void adopted_without_a_release_is_stopped(void **state)
{
	struct engine_adopted a = {.id = 5,
		.generation = 2,
		.type = "web",
		.instance = 1,
		.fingerprint = 1,
		.started = S(900)};

	(void)state;
	say(ENGINE_ADOPTED, .adopted = &a);
	assert_int_equal(n_actions, 0);
	say(ENGINE_CAUGHT_UP);
	assert_int_equal(count(ACTION_SIGNAL), 1);
}

static void adopted_without_its_leader_is_stopped_and_restarted(void **state)
{
	struct engine_adopted a = {.id = 5,
		.generation = 2,
		.type = "web",
		.instance = 1,
		.fingerprint = 1,
		.started = S(900),
		.left = true};

	(void)state;
	say(ENGINE_RESTORED, .release = 4, .formation = web(1, 1));
	say(ENGINE_ADOPTED, .adopted = &a);
	assert_int_equal(get("web", 1)->state, DYNO_STOPPING);
	say(ENGINE_CAUGHT_UP);
	assert_int_equal(count(ACTION_START), 0);
	ends(get("web", 1), CODE(1));
	assert_int_equal(action(ACTION_START, 0)->generation, 3);
}

static void ended_while_nobody_looked(void **state)
{
	struct engine_adopted a = {.id = 5,
		.generation = 2,
		.type = "web",
		.instance = 1,
		.fingerprint = 1,
		.started = S(900)};

	(void)state;
	say(ENGINE_RESTORED, .release = 4, .formation = web(1, 1));
	say(ENGINE_ADOPTED, .adopted = &a);
	say(ENGINE_EXITED, .id = 5, .generation = 2, .exit = CODE(1));
	assert_int_equal(count(ACTION_START), 0);
	say(ENGINE_CAUGHT_UP);
	assert_int_equal(count(ACTION_START), 1);
	assert_int_equal(engine_dynos(engine), 1);
}

/* An engine in place of the one there was, and all that ended with it: of the release `handle`,
 * with what the launcher has kept of one dyno. */
static void restart(uint64_t handle, const struct formation *f, struct engine_adopted *a)
{
	uint64_t when = now;

	open_engine((struct engine_options){0});
	now = when;
	say(ENGINE_RESTORED, .release = handle, .formation = f, .settled = handle);
	say(ENGINE_ADOPTED, .adopted = a);
}

/* Of a dyno that is about to end: what the launcher would keep. */
static struct engine_adopted keep(const struct dyno *d, const struct dyno_kept *kept)
{
	struct engine_adopted a = {
		.id = d->id,
		.generation = d->generation,
		.type = "web",
		.instance = d->instance,
		.fingerprint = d->fingerprint,
		.kept = *kept,
	};

	return a;
}

static void a_back_off_outlives_its_engine(void **state)
{
	(void)state;
	release(1, web(1, 1));
	struct dyno_kept tag = action(ACTION_START, 0)->kept;
	const struct dyno *d = get("web", 1);
	for (unsigned i = 0; i < 4; i++) {
		uint64_t started = now;

		dyno_says(ENGINE_STARTED, d);
		now += S(1) / 2;
		struct engine_adopted a = keep(d, &tag);
		a.started = started;
		a.ended = true;
		a.exit = CODE(1);
		a.at = now;
		/* It is told late, but has waited since it ended. */
		now += S(1) / 4;
		say(ENGINE_EXITED, .id = d->id, .generation = d->generation, .exit = CODE(1),
			.at = a.at);
		if (i == 0) { /* the first restart is at once */
			tag = action(ACTION_START, 0)->kept;
			continue;
		}
		struct dyno before = *d;
		assert_int_equal(before.state, DYNO_BACKOFF);
		assert_int_equal(before.since, a.at);
		now += S(1) / 4;
		restart(1, web(1, 1), &a);
		d = get("web", 1);
		assert_int_equal(d->state, DYNO_BACKOFF);
		assert_int_equal(d->deadline, before.deadline);
		assert_int_equal(d->failures, i + 1);
		assert_int_equal(d->bad_starts, i + 1);
		assert_int_equal(d->restarts, i);
		say(ENGINE_CAUGHT_UP);
		assert_int_equal(n_actions, 0);
		assert_int_equal(engine_deadline(engine), before.deadline);
		now = before.deadline - 1;
		say(ENGINE_TIMER);
		assert_int_equal(n_actions, 0);
		now++;
		say(ENGINE_TIMER);
		assert_int_equal(count(ACTION_START), 1);
		tag = action(ACTION_START, 0)->kept;
	}
}

static void who_gave_up_stays_given_up(void **state)
{
	struct formation *f = web(1, 1);
	struct engine_adopted a = {.id = 5,
		.generation = 3,
		.type = "web",
		.instance = 1,
		.kept = {.restarts = 2, .failures = 2, .bad_starts = 2},
		.started = S(990),
		.ended = true,
		.exit = CODE(1)};

	(void)state;
	f->types[0].start_retries = 2;
	a.fingerprint = f->types[0].fingerprint;
	a.at = a.started + 1;
	restart(1, f, &a);
	assert_true(get("web", 1)->gave_up);
	say(ENGINE_CAUGHT_UP);
	assert_int_equal(count(ACTION_START), 0);
	assert_int_equal(engine_deadline(engine), UINT64_MAX);
	/* Up for long enough, its bad starts would have been forgotten. */
	a.at = a.started + f->types[0].start_time;
	restart(1, f, &a);
	assert_int_equal(get("web", 1)->state, DYNO_BACKOFF);
	assert_int_equal(get("web", 1)->bad_starts, 0);
	assert_int_equal(get("web", 1)->failures, 3);
	a.at = S(1000);
	a.started = S(1000) - f->types[0].start_time - BACKOFF_RESET_NS;
	restart(1, f, &a);
	assert_int_equal(get("web", 1)->failures, 1);
}

static void a_job_done_stays_done(void **state)
{
	struct formation *f = web(1, 1);
	struct engine_adopted a = {.id = 5,
		.generation = 1,
		.type = "web",
		.instance = 1,
		.fingerprint = f->types[0].fingerprint,
		.started = S(990),
		.ended = true,
		.exit = CODE(0),
		.at = S(991)};

	(void)state;
	f->types[0].restart = RESTART_ON_FAILURE;
	f->types[0].n_exit_codes = 1;
	restart(1, f, &a);
	say(ENGINE_CAUGHT_UP);
	assert_int_equal(count(ACTION_START), 0);
	assert_int_equal(count(ACTION_SETTLED), 1);
	assert_int_equal(get("web", 1)->desired, DESIRED_REST);
}

static void the_operators_wishes_outlive_the_engine(void **state)
{
	(void)state;
	release(1, web(1, 1));
	const struct dyno *d = get("web", 1);
	struct dyno_kept tag = action(ACTION_START, 0)->kept;
	come_up(d);
	assert_int_equal(count(ACTION_RETAG), 0); /* that it is up follows from its age */
	say(ENGINE_STOP_DYNO, .id = d->id);
	assert_int_equal(count(ACTION_RETAG), 1);
	struct engine_adopted a = keep(d, &action(ACTION_RETAG, 0)->kept);
	a.started = now - S(1);
	assert_true(a.kept.resting && !tag.resting);

	/* It lives: whether it was told, nobody knows. */
	restart(1, web(1, 1), &a);
	assert_int_equal(count(ACTION_SIGNAL), 1);
	say(ENGINE_CAUGHT_UP);
	d = get("web", 1);
	ends(d, KILLED);
	assert_int_equal(d->state, DYNO_STOPPED);

	a.ended = true;
	a.exit = KILLED;
	a.at = now;
	restart(1, web(1, 1), &a);
	say(ENGINE_CAUGHT_UP);
	d = get("web", 1);
	assert_int_equal(count(ACTION_START), 0);
	assert_int_equal(d->desired, DESIRED_REST);
	assert_int_equal(d->failures, 0);
	say(ENGINE_START_DYNO, .id = d->id);
	assert_int_equal(count(ACTION_START), 1);
	assert_int_equal(count(ACTION_RETAG), 0);
}

static void a_restart_by_the_operator_is_finished(void **state)
{
	struct engine_adopted a = {.id = 5,
		.generation = 1,
		.type = "web",
		.instance = 1,
		.kept = {.asked = true, .was_up = true},
		.started = S(990),
		.ended = true,
		.exit = KILLED,
		.at = S(999)};
	struct formation *f = web(1, 1);

	(void)state;
	a.fingerprint = f->types[0].fingerprint;
	restart(1, f, &a);
	assert_int_equal(count(ACTION_START), 0); /* not before all is known */
	say(ENGINE_CAUGHT_UP);
	assert_int_equal(count(ACTION_START), 1);
	assert_int_equal(get("web", 1)->failures, 0);
}

static void stopped_while_it_waits(void **state)
{
	(void)state;
	release(1, web(1, 1));
	const struct dyno *d = get("web", 1);
	ends(d, CODE(1));
	ends(d, CODE(1));
	assert_int_equal(d->state, DYNO_BACKOFF);
	say(ENGINE_STOP_DYNO, .id = d->id);
	assert_int_equal(count(ACTION_RETAG), 1);
	struct engine_adopted a = keep(d, &action(ACTION_RETAG, 0)->kept);
	a.ended = true;
	a.exit = CODE(1);
	a.started = a.at = now;
	restart(1, web(1, 1), &a);
	assert_int_equal(get("web", 1)->state, DYNO_STOPPED);
	assert_int_equal(get("web", 1)->failures, 2);
}

/* No word to the launcher of a life like any other. */
static void only_what_does_not_follow_is_written_down(void **state)
{
	(void)state;
	release(1, web(1, 1));
	const struct dyno *d = get("web", 1);
	come_up(d);
	assert_int_equal(count(ACTION_RETAG), 0);
	now += BACKOFF_RESET_NS;
	say(ENGINE_TIMER);
	assert_int_equal(count(ACTION_RETAG), 0);
	ends(d, CODE(1));
	assert_int_equal(count(ACTION_RETAG), 0);
	assert_int_equal(action(ACTION_START, 0)->kept.failures, 1);
	come_up(d);
	assert_int_equal(count(ACTION_RETAG), 0);
	now += BACKOFF_RESET_NS;
	say(ENGINE_TIMER); /* forgiven */
	assert_int_equal(count(ACTION_RETAG), 1);
	assert_int_equal(action(ACTION_RETAG, 0)->kept.failures, 0);
	ends(d, CODE(1));
	dyno_says(ENGINE_READY, d); /* said by a check, before its time */
	assert_int_equal(count(ACTION_RETAG), 1);
	assert_true(action(ACTION_RETAG, 0)->kept.was_up);
	ends(d, CODE(1));
	now = engine_deadline(engine);
	say(ENGINE_TIMER);
	now = engine_deadline(engine);
	say(ENGINE_TIMER); /* not up in time */
	assert_int_equal(d->state, DYNO_KILLING);
	assert_int_equal(count(ACTION_RETAG), 1);
	assert_true(action(ACTION_RETAG, 0)->kept.bad);
	assert_int_equal(action(ACTION_RETAG, 0)->kept.bad_starts, 1);
	struct engine_adopted a = keep(d, &action(ACTION_RETAG, 0)->kept);
	a.started = now - S(60);
	restart(1, web(1, 1), &a);
	assert_int_equal(count(ACTION_KILL), 1);
	ends(get("web", 1), KILLED);
	assert_int_equal(get("web", 1)->bad_starts, 1);
}

static void a_missing_program_is_a_bad_start_without_start_seconds_too(void **state)
{
	struct formation *f = web(1, 1);

	(void)state;
	f->types[0].start_time = 0;
	f->types[0].start_retries = 1;
	release(1, f);
	const struct dyno *d = get("web", 1);
	dyno_says(ENGINE_STARTED, d);
	assert_int_equal(d->state, DYNO_UP);
	ends(d, NO_START);
	dyno_says(ENGINE_STARTED, d);
	ends(d, NO_START);
	assert_true(d->gave_up);
}

/* What goes with a release stays until that is up, also over a restart. */
static void a_removed_type_stays_over_a_restart(void **state)
{
	struct formation *before = web(1, 1), *after = formation();
	struct engine_adopted a = {.id = 5,
		.generation = 1,
		.type = "web",
		.instance = 1,
		.fingerprint = before->types[0].fingerprint,
		.started = S(900)};

	(void)state;
	add(after, "other", 1, 2);
	say(ENGINE_RESTORED, .release = 4, .formation = after, .settled = 3,
		.settled_formation = before);
	say(ENGINE_ADOPTED, .adopted = &a);
	say(ENGINE_CAUGHT_UP);
	assert_int_equal(count(ACTION_START), 1);
	assert_int_equal(count(ACTION_SIGNAL), 0);
	come_up(get("other", 1));
	assert_int_equal(count(ACTION_SIGNAL), 1);
	ends(get("web", 1), KILLED);
	assert_int_equal(count(ACTION_SETTLED), 1);
}

/* One in back-off since before the restart is neither waited for by the next release, nor a reason
 * not to go back to this one. */
static void a_release_that_had_settled_can_be_gone_back_to(void **state)
{
	struct formation *one = web(1, 1), *two = web(1, 1);
	struct engine_adopted a = {.id = 5,
		.generation = 4,
		.type = "web",
		.instance = 1,
		.fingerprint = one->types[0].fingerprint,
		.kept = {.failures = 6},
		.started = S(999),
		.ended = true,
		.exit = CODE(1),
		.at = S(1000)};

	(void)state;
	add(two, "other", 1, 2);
	restart(1, one, &a);
	say(ENGINE_CAUGHT_UP);
	assert_int_equal(count(ACTION_SETTLED), 0);
	release(2, two);
	const struct dyno *d = get("other", 1);
	for (unsigned i = 0; i < 3 && !count(ACTION_ROLL_BACK); i++) {
		if (d->state == DYNO_BACKOFF) {
			now = d->deadline;
			say(ENGINE_TIMER);
		}
		ends(d, NO_START);
	}
	assert_int_equal(count(ACTION_ROLL_BACK), 1);
	assert_int_equal(engine_release(engine), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(adopts_what_still_runs),
		TEST(a_rollout_goes_on_after_a_restart_and_rolls_back),
		TEST(a_surplus_dyno_that_ended_meanwhile_is_not_started_again),
		TEST(adopted_without_a_release_is_stopped),
		TEST(adopted_without_its_leader_is_stopped_and_restarted),
		TEST(ended_while_nobody_looked),
		TEST(a_back_off_outlives_its_engine),
		TEST(who_gave_up_stays_given_up),
		TEST(a_job_done_stays_done),
		TEST(the_operators_wishes_outlive_the_engine),
		TEST(a_restart_by_the_operator_is_finished),
		TEST(stopped_while_it_waits),
		TEST(only_what_does_not_follow_is_written_down),
		TEST(a_missing_program_is_a_bad_start_without_start_seconds_too),
		TEST(a_removed_type_stays_over_a_restart),
		TEST(a_release_that_had_settled_can_be_gone_back_to),
	};

	return cmocka_run_group_tests_name("engine-restart", tests, NULL, NULL);
}
