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

static const struct quantity_override *scaled(size_t n)
{
	const struct engine_action *a = action(ACTION_SCALED, 0);

	if (!a) {
		fail_msg("nothing was said of quantities");
		abort();
	}
	assert_int_equal(a->n_overrides, n);
	return a->overrides;
}

static void a_scale_holds_until_a_release_says_another_quantity(void **state)
{
	struct quantity_override three = {.type = "web", .quantity = 3};
	struct quantity_override unknown = {.type = "nothing", .quantity = 3};

	(void)state;
	say(ENGINE_SCALE, .overrides = &three, .n_overrides = 1); /* of no release yet */
	release(1, web(1, 1));
	assert_int_equal(engine_quantity(engine, "web"), 1);
	all_up();
	say(ENGINE_SCALE, .overrides = &unknown, .n_overrides = 1);
	assert_int_equal(count(ACTION_SCALED), 0);
	say(ENGINE_SCALE, .overrides = &three, .n_overrides = 1);
	const struct quantity_override *o = scaled(1);
	assert_true(o->by_operator);
	assert_int_equal(o->base, 1);
	assert_int_equal(o->quantity, 3);
	all_up();

	release(2, web(2, 1));
	assert_int_equal(engine_quantity(engine, "web"), 2);
	ends(get("web", 3), CODE(0)); /* now it has settled */
	(void)scaled(0);
	say(ENGINE_SCALE, .overrides = &three, .n_overrides = 1);
	all_up();
	three.quantity = 2;
	say(ENGINE_SCALE, .overrides = &three, .n_overrides = 1); /* as the release has it */
	(void)scaled(0);
}

static void a_roll_back_brings_a_scale_again(void **state)
{
	struct quantity_override three = {.type = "web", .quantity = 3};

	(void)state;
	release(1, web(1, 1));
	say(ENGINE_SCALE, .overrides = &three, .n_overrides = 1);
	all_up();
	release(2, web(2, 2));
	assert_int_equal(engine_quantity(engine, "web"), 2);
	assert_int_equal(count(ACTION_SCALED), 0);
	say(ENGINE_ABORT);
	assert_int_equal(engine_quantity(engine, "web"), 3);
}

static void a_scale_outlives_the_engine(void **state)
{
	struct quantity_override both[] = {{.type = "web", .quantity = 2},
		{.type = "web", .quantity = 4, .by_operator = true, .base = 1}};

	(void)state;
	open_engine((struct engine_options){.overrides = both, .n_overrides = 2});
	release(1, web(1, 1));
	assert_int_equal(engine_quantity(engine, "web"), 4);
	all_up();
	release(2, web(7, 1)); /* then what the command line says */
	assert_int_equal(engine_quantity(engine, "web"), 2);

	/* Without a word of the command line all types run. */
	open_engine((struct engine_options){.overrides = &both[1], .n_overrides = 1});
	struct formation *f = web(1, 1);
	add(f, "worker", 2, 2);
	release(1, f);
	assert_int_equal(engine_quantity(engine, "web"), 4);
	assert_int_equal(engine_quantity(engine, "worker"), 2);
}

static void a_type_is_started_with_its_quantity(void **state)
{
	struct formation *f = web(2, 1);

	(void)state;
	f->types[0].autostart = false;
	add(f, "none", 0, 2);
	release(1, f);
	assert_int_equal(count(ACTION_START), 0);
	say(ENGINE_START_TYPE, .text = "web");
	assert_int_equal(count(ACTION_START), 2);
	assert_int_equal(scaled(1)->quantity, 2);
	say(ENGINE_START_TYPE, .text = "web");
	say(ENGINE_START_TYPE, .text = "none");
	say(ENGINE_START_TYPE, .text = "nothing");
	say(ENGINE_START_TYPE);
	assert_int_equal(n_actions, 0);
	assert_int_equal(engine_stale(engine), 4);
}

static void a_stop_outlives_a_release(void **state)
{
	(void)state;
	for (int strategy = 0; strategy < 2; strategy++) {
		struct formation *two = web(2, 2);

		open_engine((struct engine_options){0});
		two->types[0].rollout.strategy = strategy ? ROLLOUT_RECREATE : ROLLOUT_ROLLING;
		release(1, web(2, 1));
		all_up();
		const struct dyno *d = get("web", 2);
		say(ENGINE_STOP_DYNO, .id = d->id);
		assert_int_equal(action(ACTION_RESTING, 0)->n_rests, 1);
		assert_int_equal(action(ACTION_RESTING, 0)->rests[0].instance, 2);
		assert_string_equal(action(ACTION_RESTING, 0)->rests[0].type, "web");
		ends(d, CODE(0));
		d = get("web", 1);
		release(2, two);
		if (strategy)
			ends(d, CODE(0));
		come_up(get("web", 1));
		if (!strategy)
			ends(d, CODE(0));
		d = get("web", 2);
		assert_int_equal(d->fingerprint, 2);
		assert_true(dyno_stopped_by_operator(d));
		assert_int_equal(d->generation, 0);
		assert_false(engine_rolling(engine));
		say(ENGINE_START_DYNO, .id = d->id);
		assert_int_equal(count(ACTION_START), 1);
		assert_int_equal(action(ACTION_RESTING, 0)->n_rests, 0);
	}
}

static void a_stop_outlives_the_engine_with_nothing_left_of_the_dyno(void **state)
{
	struct engine_rest rests[] = {{"web", 2}, {"gone", 1}};

	(void)state;
	open_engine((struct engine_options){.rests = rests, .n_rests = 2});
	release(1, web(2, 1));
	assert_int_equal(count(ACTION_START), 1);
	assert_true(dyno_stopped_by_operator(get("web", 2)));
	come_up(get("web", 1));
	assert_int_equal(count(ACTION_SETTLED), 1);
	assert_int_equal(action(ACTION_RESTING, 0)->n_rests, 1); /* of what there is */
}

static void who_is_not_wanted_any_more_is_not_kept_at_rest(void **state)
{
	struct quantity_override o = {.type = "web", .quantity = 1};

	(void)state;
	release(1, web(2, 1));
	all_up();
	const struct dyno *d = get("web", 2);
	say(ENGINE_STOP_DYNO, .id = d->id);
	ends(d, CODE(0));
	say(ENGINE_SCALE, .overrides = &o, .n_overrides = 1);
	assert_int_equal(action(ACTION_RESTING, 0)->n_rests, 0);
	o.quantity = 2;
	say(ENGINE_SCALE, .overrides = &o, .n_overrides = 1);
	assert_int_equal(get("web", 2)->state, DYNO_STARTING);
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
		TEST(a_scale_holds_until_a_release_says_another_quantity),
		TEST(a_roll_back_brings_a_scale_again),
		TEST(a_scale_outlives_the_engine),
		TEST(a_type_is_started_with_its_quantity),
		TEST(a_stop_outlives_a_release),
		TEST(a_stop_outlives_the_engine_with_nothing_left_of_the_dyno),
		TEST(who_is_not_wanted_any_more_is_not_kept_at_rest),
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
