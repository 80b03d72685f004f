/* Ready and healthy, SettleSeconds, and a rollout that is given up. */
#include "engine.h"

static void up_is_who_is_said_to_be(void **state)
{
	struct formation *f = web(1, 1);

	(void)state;
	f->types[0].checked = true;
	release(1, f);
	const struct dyno *d = get("web", 1);
	now += S(10);
	dyno_says(ENGINE_STARTED, d);
	assert_int_equal(
		engine_deadline(engine), now + S(60)); /* of the process, not of the order */
	now += S(59);
	say(ENGINE_TIMER);
	assert_int_equal(d->state, DYNO_STARTING);
	dyno_says(ENGINE_READY, d);
	assert_int_equal(d->state, DYNO_UP);
	assert_true(action(ACTION_RETAG, 0)->kept.was_up);
	assert_int_equal(count(ACTION_SETTLED), 1);
	ends(d, CODE(1));
	dyno_says(ENGINE_STARTED, d);
	now += S(60);
	say(ENGINE_TIMER);
	assert_int_equal(count(ACTION_KILL), 1);
	assert_int_equal(d->bad_starts, 1);
	assert_int_equal(engine_counts(engine)->start_timeouts, 1);
}

static void an_unhealthy_one_is_started_again(void **state)
{
	struct formation *f = web(1, 1);

	(void)state;
	f->types[0].restart = RESTART_ON_FAILURE;
	release(1, f);
	const struct dyno *d = get("web", 1);
	dyno_says(ENGINE_UNHEALTHY, d); /* not up yet: none of its business */
	assert_int_equal(n_actions, 0);
	come_up(d);
	say(ENGINE_UNHEALTHY, .id = d->id, .generation = 1, .text = "GET /health: 500");
	assert_int_equal(d->state, DYNO_STOPPING);
	assert_int_equal(count(ACTION_SIGNAL), 1);
	assert_true(action(ACTION_RETAG, 0)->kept.condemned);
	assert_string_equal(
		action(ACTION_REPORT, 0)->text, "unhealthy: GET /health: 500: to be started again");
	dyno_says(ENGINE_UNHEALTHY, d);
	assert_int_equal(n_actions, 0);
	ends(d, CODE(0)); /* which would be a job done */
	assert_int_equal(d->failures, 1);
	assert_int_equal(d->state, DYNO_STARTING);
	assert_false(d->condemned);
	assert_int_equal(engine_counts(engine)->unhealthy, 1);
}

static void out_of_memory_is_killed(void **state)
{
	(void)state;
	release(1, web(1, 1));
	const struct dyno *d = get("web", 1);
	come_up(d);
	dyno_says(ENGINE_OOM, d);
	assert_int_equal(d->state, DYNO_KILLING);
	assert_string_equal(action(ACTION_REPORT, 0)->text,
		"Error R15 (Memory quota vastly exceeded): sending KILL");
	dyno_says(ENGINE_OOM, d);
	assert_int_equal(count(ACTION_KILL), 0);
	ends(d, KILLED);
	assert_int_equal(d->failures, 1);
	assert_int_equal(engine_counts(engine)->oom, 1);
}

static void a_later_supervisor_goes_on_with_it(void **state)
{
	struct engine_adopted a = {.id = 5,
		.generation = 1,
		.type = "web",
		.instance = 1,
		.fingerprint = 1,
		.kept = {.condemned = true, .was_up = true},
		.started = S(900)};

	(void)state;
	say(ENGINE_RESTORED, .release = 1, .formation = web(1, 1), .settled = 1);
	say(ENGINE_ADOPTED, .adopted = &a);
	assert_int_equal(count(ACTION_SIGNAL), 1);
	say(ENGINE_CAUGHT_UP);
	ends(get("web", 1), CODE(0));
	assert_int_equal(get("web", 1)->failures, 1);
}

/* ---- SettleSeconds ---- */

static struct formation *settling(unsigned quantity, uint64_t fingerprint)
{
	struct formation *f = web(quantity, fingerprint);

	f->types[0].rollout.settle = S(20);
	return f;
}

static void a_new_one_counts_when_it_has_stayed_up(void **state)
{
	(void)state;
	release(1, web(2, 1));
	all_up();
	const struct dyno *old = get("web", 1);
	release(2, settling(2, 2));
	come_up(get("web", 1));
	assert_int_equal(old->state, DYNO_UP);
	assert_int_equal(count(ACTION_START), 0);
	assert_int_equal(engine_deadline(engine), now + S(20));
	now += S(20) - 1;
	say(ENGINE_TIMER);
	assert_int_equal(old->state, DYNO_UP);
	now++;
	say(ENGINE_TIMER);
	assert_int_equal(old->state, DYNO_STOPPING);
	ends(old, CODE(0));
	old = engine_find(engine, 2);
	come_up(get("web", 2));
	now += S(20);
	say(ENGINE_TIMER);
	ends(old, CODE(0));
	assert_int_equal(count(ACTION_SETTLED), 1);
}

static void the_first_release_settles_late_too(void **state)
{
	(void)state;
	release(1, settling(1, 1));
	come_up(get("web", 1));
	assert_int_equal(count(ACTION_SETTLED), 0);
	now += S(20);
	say(ENGINE_TIMER);
	assert_int_equal(count(ACTION_SETTLED), 1);
}

/* For longer than the Timeout, too. */
static void to_stay_up_is_progress(void **state)
{
	struct formation *f = web(1, 2);

	(void)state;
	release(1, web(1, 1));
	all_up();
	f->types[0].rollout.settle = S(500);
	release(2, f);
	come_up(get("web", 1));
	now += S(499);
	say(ENGINE_TIMER);
	assert_int_equal(count(ACTION_ROLL_BACK), 0);
	now += S(1);
	say(ENGINE_TIMER);
	assert_int_equal(engine_find(engine, 1)->state, DYNO_STOPPING);
}

static void rolled_back_when_it_does_not_stay_up(void **state)
{
	(void)state;
	release(1, web(1, 1));
	all_up();
	release(2, settling(1, 2));
	const struct dyno *d = get("web", 1);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(count(ACTION_ROLL_BACK), 0);
		if (d->state == DYNO_BACKOFF) {
			now = d->deadline;
			say(ENGINE_TIMER);
		}
		come_up(d);
		if (i == 2)
			dyno_says(ENGINE_UNHEALTHY, d);
		ends(d, CODE(1));
	}
	assert_string_equal(action(ACTION_ROLL_BACK, 0)->text,
		"web.1 did not stay up in 3 starts: unhealthy, and then it exited with status 1");
	assert_int_equal(engine_release(engine), 1);
	assert_int_equal(engine_counts(engine)->rollbacks, 1);
}

/* ---- given up ---- */

static void given_up_by_the_operator(void **state)
{
	(void)state;
	say(ENGINE_ABORT);
	assert_int_equal(engine_stale(engine), 1);
	release(1, web(1, 1));
	say(ENGINE_ABORT); /* there is nothing to go back to */
	assert_int_equal(engine_stale(engine), 2);
	all_up();
	release(2, web(1, 2));
	say(ENGINE_ABORT);
	assert_string_equal(action(ACTION_ROLL_BACK, 0)->text, "given up by the operator");
	assert_int_equal(engine_release(engine), 1);
}

static void not_under_a_commit(void **state)
{
	(void)state;
	release(1, web(1, 1));
	all_up();
	release(2, web(1, 2));
	say(ENGINE_SUBMITTED, .release = 3);
	say(ENGINE_PREPARED, .release = 3, .formation = web(1, 3));
	say(ENGINE_ABORT);
	assert_int_equal(count(ACTION_ROLL_BACK), 0);
	say(ENGINE_COMMITTED, .release = 3); /* another one now, of which nobody said a word */
	assert_int_equal(count(ACTION_ROLL_BACK), 0);
	assert_int_equal(engine_release(engine), 3);
}

/* ---- a type is renewed ---- */

static void renewed_in_the_way_of_a_rollout(void **state)
{
	(void)state;
	release(1, web(2, 1));
	all_up();
	const struct dyno *old[2] = {get("web", 1), get("web", 2)};
	say(ENGINE_ROLL_TYPE, .text = "web");
	assert_int_equal(count(ACTION_START), 1);
	assert_int_equal(count(ACTION_SIGNAL), 0);
	assert_true(engine_rolling(engine));
	come_up(get("web", 1));
	assert_int_equal(old[0]->state, DYNO_STOPPING);
	ends(old[0], CODE(0));
	come_up(get("web", 2));
	ends(old[1], CODE(0));
	assert_int_equal(count(ACTION_SETTLED), 1);
	assert_int_equal(engine_dynos(engine), 2);
	say(ENGINE_ROLL_TYPE, .text = "nothing");
	say(ENGINE_ROLL_TYPE);
	assert_int_equal(n_actions, 0);
}

static void a_renewal_can_be_given_up(void **state)
{
	(void)state;
	release(1, web(1, 1));
	all_up();
	const struct dyno *old = get("web", 1);
	say(ENGINE_ROLL_TYPE, .text = "web");
	const struct dyno *new = get("web", 1);
	assert_ptr_not_equal(new, old);
	say(ENGINE_ABORT);
	assert_int_equal(new->state, DYNO_STOPPING);
	assert_int_equal(old->state, DYNO_UP);
	ends(new, KILLED);
	assert_int_equal(count(ACTION_SETTLED), 1);
	assert_ptr_equal(get("web", 1), old);
}

static void a_release_waits_for_what_a_renewal_has_begun(void **state)
{
	struct formation *two = web(1, 1);

	(void)state;
	release(1, web(1, 1));
	all_up();
	const struct dyno *old = get("web", 1);
	say(ENGINE_ROLL_TYPE, .text = "web");
	add(two, "other", 1, 5);
	release(2, two);
	assert_int_equal(old->state, DYNO_UP); /* its successor is not up */
	come_up(get("web", 1));
	assert_int_equal(old->state, DYNO_STOPPING);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(up_is_who_is_said_to_be),
		TEST(an_unhealthy_one_is_started_again),
		TEST(out_of_memory_is_killed),
		TEST(a_later_supervisor_goes_on_with_it),
		TEST(a_new_one_counts_when_it_has_stayed_up),
		TEST(the_first_release_settles_late_too),
		TEST(to_stay_up_is_progress),
		TEST(rolled_back_when_it_does_not_stay_up),
		TEST(given_up_by_the_operator),
		TEST(not_under_a_commit),
		TEST(renewed_in_the_way_of_a_rollout),
		TEST(a_renewal_can_be_given_up),
		TEST(a_release_waits_for_what_a_renewal_has_begun),
	};

	return cmocka_run_group_tests_name("engine-settle", tests, NULL, NULL);
}
