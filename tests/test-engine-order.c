/* Who starts after whom, who stops before whom, and when hsup leaves by itself. */
#include "engine.h"

static const char *waits_for(const struct dyno *d)
{
	static char text[100];

	return engine_waits_for(engine, d, text, sizeof text);
}

static void after(struct formation_type *t, unsigned other, enum after_condition condition)
{
	t->after[t->n_after++] = (struct formation_after){other, condition};
}

/* ---- Priority ---- */

static void one_that_cannot_come_up_holds_nobody_up(void **state)
{
	struct formation *f = formation();

	(void)state;
	add(f, "db", 1, 1)->priority = 1;
	add(f, "web", 1, 2)->priority = 2;
	release(1, f);
	assert_int_equal(count(ACTION_START), 1);
	assert_string_equal(waits_for(get("web", 1)), "db to be up (Priority 1)");
	assert_null(waits_for(get("db", 1)));
	ends(get("db", 1), CODE(1));
	assert_non_null(action(ACTION_REPORT, 0));
	assert_string_equal(action(ACTION_REPORT, 0)->text,
		"did not come up: what has a higher Priority is started without it");
	assert_int_equal(get("web", 1)->state, DYNO_STARTING);
	assert_null(waits_for(get("web", 1)));
	ends(get("db", 1), CODE(1));
	assert_int_equal(count(ACTION_REPORT), 0); /* said once */
}

static void a_crash_later_on_holds_nobody_up(void **state)
{
	struct quantity_override two = {.type = "web", .quantity = 2};
	struct formation *f = formation();

	(void)state;
	add(f, "db", 1, 1)->priority = 1;
	add(f, "web", 1, 2)->priority = 2;
	release(1, f);
	all_up();
	ends(get("web", 1), CODE(1));
	assert_int_equal(count(ACTION_START), 1);
	ends(get("db", 1), CODE(1));
	say(ENGINE_SCALE, .overrides = &two, .n_overrides = 1);
	assert_int_equal(count(ACTION_START), 1);
}

static void a_rollout_goes_by_priority_too(void **state)
{
	struct formation *one = formation(), *two = formation();

	(void)state;
	add(one, "db", 1, 1)->priority = 1;
	add(one, "web", 1, 2)->priority = 2;
	release(1, one);
	all_up();
	const struct dyno *old_db = get("db", 1);
	add(two, "db", 1, 3)->priority = 1;
	add(two, "web", 1, 4)->priority = 2;
	release(2, two);
	assert_int_equal(count(ACTION_START), 1);
	assert_string_equal(action(ACTION_START, 0)->dyno->type, "db");
	assert_int_equal(get("web", 1)->state, DYNO_UP);
	come_up(get("db", 1));
	assert_int_equal(old_db->state, DYNO_STOPPING);
	assert_string_equal(action(ACTION_START, 0)->dyno->type, "web");
}

static void a_step_of_the_stop_waits_for_the_one_before(void **state)
{
	struct formation *f = formation();

	(void)state;
	add(f, "db", 1, 1)->priority = 1;
	add(f, "web", 2, 2)->priority = 2;
	release(1, f);
	all_up();
	say(ENGINE_SHUTDOWN, .urgency = 1);
	assert_int_equal(count(ACTION_SIGNAL), 2);
	ends(get("db", 1), CODE(1)); /* not told yet, and not started again */
	assert_int_equal(count(ACTION_START), 0);
	assert_int_equal(count(ACTION_FORGET), 1);
	ends(get("web", 1), CODE(0));
	say(ENGINE_SHUTDOWN, .urgency = 2);
	assert_int_equal(count(ACTION_KILL), 1);
}

static void urgency_2_kills_all_at_once(void **state)
{
	struct formation *f = formation();

	(void)state;
	add(f, "db", 1, 1)->priority = 1;
	add(f, "web", 2, 2)->priority = 2;
	release(1, f);
	all_up();
	say(ENGINE_SHUTDOWN, .urgency = 2);
	assert_int_equal(count(ACTION_KILL), 3);
}

/* ---- After ---- */

static void started_ready_or_succeeded(void **state)
{
	(void)state;
	for (enum after_condition c = 0; c < AFTER_CONDITION_MAX; c++) {
		struct formation *f = formation();
		const char *const texts[] = {"job to start", "job to be ready", "job to succeed"};

		open_engine((struct engine_options){0});
		add(f, "job", 1, 1)->restart = RESTART_ON_FAILURE;
		after(add(f, "web", 1, 2), 0, c);
		release(1, f);
		assert_int_equal(count(ACTION_START), 1);
		assert_int_equal(get("web", 1)->state, DYNO_STOPPED);
		assert_string_equal(waits_for(get("web", 1)), texts[c]);
		dyno_says(ENGINE_STARTED, get("job", 1));
		assert_int_equal(get("web", 1)->state == DYNO_STARTING, c == AFTER_STARTED);
		now += S(1);
		say(ENGINE_TIMER);
		assert_int_equal(get("web", 1)->state == DYNO_STARTING, c != AFTER_SUCCEEDED);
		ends(get("job", 1), CODE(0));
		assert_int_equal(get("web", 1)->state, DYNO_STARTING);
	}
}

static void a_failure_is_no_success_however_long_it_takes(void **state)
{
	struct formation *f = formation();

	(void)state;
	add(f, "migrate", 1, 1)->restart = RESTART_NEVER;
	after(add(f, "web", 1, 2), 0, AFTER_SUCCEEDED);
	release(1, f);
	ends(get("migrate", 1), CODE(1));
	assert_true(get("migrate", 1)->gave_up);
	now += S(1000000);
	say(ENGINE_TIMER);
	assert_string_equal(waits_for(get("web", 1)), "migrate to succeed");
	say(ENGINE_START_DYNO, .id = get("migrate", 1)->id);
	ends(get("migrate", 1), CODE(0));
	assert_int_equal(get("web", 1)->state, DYNO_STARTING);
}

static void one_that_does_not_run_is_not_waited_for(void **state)
{
	struct formation *f = formation();

	(void)state;
	add(f, "db", 0, 1);
	after(add(f, "web", 1, 2), 0, AFTER_READY);
	release(1, f);
	assert_int_equal(count(ACTION_START), 1);
}

static void scaled_to_nothing_it_is_not_waited_for_any_more(void **state)
{
	struct quantity_override none = {.type = "db"};
	struct formation *f = formation();

	(void)state;
	add(f, "db", 1, 1);
	after(add(f, "web", 1, 2), 0, AFTER_READY);
	release(1, f);
	assert_int_equal(get("web", 1)->state, DYNO_STOPPED);
	say(ENGINE_SCALE, .overrides = &none, .n_overrides = 1);
	assert_int_equal(get("web", 1)->state, DYNO_STARTING);
}

static void a_circle_does_not_hang(void **state)
{
	struct formation *f = formation();

	(void)state;
	after(add(f, "a", 1, 1), 1, AFTER_READY);
	after(add(f, "b", 1, 2), 0, AFTER_READY);
	after(add(f, "c", 1, 3), 1, AFTER_READY);
	after(add(f, "d", 1, 4), 3, AFTER_READY);
	release(1, f);
	assert_int_equal(count(ACTION_START), 4);
}

/* The one it waits for has a higher Priority. */
static void after_beats_priority(void **state)
{
	struct formation *f = formation();

	(void)state;
	add(f, "web", 1, 1)->priority = 1;
	add(f, "db", 1, 2)->priority = 2;
	after(&f->types[0], 1, AFTER_READY);
	release(1, f);
	assert_int_equal(count(ACTION_START), 1);
	assert_string_equal(action(ACTION_START, 0)->dyno->type, "db");
	come_up(get("db", 1));
	assert_string_equal(action(ACTION_START, 0)->dyno->type, "web");
}

static void not_after_a_crash_but_after_the_operators_stop(void **state)
{
	struct formation *f = formation();

	(void)state;
	add(f, "db", 1, 1);
	after(add(f, "web", 1, 2), 0, AFTER_READY);
	release(1, f);
	all_up();
	all_up();
	const struct dyno *db = get("db", 1), *web = get("web", 1);
	say(ENGINE_RESTART_DYNO, .id = db->id);
	ends(web, CODE(1));
	assert_int_equal(web->state, DYNO_STARTING);
	say(ENGINE_STOP_DYNO, .id = web->id);
	ends(web, CODE(0));
	say(ENGINE_START_DYNO, .id = web->id);
	assert_int_equal(web->state, DYNO_STOPPED);
	assert_string_equal(waits_for(web), "db to be ready");
	ends(db, CODE(0));
	come_up(db);
	assert_int_equal(web->state, DYNO_STARTING);
}

static void an_old_one_stays_while_its_successor_waits(void **state)
{
	struct formation *one = formation(), *two = formation();

	(void)state;
	add(one, "db", 1, 1);
	after(add(one, "web", 2, 2), 0, AFTER_READY);
	release(1, one);
	all_up();
	all_up();
	add(two, "db", 1, 3);
	after(add(two, "web", 1, 4), 0, AFTER_READY);
	two->types[1].rollout.strategy = ROLLOUT_RECREATE;
	release(2, two);
	assert_int_equal(get("web", 1)->state, DYNO_UP);
	assert_int_equal(get("web", 2)->state, DYNO_STOPPING); /* fewer are wanted */
	come_up(get("db", 1));
	assert_int_equal(get("web", 1)->state, DYNO_STOPPING);
}

/* ---- the end ---- */

static void essential_with_its_code(void **state)
{
	static const struct {
		struct dyno_exit exit;
		int code;
	} rows[] = {
		{{EXIT_CODE, 0, 0}, 0}, {{EXIT_CODE, 7, 0}, 7}, {{EXIT_SIGNAL, SIGKILL, 0}, 137}};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct formation *f = formation();

		open_engine((struct engine_options){0});
		add(f, "web", 1, 1)->essential = true;
		add(f, "log", 1, 2)->priority = 1;
		f->types[0].restart = RESTART_NEVER;
		release(1, f);
		all_up();
		all_up();
		ends(get("web", 1), rows[i].exit);
		assert_true(engine_stopping(engine));
		assert_int_equal(count(ACTION_SIGNAL), 1);
		ends(get("log", 1), CODE(9));
		assert_int_equal(action(ACTION_LEAVE, 0)->code, rows[i].code);
	}
}

static void essential_that_is_restarted_is_no_end(void **state)
{
	struct formation *f = web(1, 1);

	(void)state;
	f->types[0].essential = true;
	f->types[0].start_retries = 0;
	release(1, f);
	come_up(get("web", 1));
	ends(get("web", 1), CODE(1));
	assert_false(engine_stopping(engine));
	ends(get("web", 1), CODE(0)); /* gave up, with a code that says nothing */
	assert_int_equal(action(ACTION_LEAVE, 0)->code, 1);
}

static void essential_stopped_by_the_operator_is_no_end(void **state)
{
	struct formation *f = web(1, 1);

	(void)state;
	f->types[0].essential = true;
	release(1, f);
	all_up();
	say(ENGINE_STOP_DYNO, .id = get("web", 1)->id);
	ends(get("web", 1), CODE(1));
	assert_false(engine_stopping(engine));
}

static void essential_that_can_be_rolled_back_is_no_end(void **state)
{
	struct formation *one = web(1, 1), *two = web(1, 2);

	(void)state;
	two->types[0].essential = true;
	two->types[0].start_retries = 0;
	release(1, one);
	all_up();
	release(2, two);
	ends(get("web", 1), CODE(1));
	assert_int_equal(count(ACTION_ROLL_BACK), 1);
	assert_false(engine_stopping(engine));
}

static void leaves_when_all_is_done(void **state)
{
	struct formation *f = formation();

	(void)state;
	open_engine((struct engine_options){.exit_when_done = true});
	add(f, "job", 2, 1)->restart = RESTART_NEVER;
	after(add(f, "web", 1, 2), 0, AFTER_SUCCEEDED);
	release(1, f);
	all_up();
	ends(get("job", 1), CODE(3));
	assert_int_equal(count(ACTION_LEAVE), 0);
	ends(get("job", 2), CODE(0));
	/* web would wait for ever. */
	assert_int_equal(action(ACTION_LEAVE, 0)->code, 3);
}

static void who_was_stopped_may_be_started_again(void **state)
{
	struct formation *f = web(1, 1);

	(void)state;
	open_engine((struct engine_options){.exit_when_done = true});
	f->types[0].restart = RESTART_NEVER;
	release(1, f);
	all_up();
	say(ENGINE_STOP_DYNO, .id = get("web", 1)->id);
	ends(get("web", 1), CODE(0));
	assert_int_equal(count(ACTION_LEAVE), 0);
	say(ENGINE_START_DYNO, .id = get("web", 1)->id);
	come_up(get("web", 1));
	ends(get("web", 1), CODE(0));
	assert_int_equal(action(ACTION_LEAVE, 0)->code, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(one_that_cannot_come_up_holds_nobody_up),
		TEST(a_crash_later_on_holds_nobody_up),
		TEST(a_rollout_goes_by_priority_too),
		TEST(a_step_of_the_stop_waits_for_the_one_before),
		TEST(urgency_2_kills_all_at_once),
		TEST(started_ready_or_succeeded),
		TEST(a_failure_is_no_success_however_long_it_takes),
		TEST(one_that_does_not_run_is_not_waited_for),
		TEST(scaled_to_nothing_it_is_not_waited_for_any_more),
		TEST(a_circle_does_not_hang),
		TEST(after_beats_priority),
		TEST(not_after_a_crash_but_after_the_operators_stop),
		TEST(an_old_one_stays_while_its_successor_waits),
		TEST(essential_with_its_code),
		TEST(essential_that_is_restarted_is_no_end),
		TEST(essential_stopped_by_the_operator_is_no_end),
		TEST(essential_that_can_be_rolled_back_is_no_end),
		TEST(leaves_when_all_is_done),
		TEST(who_was_stopped_may_be_started_again),
	};

	return cmocka_run_group_tests_name("engine-order", tests, NULL, NULL);
}
