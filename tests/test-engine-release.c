/* From a submission to the release in force, and how it is rolled out. */
#include "engine.h"

static void from_submission_to_settled(void **state)
{
	(void)state;
	say(ENGINE_SUBMITTED, .release = 7);
	assert_int_equal(n_actions, 1);
	assert_int_equal(action(ACTION_PREPARE, 0)->release, 7);
	say(ENGINE_PREPARED, .release = 7, .formation = web(2, 1));
	assert_int_equal(n_actions, 1);
	assert_int_equal(action(ACTION_COMMIT, 0)->release, 7);
	assert_int_equal(engine_release(engine), 0);
	say(ENGINE_COMMITTED, .release = 7);
	assert_int_equal(actions[0].type, ACTION_ROLLOUT_BEGUN);
	assert_int_equal(count(ACTION_START), 2);
	assert_int_equal(action(ACTION_START, 0)->release, 7);
	assert_int_equal(action(ACTION_START, 0)->dyno->instance, 1);
	assert_int_equal(action(ACTION_START, 0)->dyno->state, DYNO_STARTING);
	assert_int_equal(engine_release(engine), 7);
	assert_true(engine_rolling(engine));
	come_up(get("web", 1));
	assert_int_equal(count(ACTION_SETTLED), 0);
	come_up(get("web", 2));
	assert_int_equal(action(ACTION_SETTLED, 0)->release, 7);
	assert_false(engine_rolling(engine));
}

static void the_newest_submission_wins(void **state)
{
	(void)state;
	say(ENGINE_SUBMITTED, .release = 1);
	say(ENGINE_SUBMITTED, .release = 2);
	assert_int_equal(actions[0].type, ACTION_DROP);
	assert_int_equal(actions[0].release, 1);
	assert_int_equal(action(ACTION_PREPARE, 0)->release, 2);
	say(ENGINE_PREPARED, .release = 1, .formation = web(1, 1));
	assert_int_equal(n_actions, 0);
	say(ENGINE_PREPARE_FAILED, .release = 1);
	say(ENGINE_COMMITTED, .release = 1);
	assert_int_equal(engine_stale(engine), 3);
	say(ENGINE_PREPARED, .release = 2, .formation = web(1, 1));
	assert_int_equal(action(ACTION_COMMIT, 0)->release, 2);
}

static void a_submission_waits_for_the_commit_before(void **state)
{
	(void)state;
	say(ENGINE_SUBMITTED, .release = 1);
	say(ENGINE_PREPARED, .release = 1, .formation = web(1, 1));
	say(ENGINE_SUBMITTED, .release = 2);
	assert_int_equal(n_actions, 0);
	say(ENGINE_SUBMITTED, .release = 3);
	assert_int_equal(action(ACTION_DROP, 0)->release, 2);
	say(ENGINE_COMMIT_FAILED, .release = 1);
	assert_int_equal(n_actions, 1);
	assert_int_equal(action(ACTION_PREPARE, 0)->release, 3);
	assert_int_equal(engine_release(engine), 0);
}

static void a_failed_preparation_changes_nothing(void **state)
{
	(void)state;
	release(1, web(1, 1));
	all_up();
	say(ENGINE_SUBMITTED, .release = 2);
	say(ENGINE_PREPARE_FAILED, .release = 2);
	assert_int_equal(n_actions, 0);
	say(ENGINE_SUBMITTED, .release = 3);
	assert_int_equal(count(ACTION_DROP), 0);
	assert_int_equal(engine_release(engine), 1);
}

static void starts_in_the_order_of_priority(void **state)
{
	struct formation *f = formation();

	(void)state;
	add(f, "web", 2, 1)->priority = 999;
	add(f, "db", 1, 2)->priority = 1;
	add(f, "worker", 1, 3)->priority = 999;
	release(1, f);
	assert_int_equal(count(ACTION_START), 1);
	assert_string_equal(action(ACTION_START, 0)->dyno->type, "db");
	come_up(get("db", 1));
	assert_int_equal(count(ACTION_START), 3);
	assert_string_equal(action(ACTION_START, 0)->dyno->type, "web");
	assert_int_equal(action(ACTION_START, 0)->dyno->instance, 1);
	assert_int_equal(action(ACTION_START, 1)->dyno->instance, 2);
	assert_string_equal(action(ACTION_START, 2)->dyno->type, "worker");
	all_up();
	say(ENGINE_SHUTDOWN, .urgency = 1);
	assert_int_equal(count(ACTION_SIGNAL), 3);
	assert_string_equal(action(ACTION_SIGNAL, 0)->dyno->type, "worker");
	ends(get("worker", 1), CODE(0));
	ends(get("web", 1), CODE(0));
	assert_int_equal(count(ACTION_SIGNAL), 0);
	ends(get("web", 2), CODE(0));
	assert_string_equal(action(ACTION_SIGNAL, 0)->dyno->type, "db");
	ends(get("db", 1), CODE(0));
	assert_int_equal(count(ACTION_LEAVE), 1);
}

static void an_unchanged_type_is_not_touched(void **state)
{
	struct formation *f = formation();
	const struct dyno *d;

	(void)state;
	release(1, web(2, 1));
	all_up();
	add(f, "web", 3, 1);
	release(2, f);
	assert_int_equal(count(ACTION_SIGNAL), 0);
	assert_int_equal(count(ACTION_START), 1);
	assert_int_equal(action(ACTION_START, 0)->dyno->instance, 3);
	all_up();
	d = get("web", 1);
	ends(d, KILLED);
	assert_int_equal(action(ACTION_START, 0)->release, 2); /* it belongs to it all the same */
}

static void the_largest_formation_at_once(void **state)
{
	(void)state;
	release(1, web(LIMIT_QUANTITY, 1));
	assert_int_equal(count(ACTION_START), LIMIT_QUANTITY);
	assert_int_equal(engine_dynos(engine), LIMIT_QUANTITY);
	say(ENGINE_SUBMITTED, .release = 2);
	assert_int_equal(try_event((struct engine_event){.type = ENGINE_PREPARED,
				 .release = 2,
				 .formation = web(LIMIT_QUANTITY + 1, 1)}),
		-E2BIG);
	say(ENGINE_SHUTDOWN, .urgency = 2);
	assert_int_equal(count(ACTION_KILL), LIMIT_QUANTITY);
}

static void rolled_out_one_by_one(void **state)
{
	const struct dyno *old1, *old2;

	(void)state;
	release(1, web(2, 1));
	all_up();
	old1 = get("web", 1);
	old2 = get("web", 2);
	release(2, web(2, 2));
	assert_int_equal(count(ACTION_START), 1);
	assert_int_equal(engine_max_live(engine, "web"), 3);
	assert_int_equal(engine_min_up(engine, "web"), 2);
	come_up(get("web", 1));
	assert_ptr_equal(action(ACTION_SIGNAL, 0)->dyno, old1);
	ends(old1, CODE(0));
	assert_int_equal(count(ACTION_FORGET), 1);
	come_up(get("web", 2));
	assert_ptr_equal(action(ACTION_SIGNAL, 0)->dyno, old2);
	assert_int_equal(count(ACTION_SETTLED), 0);
	ends(old2, CODE(0));
	assert_int_equal(count(ACTION_SETTLED), 1);
}

static void rolled_back_after_three_bad_starts(void **state)
{
	const struct engine_action *a;
	const struct dyno *d;

	(void)state;
	release(1, web(1, 1));
	all_up();
	release(2, web(1, 2));
	d = get("web", 1);
	ends(d, CODE(3));
	ends(d, CODE(3));
	assert_int_equal(d->state, DYNO_BACKOFF);
	now = engine_deadline(engine);
	say(ENGINE_TIMER);
	ends(d, CODE(3));
	a = action(ACTION_ROLL_BACK, 0);
	assert_non_null(a);
	assert_int_equal(a->release, 2);
	assert_int_equal(a->previous, 1);
	assert_string_equal(a->text, "web.1 did not come up in 3 starts: exited with status 3");
	assert_int_equal(count(ACTION_FORGET), 1);
	assert_int_equal(engine_release(engine), 1);
	assert_int_equal(engine_dynos(engine), 1);
	assert_int_equal(get("web", 1)->state, DYNO_UP);
	assert_int_equal(action(ACTION_SETTLED, 0)->release, 1);
}

static void rolled_back_when_nothing_moves(void **state)
{
	struct formation *f = web(1, 2);

	(void)state;
	release(1, web(1, 1));
	all_up();
	f->types[0].start_timeout = S(1000);
	release(2, f);
	assert_int_equal(engine_deadline(engine), now + BACKOFF_RESET_NS);
	now += S(119);
	say(ENGINE_TIMER);
	assert_int_equal(count(ACTION_ROLL_BACK), 0);
	assert_int_equal(engine_deadline(engine), now + S(1));
	now += S(1);
	say(ENGINE_TIMER);
	assert_int_equal(count(ACTION_ROLL_BACK), 1);
	assert_string_equal(
		action(ACTION_ROLL_BACK, 0)->text, "no progress for 120 s: web.1 is starting");
}

static void the_first_release_is_never_rolled_back(void **state)
{
	const struct dyno *d;

	(void)state;
	release(1, web(1, 1));
	d = get("web", 1);
	for (int i = 0; i < 10; i++) {
		ends(d, NO_START);
		assert_int_equal(count(ACTION_ROLL_BACK), 0);
		now = i ? engine_deadline(engine) : now;
		say(ENGINE_TIMER);
		assert_int_equal(d->state, DYNO_STARTING);
	}
	come_up(d);
	assert_int_equal(count(ACTION_SETTLED), 1);
}

static void goes_back_to_the_last_one_that_settled(void **state)
{
	const struct dyno *d;

	(void)state;
	release(1, web(1, 1));
	all_up();
	release(2, web(1, 2));
	release(3, web(1, 3));
	d = find("web", 1);
	assert_int_equal(d->fingerprint, 2); /* still stopping: the surge is used up */
	ends(d, KILLED);
	d = get("web", 1);
	assert_int_equal(d->fingerprint, 3);
	for (int i = 0; i < 3; i++) {
		ends(d, NO_START);
		if (i == 1) {
			now = engine_deadline(engine);
			say(ENGINE_TIMER);
		}
	}
	assert_int_equal(action(ACTION_ROLL_BACK, 0)->previous, 1);
	assert_int_equal(action(ACTION_ROLL_BACK, 0)->release, 3);
}

static void not_rolled_back_under_a_commit(void **state)
{
	struct formation *f = web(1, 2);
	const struct dyno *d;

	(void)state;
	f->types[0].start_retries = 0;
	release(1, web(1, 1));
	all_up();
	release(2, f);
	say(ENGINE_SUBMITTED, .release = 3);
	say(ENGINE_PREPARED, .release = 3, .formation = web(1, 3));
	d = get("web", 1);
	ends(d, NO_START);
	assert_true(d->gave_up);
	assert_int_equal(count(ACTION_ROLL_BACK), 0);
	say(ENGINE_COMMIT_FAILED, .release = 3);
	assert_int_equal(action(ACTION_ROLL_BACK, 0)->release, 2);
}

static void what_a_release_removes_goes_last(void **state)
{
	struct formation *f = formation();
	const struct dyno *old;

	(void)state;
	add(f, "web", 1, 1);
	add(f, "worker", 1, 5);
	release(1, f);
	all_up();
	old = get("web", 1);
	release(2, web(1, 2));
	come_up(get("web", 1));
	assert_int_equal(get("worker", 1)->state, DYNO_UP);
	ends(old, CODE(0));
	assert_int_equal(get("worker", 1)->state, DYNO_STOPPING);
	assert_int_equal(count(ACTION_SETTLED), 0);
	ends(get("worker", 1), CODE(0));
	assert_int_equal(count(ACTION_SETTLED), 1);
}

static void what_crashed_before_does_not_hold_up_a_release(void **state)
{
	struct formation *before = formation(), *after = formation();
	const struct dyno *worker;

	(void)state;
	add(before, "web", 1, 1);
	add(before, "worker", 1, 5);
	release(1, before);
	all_up();
	worker = get("worker", 1);
	ends(worker, CODE(1));
	ends(worker, CODE(1));
	assert_int_equal(worker->state, DYNO_BACKOFF);
	add(after, "web", 2, 1);
	add(after, "worker", 1, 5);
	release(2, after);
	come_up(get("web", 2));
	assert_int_equal(action(ACTION_SETTLED, 0)->release, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(from_submission_to_settled),
		TEST(the_newest_submission_wins),
		TEST(a_submission_waits_for_the_commit_before),
		TEST(a_failed_preparation_changes_nothing),
		TEST(starts_in_the_order_of_priority),
		TEST(an_unchanged_type_is_not_touched),
		TEST(the_largest_formation_at_once),
		TEST(rolled_out_one_by_one),
		TEST(rolled_back_after_three_bad_starts),
		TEST(rolled_back_when_nothing_moves),
		TEST(the_first_release_is_never_rolled_back),
		TEST(goes_back_to_the_last_one_that_settled),
		TEST(not_rolled_back_under_a_commit),
		TEST(what_a_release_removes_goes_last),
		TEST(what_crashed_before_does_not_hold_up_a_release),
	};

	return cmocka_run_group_tests_name("engine-release", tests, NULL, NULL);
}
