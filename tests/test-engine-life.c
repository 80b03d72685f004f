/* The lives of a dyno. */
#include "engine.h"

static void crashes_restart_at_once_then_later(void **state)
{
	const struct dyno *d;
	uint64_t delay;

	(void)state;
	release(1, web(1, 1));
	all_up();
	d = get("web", 1);
	ends(d, CODE(0));
	assert_int_equal(count(ACTION_CHANGED), 2);
	assert_int_equal(actions[0].from, DYNO_UP);
	assert_int_equal(actions[0].to, DYNO_BACKOFF);
	assert_int_equal(action(ACTION_START, 0)->generation, 2);
	come_up(d);
	ends(d, CODE(0));
	assert_int_equal(count(ACTION_START), 0);
	delay = engine_deadline(engine) - now;
	assert_in_range(delay, S(1), S(1) + S(1) / 4);
	now += delay;
	say(ENGINE_TIMER);
	assert_int_equal(action(ACTION_START, 0)->generation, 3);
	come_up(d);
	now += BACKOFF_RESET_NS;
	say(ENGINE_TIMER);
	assert_int_equal(d->failures, 0);
	assert_int_equal(engine_deadline(engine), UINT64_MAX);
	ends(d, KILLED);
	assert_int_equal(count(ACTION_START), 1);
}

static void by_restart_policy(void **state)
{
	static const struct {
		enum restart_policy policy;
		bool up;
		struct dyno_exit exit;
		enum dyno_state then;
		bool gave_up;
	} rows[] = {
		{RESTART_ALWAYS, true, {EXIT_CODE, 0, 0}, DYNO_STARTING, false},
		{RESTART_ON_FAILURE, true, {EXIT_CODE, 0, 0}, DYNO_STOPPED, false},
		{RESTART_ON_FAILURE, true, {EXIT_CODE, 1, 0}, DYNO_STARTING, false},
		{RESTART_ON_FAILURE, true, {EXIT_SIGNAL, SIGTERM, 0}, DYNO_STARTING, false},
		{RESTART_ON_FAILURE, true, {EXIT_UNKNOWN, 0, 0}, DYNO_STARTING, false},
		{RESTART_ON_FAILURE, false, {EXIT_CODE, 0, 0}, DYNO_STOPPED, false},
		{RESTART_NEVER, true, {EXIT_CODE, 1, 0}, DYNO_STOPPED, false},
		{RESTART_NEVER, false, {EXIT_CODE, 0, 0}, DYNO_STOPPED, false},
		{RESTART_NEVER, false, {EXIT_CODE, 1, 0}, DYNO_STOPPED, true},
		{RESTART_NEVER, false, {EXIT_STAGE, 8, ENOENT}, DYNO_STOPPED, true},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct formation *f = web(1, 1);
		const struct dyno *d;

		open_engine((struct engine_options){0});
		f->types[0].restart = rows[i].policy;
		release(1, f);
		d = get("web", 1);
		if (rows[i].up)
			come_up(d);
		ends(d, rows[i].exit);
		assert_int_equal(d->state, rows[i].then);
		assert_int_equal(d->gave_up, rows[i].gave_up);
		/* a job that is done holds up no rollout */
		assert_int_equal(engine_rolling(engine), !rows[i].up && rows[i].gave_up);
	}
}

static void gives_up_after_start_retries(void **state)
{
	struct formation *f = web(1, 1);
	const struct dyno *d;

	(void)state;
	f->types[0].start_retries = 2;
	release(1, f);
	d = get("web", 1);
	ends(d, CODE(1));
	ends(d, CODE(1));
	now = engine_deadline(engine);
	say(ENGINE_TIMER);
	ends(d, NO_START);
	assert_true(d->gave_up);
	assert_int_equal(d->state, DYNO_STOPPED);
	assert_string_equal(action(ACTION_REPORT, 0)->text,
		"gave up after 3 failed starts: could not start: "
		"stage 8: No such file or directory");
	assert_int_equal(engine_deadline(engine), UINT64_MAX);
	say(ENGINE_START_DYNO, .id = d->id);
	assert_false(d->gave_up);
	assert_int_equal(d->bad_starts, 0);
	assert_int_equal(count(ACTION_START), 1);
}

static void a_life_that_was_up_starts_the_count_anew(void **state)
{
	struct formation *f = web(1, 1);
	const struct dyno *d;

	(void)state;
	f->types[0].start_retries = 0;
	release(1, f);
	d = get("web", 1);
	for (int i = 0; i < 5; i++) {
		come_up(d);
		ends(d, CODE(1));
		now = i ? engine_deadline(engine) : now;
		say(ENGINE_TIMER);
		assert_int_equal(d->state, DYNO_STARTING);
	}
	assert_int_equal(d->failures, 5);
	assert_int_equal(d->bad_starts, 0);
}

static void boot_timeout(void **state)
{
	const struct dyno *d;

	(void)state;
	release(1, web(1, 1));
	d = get("web", 1);
	assert_int_equal(engine_deadline(engine), now + S(60));
	now += S(60);
	say(ENGINE_TIMER);
	assert_int_equal(count(ACTION_KILL), 1);
	assert_string_equal(action(ACTION_REPORT, 0)->text,
		"Error R10 (Boot timeout): not up within 60 s, sending KILL");
	assert_int_equal(d->bad_starts, 1);
	ends(d, KILLED);
	assert_int_equal(d->bad_starts, 1);
	assert_int_equal(d->state, DYNO_STARTING);
}

static void exit_timeout(void **state)
{
	const struct dyno *d;

	(void)state;
	release(1, web(1, 1));
	all_up();
	d = get("web", 1);
	say(ENGINE_SHUTDOWN, .urgency = 1);
	assert_int_equal(action(ACTION_SIGNAL, 0)->signo, SIGTERM);
	assert_int_equal(engine_deadline(engine), now + S(30));
	now += S(30);
	say(ENGINE_TIMER);
	assert_int_equal(action(ACTION_KILL, 0)->id, d->id);
	assert_string_equal(action(ACTION_REPORT, 0)->text,
		"Error R12 (Exit timeout): still there 30 s after TERM, sending KILL");
}

static void a_dead_leader_is_a_crash(void **state)
{
	const struct dyno *d;

	(void)state;
	release(1, web(1, 1));
	all_up();
	d = get("web", 1);
	dyno_says(ENGINE_LEFT, d);
	assert_int_equal(count(ACTION_SIGNAL), 1);
	ends(d, CODE(0));
	assert_int_equal(d->failures, 1);
	assert_int_equal(d->state, DYNO_STARTING);
}

static void up_at_once_without_start_time(void **state)
{
	struct formation *f = web(1, 1);

	(void)state;
	f->types[0].start_time = 0;
	release(1, f);
	dyno_says(ENGINE_STARTED, get("web", 1));
	assert_int_equal(get("web", 1)->state, DYNO_UP);
	assert_int_equal(count(ACTION_SETTLED), 1);
}

static void stale_events_have_no_effect(void **state)
{
	const struct dyno *d;

	(void)state;
	release(1, web(1, 1));
	all_up();
	d = get("web", 1);
	ends(d, CODE(1));
	say(ENGINE_EXITED, .id = d->id, .generation = 1, .exit = CODE(1));
	say(ENGINE_EXITED, .id = d->id, .generation = 3, .exit = CODE(1));
	say(ENGINE_LEFT, .id = 99, .generation = 1);
	assert_int_equal(n_actions, 0);
	assert_int_equal(d->state, DYNO_STARTING);
	assert_int_equal(engine_stale(engine), 3);
	ends(d, CODE(1));
	say(ENGINE_EXITED, .id = d->id, .generation = 2, .exit = CODE(1));
	assert_int_equal(engine_stale(engine), 4);
	assert_int_equal(d->failures, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(crashes_restart_at_once_then_later),
		TEST(by_restart_policy),
		TEST(gives_up_after_start_retries),
		TEST(a_life_that_was_up_starts_the_count_anew),
		TEST(boot_timeout),
		TEST(exit_timeout),
		TEST(a_dead_leader_is_a_crash),
		TEST(up_at_once_without_start_time),
		TEST(stale_events_have_no_effect),
	};

	return cmocka_run_group_tests_name("engine-life", tests, NULL, NULL);
}
