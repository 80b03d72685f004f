/* The release phase. */
#include "engine.h"

/* web, and a release phase. */
static struct formation *with_phase(int64_t version, uint64_t fingerprint)
{
	struct formation *f = web(1, fingerprint);

	f->version = version;
	add(f, "release", 3, fingerprint + 100)->phase = true;
	return f;
}

static const struct dyno *phase(uint64_t handle, const struct formation *f)
{
	say(ENGINE_SUBMITTED, .release = handle);
	say(ENGINE_PREPARED, .release = handle, .formation = f);
	return find("release", 1);
}

static void runs_once_and_then_the_release_is_committed(void **state)
{
	(void)state;
	const struct dyno *d = phase(1, with_phase(7, 1));
	assert_int_equal(count(ACTION_START), 1);
	assert_int_equal(action(ACTION_START, 0)->release, 1);
	assert_true(d->phase && action(ACTION_START, 0)->kept.phase);
	assert_int_equal(action(ACTION_START, 0)->kept.version, 7);
	assert_int_equal(count(ACTION_COMMIT), 0);
	dyno_says(ENGINE_STARTED, d);
	now += S(3000);
	say(ENGINE_TIMER);
	ends(d, CODE(0));
	assert_int_equal(action(ACTION_COMMIT, 0)->release, 1);
	assert_int_equal(count(ACTION_FORGET), 0); /* not before it is durable */
	say(ENGINE_COMMITTED, .release = 1);
	assert_int_equal(count(ACTION_FORGET), 1);
	assert_int_equal(count(ACTION_START), 1);
	assert_string_equal(action(ACTION_START, 0)->dyno->type, "web");
	all_up();
	assert_int_equal(count(ACTION_SETTLED), 1);
	assert_int_equal(engine_dynos(engine), 1);
}

static void anything_else_refuses_the_release(void **state)
{
	static const struct {
		struct dyno_exit exit;
		const char *text;
	} rows[] = {
		{{EXIT_CODE, 1, 0}, "release phase: exited with status 1"},
		{{EXIT_SIGNAL, SIGKILL, 0}, "release phase: was killed by SIGKILL"},
		{{EXIT_STAGE, 8, ENOENT},
			"release phase: could not start: stage 8: No such file or directory"},
		{{EXIT_UNKNOWN, 0, 0}, NULL},
	};

	(void)state;
	release(1, web(1, 1));
	all_up();
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		ends(phase(2 + i, with_phase(2, 2)), rows[i].exit);
		assert_int_equal(action(ACTION_REFUSE, 0)->release, 2 + i);
		if (rows[i].text)
			assert_string_equal(action(ACTION_REFUSE, 0)->text, rows[i].text);
		assert_int_equal(count(ACTION_COMMIT), 0);
		assert_int_equal(count(ACTION_FORGET), 1);
		assert_int_equal(engine_release(engine), 1);
		assert_int_equal(get("web", 1)->state, DYNO_UP);
	}
	assert_int_equal(engine_counts(engine)->refused, ARRAY_SIZE(rows));
}

static void a_newer_submission_stops_it(void **state)
{
	(void)state;
	const struct dyno *d = phase(1, with_phase(1, 1));
	dyno_says(ENGINE_STARTED, d);
	say(ENGINE_SUBMITTED, .release = 2);
	assert_int_equal(action(ACTION_DROP, 0)->release, 1);
	assert_int_equal(count(ACTION_SIGNAL), 1);
	assert_int_equal(action(ACTION_PREPARE, 0)->release, 2);
	say(ENGINE_PREPARED, .release = 2, .formation = with_phase(2, 1));
	assert_int_equal(count(ACTION_START), 0); /* never two at once */
	ends(d, CODE(0));
	assert_int_equal(count(ACTION_COMMIT), 0);
	assert_int_equal(action(ACTION_START, 0)->release, 2);
}

static void not_for_a_roll_back(void **state)
{
	(void)state;
	say(ENGINE_SUBMITTED, .release = 1);
	say(ENGINE_PREPARED, .release = 1, .formation = with_phase(1, 1), .skip_phase = true);
	assert_int_equal(count(ACTION_COMMIT), 1);
}

static void given_up_by_the_operator(void **state)
{
	(void)state;
	const struct dyno *d = phase(1, with_phase(1, 1));
	say(ENGINE_ABORT);
	assert_string_equal(
		action(ACTION_REFUSE, 0)->text, "release phase: given up by the operator");
	assert_int_equal(d->state, DYNO_STOPPING);
	ends(d, CODE(0));
	assert_int_equal(count(ACTION_COMMIT), 0);
	d = phase(2, with_phase(2, 1));
	say(ENGINE_STOP_DYNO, .id = d->id);
	assert_string_equal(
		action(ACTION_REFUSE, 0)->text, "release phase: stopped by the operator");
	say(ENGINE_START_DYNO, .id = d->id);
	say(ENGINE_RESTART_DYNO, .id = d->id);
	say(ENGINE_UNHEALTHY, .id = d->id, .generation = 1);
	assert_int_equal(n_actions, 0);
}

/* A life that was found, of the release phase of this version. */
static struct engine_adopted found(int64_t version, bool ended, int code)
{
	return (struct engine_adopted){.id = 50,
		.generation = 1,
		.type = "release",
		.instance = 1,
		.fingerprint = 101,
		.kept = {.phase = true, .version = version},
		.started = S(900),
		.ended = ended,
		.exit = CODE(code),
		.at = S(950)};
}

static void begin_again(struct engine_adopted *a)
{
	open_engine((struct engine_options){0});
	say(ENGINE_RESTORED, .release = 1, .formation = web(0, 9), .settled = 1);
	say(ENGINE_ADOPTED, .adopted = a);
	say(ENGINE_CAUGHT_UP);
	assert_int_equal(count(ACTION_FORGET), 0);
}

static void it_is_not_run_again_by_a_later_supervisor(void **state)
{
	struct engine_adopted a = found(7, true, 0);

	(void)state;
	begin_again(&a);
	(void)phase(2, with_phase(7, 1));
	assert_int_equal(action(ACTION_COMMIT, 0)->release, 2);
	assert_int_equal(count(ACTION_START), 0);
	say(ENGINE_COMMITTED, .release = 2);
	assert_int_equal(count(ACTION_FORGET), 1);

	a = found(7, true, 1);
	begin_again(&a);
	(void)phase(2, with_phase(7, 1));
	assert_int_equal(action(ACTION_REFUSE, 0)->release, 2);

	a = found(7, false, 0);
	begin_again(&a);
	const struct dyno *d = phase(2, with_phase(7, 1));
	assert_int_equal(d->id, 50);
	assert_int_equal(n_actions, 0);
	ends(d, CODE(0));
	assert_int_equal(count(ACTION_COMMIT), 1);
}

static void that_of_another_release_is_stopped_first(void **state)
{
	struct engine_adopted a = found(6, false, 0);

	(void)state;
	begin_again(&a);
	(void)phase(2, with_phase(7, 1));
	assert_int_equal(count(ACTION_SIGNAL), 1);
	assert_int_equal(count(ACTION_START), 0);
	say(ENGINE_EXITED, .id = 50, .generation = 1, .exit = KILLED);
	assert_int_equal(action(ACTION_START, 0)->release, 2);
}

static void the_release_in_force_has_passed_it(void **state)
{
	struct engine_adopted a = found(7, true, 0);

	(void)state;
	open_engine((struct engine_options){0});
	say(ENGINE_RESTORED, .release = 1, .formation = with_phase(7, 1), .settled = 1);
	say(ENGINE_ADOPTED, .adopted = &a);
	say(ENGINE_CAUGHT_UP);
	assert_int_equal(action(ACTION_FORGET, 0)->id, 50);
}

static void a_shutdown_stops_it(void **state)
{
	(void)state;
	const struct dyno *d = phase(1, with_phase(1, 1));
	say(ENGINE_SHUTDOWN, .urgency = 1);
	assert_int_equal(count(ACTION_SIGNAL), 1);
	assert_int_equal(action(ACTION_DROP, 0)->release, 1);
	assert_int_equal(count(ACTION_LEAVE), 0);
	ends(d, CODE(0));
	assert_int_equal(count(ACTION_LEAVE), 1);
	assert_int_equal(count(ACTION_COMMIT), 0);
}

static void oneshot_waits_for_it(void **state)
{
	(void)state;
	open_engine((struct engine_options){.oneshot = true});
	ends(phase(1, with_phase(1, 1)), CODE(0));
	assert_int_equal(count(ACTION_LEAVE), 0);
	say(ENGINE_COMMITTED, .release = 1);
	ends(get("web", 1), CODE(4));
	assert_int_equal(action(ACTION_LEAVE, 0)->code, 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(runs_once_and_then_the_release_is_committed),
		TEST(anything_else_refuses_the_release),
		TEST(a_newer_submission_stops_it),
		TEST(not_for_a_roll_back),
		TEST(given_up_by_the_operator),
		TEST(it_is_not_run_again_by_a_later_supervisor),
		TEST(that_of_another_release_is_stopped_first),
		TEST(the_release_in_force_has_passed_it),
		TEST(a_shutdown_stops_it),
		TEST(oneshot_waits_for_it),
	};

	return cmocka_run_group_tests_name("engine-phase", tests, NULL, NULL);
}
