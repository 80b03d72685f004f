/* What the operator and the command line say. */
#include "engine.h"

static void stopped_and_started_by_hand(void **state)
{
	const struct dyno *d;

	(void)state;
	release(1, web(2, 1));
	all_up();
	d = get("web", 1);
	say(ENGINE_STOP_DYNO, .id = d->id);
	assert_int_equal(d->state, DYNO_STOPPING);
	ends(d, CODE(1));
	assert_int_equal(d->state, DYNO_STOPPED);
	assert_int_equal(engine_dynos(engine), 2);
	assert_int_equal(d->failures, 0);
	say(ENGINE_START_DYNO, .id = d->id);
	assert_int_equal(d->state, DYNO_STARTING);
	come_up(d);
	say(ENGINE_RESTART_DYNO, .id = d->id);
	assert_int_equal(d->state, DYNO_STOPPING);
	ends(d, KILLED);
	assert_int_equal(d->state, DYNO_STARTING);
	assert_int_equal(d->failures, 0);
	assert_int_equal(actions[0].from, DYNO_STOPPING);
	assert_int_equal(actions[0].to, DYNO_STARTING);
}

static void a_start_ends_the_backoff(void **state)
{
	const struct dyno *d;

	(void)state;
	release(1, web(1, 1));
	d = get("web", 1);
	ends(d, CODE(1));
	ends(d, CODE(1));
	assert_int_equal(d->state, DYNO_BACKOFF);
	say(ENGINE_START_DYNO, .id = d->id);
	assert_int_equal(count(ACTION_START), 1);
	assert_int_equal(d->failures, 0);
}

static void scaled_by_hand(void **state)
{
	struct quantity_override three = {.type = "web", .quantity = 3};
	struct quantity_override huge = {.type = "web", .quantity = LIMIT_QUANTITY + 1};

	(void)state;
	release(1, web(1, 1));
	all_up();
	say(ENGINE_SCALE, .overrides = &three, .n_overrides = 1);
	assert_int_equal(count(ACTION_START), 2);
	all_up();
	release(2, web(1, 2));
	assert_int_equal(count(ACTION_SIGNAL), 0); /* a release does not undo it */
	assert_int_equal(engine_min_up(engine, "web"), 3);
	assert_int_equal(try_event((struct engine_event){
				 .type = ENGINE_SCALE, .overrides = &huge, .n_overrides = 1}),
		-E2BIG);
	three.quantity = 0;
	say(ENGINE_SCALE, .overrides = &three, .n_overrides = 1);
	assert_int_equal(count(ACTION_SIGNAL), 4);
}

static void only_the_types_named(void **state)
{
	struct quantity_override o = {.type = "worker", .quantity = 2};
	struct formation *f = formation();

	(void)state;
	open_engine((struct engine_options){.overrides = &o, .n_overrides = 1, .start_number = 5});
	add(f, "web", 3, 1);
	add(f, "worker", 0, 2)->autostart = false;
	release(1, f);
	assert_int_equal(count(ACTION_START), 2);
	assert_int_equal(get("worker", 5)->state, DYNO_STARTING);
	assert_int_equal(get("worker", 6)->state, DYNO_STARTING);
}

static void without_autostart_nothing_starts(void **state)
{
	struct quantity_override o = {.type = "web", .quantity = 1};
	struct formation *f = web(2, 1);

	(void)state;
	f->types[0].autostart = false;
	release(1, f);
	assert_int_equal(count(ACTION_START), 0);
	assert_int_equal(count(ACTION_SETTLED), 1);
	say(ENGINE_SCALE, .overrides = &o, .n_overrides = 1);
	assert_int_equal(count(ACTION_START), 1);
}

static void shut_down_in_two_steps(void **state)
{
	const struct dyno *d1, *d2;

	(void)state;
	release(1, web(2, 1));
	all_up();
	d1 = get("web", 1);
	d2 = get("web", 2);
	say(ENGINE_SUBMITTED, .release = 2);
	say(ENGINE_SHUTDOWN, .urgency = 1);
	assert_int_equal(action(ACTION_DROP, 0)->release, 2);
	assert_int_equal(count(ACTION_SIGNAL), 2);
	ends(d1, CODE(9));
	say(ENGINE_SUBMITTED, .release = 3);
	assert_int_equal(n_actions, 1);
	assert_int_equal(action(ACTION_DROP, 0)->release, 3);
	say(ENGINE_SHUTDOWN, .urgency = 2);
	assert_int_equal(n_actions, 2); /* changed, kill */
	assert_int_equal(action(ACTION_KILL, 0)->id, d2->id);
	ends(d2, KILLED);
	assert_int_equal(action(ACTION_LEAVE, 0)->code, 0);
	say(ENGINE_TIMER);
	assert_int_equal(n_actions, 0);
}

static void oneshot_leaves_with_the_largest_code(void **state)
{
	const struct dyno *d[3];

	(void)state;
	open_engine((struct engine_options){.oneshot = true});
	release(1, web(3, 1));
	for (unsigned i = 0; i < 3; i++)
		d[i] = get("web", i + 1);
	come_up(d[0]);
	ends(d[0], CODE(3));
	assert_int_equal(count(ACTION_START), 0);
	ends(d[1], KILLED);
	assert_int_equal(count(ACTION_LEAVE), 0);
	ends(d[2], NO_START);
	assert_int_equal(action(ACTION_LEAVE, 0)->code, 137);
}

static void oneshot_of_nothing_leaves_at_once(void **state)
{
	(void)state;
	open_engine((struct engine_options){.oneshot = true});
	release(1, web(0, 1));
	assert_int_equal(action(ACTION_LEAVE, 0)->code, 0);
}

static void oneshot_stopped_gracefully_is_no_failure(void **state)
{
	(void)state;
	open_engine((struct engine_options){.oneshot = true});
	release(1, web(1, 1));
	all_up();
	say(ENGINE_SHUTDOWN, .urgency = 1);
	ends(get("web", 1), (struct dyno_exit){.kind = EXIT_SIGNAL, .value = SIGTERM});
	assert_int_equal(action(ACTION_LEAVE, 0)->code, 0);
}

static void wrong_options(void **state)
{
	struct quantity_override huge = {.type = "web", .quantity = LIMIT_QUANTITY + 1};
	struct engine_options no_id = {.start_number = 1};
	struct engine_options too_many = {.first_id = 1, .overrides = &huge, .n_overrides = 1};

	(void)state;
	assert_null(engine_new(&no_id));
	assert_null(engine_new(&too_many));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(stopped_and_started_by_hand),
		TEST(a_start_ends_the_backoff),
		TEST(scaled_by_hand),
		TEST(only_the_types_named),
		TEST(without_autostart_nothing_starts),
		TEST(shut_down_in_two_steps),
		TEST(oneshot_leaves_with_the_largest_code),
		TEST(oneshot_of_nothing_leaves_at_once),
		TEST(oneshot_stopped_gracefully_is_no_failure),
		TEST(wrong_options),
	};

	return cmocka_run_group_tests_name("engine-operator", tests, NULL, NULL);
}
