/* Formations that are not for one machine at the same time (formation.alone). */
#include "engine.h"

static struct formation *alone(struct formation *f, uint64_t number)
{
	f->alone = number;
	return f;
}

static struct formation *pair(uint64_t fingerprint, uint64_t number)
{
	struct formation *f = formation();

	add(f, "db", 1, fingerprint);
	add(f, "web", 2, fingerprint + 1)->n_after = 1;
	f->types[1].after[0] = (struct formation_after){0, AFTER_READY};
	return alone(f, number);
}

static void of_another_number_nothing_starts_before_all_have_gone(void **state)
{
	(void)state;
	release(1, pair(1, 100));
	come_up(get("db", 1));
	all_up();
	const struct dyno *db = get("db", 1), *web1 = get("web", 1), *web2 = get("web", 2);
	release(2, pair(11, 200));
	/* All at once, though web comes after db, and the rollout is a rolling one. */
	assert_int_equal(count(ACTION_SIGNAL), 3);
	assert_int_equal(count(ACTION_START), 0);
	assert_int_equal(engine_min_up(engine, "web"), 0);
	ends(web1, CODE(0));
	ends(db, CODE(0));
	assert_int_equal(count(ACTION_START), 0);
	ends(web2, CODE(0));
	assert_int_equal(count(ACTION_START), 1);
	assert_string_equal(action(ACTION_START, 0)->dyno->type, "db");
	assert_int_equal(action(ACTION_START, 0)->release, 2);
	come_up(get("db", 1));
	assert_int_equal(count(ACTION_START), 2);
	all_up();
	assert_false(engine_rolling(engine));
}

static void of_the_same_number_it_rolls(void **state)
{
	(void)state;
	release(1, alone(web(2, 1), 100));
	all_up();
	release(2, alone(web(2, 2), 100));
	assert_int_equal(count(ACTION_SIGNAL), 0);
	assert_int_equal(count(ACTION_START), 1);
}

static void the_way_back_is_the_same(void **state)
{
	(void)state;
	release(1, alone(web(1, 1), 100));
	all_up();
	const struct dyno *old = get("web", 1);
	release(2, alone(web(1, 2), 200));
	ends(old, CODE(0));
	const struct dyno *bad = get("web", 1);
	for (int i = 0; i < 2; i++) {
		ends(bad, CODE(1));
		now = engine_deadline(engine);
		say(ENGINE_TIMER);
	}
	ends(bad, CODE(1));
	assert_int_equal(count(ACTION_ROLL_BACK), 1);
	assert_int_equal(action(ACTION_START, 0)->release, 1);
	all_up();
	assert_int_equal(engine_release(engine), 1);
}

/* While the old ones still go, the way back does not wait for them: they are of its own. */
static void back_before_anything_of_the_new_was_there(void **state)
{
	(void)state;
	release(1, alone(web(1, 1), 100));
	all_up();
	release(2, alone(web(1, 2), 200));
	assert_int_equal(count(ACTION_START), 0);
	say(ENGINE_ABORT);
	assert_int_equal(count(ACTION_ROLL_BACK), 1);
	assert_int_equal(count(ACTION_START), 1);
	assert_int_equal(action(ACTION_START, 0)->release, 1);
}

static void what_a_release_removes_goes_first_then(void **state)
{
	struct formation *f = formation();

	(void)state;
	add(f, "web", 1, 1);
	add(f, "worker", 1, 5);
	release(1, alone(f, 100));
	all_up();
	const struct dyno *worker = get("worker", 1), *old = get("web", 1);
	release(2, alone(web(1, 2), 200));
	ends(old, CODE(0));
	assert_int_equal(count(ACTION_START), 0);
	ends(worker, CODE(0));
	assert_int_equal(count(ACTION_START), 1);
	all_up();
	assert_false(engine_rolling(engine));
}

/* Of a release phase that cannot run beside what runs: nothing is stopped for it. */
static void a_release_phase_does_not_push_others_out(void **state)
{
	struct formation *f = alone(web(1, 2), 200);

	(void)state;
	release(1, alone(web(1, 1), 100));
	all_up();
	add(f, "release", 1, 7)->phase = true;
	say(ENGINE_SUBMITTED, .release = 2);
	say(ENGINE_PREPARED, .release = 2, .formation = f);
	assert_int_equal(count(ACTION_SIGNAL), 0);
	assert_int_equal(count(ACTION_START), 0);
	assert_non_null(strstr(action(ACTION_REFUSE, 0)->text, "cannot run beside"));
	/* With the same slug it runs. */
	f = alone(web(1, 3), 100);
	add(f, "release", 1, 7)->phase = true;
	say(ENGINE_SUBMITTED, .release = 3);
	say(ENGINE_PREPARED, .release = 3, .formation = f);
	assert_int_equal(count(ACTION_START), 1);
}

/* A supervisor that died between two: what it left is of both. */
static void what_is_found_of_another_goes_first(void **state)
{
	struct engine_adopted old = {.id = 40,
		.generation = 1,
		.type = "web",
		.instance = 1,
		.fingerprint = 1,
		.started = S(900)};

	(void)state;
	say(ENGINE_RESTORED, .release = 2, .formation = alone(web(2, 2), 200), .settled = 1,
		.settled_formation = alone(web(2, 1), 100));
	say(ENGINE_ADOPTED, .adopted = &old);
	/* Of a release that nobody knows any more. */
	old.id = 41;
	old.instance = 2;
	old.fingerprint = 77;
	say(ENGINE_ADOPTED, .adopted = &old);
	say(ENGINE_CAUGHT_UP);
	assert_int_equal(count(ACTION_SIGNAL), 2);
	assert_int_equal(count(ACTION_START), 0);
	say(ENGINE_EXITED, .id = 40, .generation = 1, .exit = CODE(0));
	assert_int_equal(count(ACTION_START), 0);
	say(ENGINE_EXITED, .id = 41, .generation = 1, .exit = CODE(0));
	assert_int_equal(count(ACTION_START), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(of_another_number_nothing_starts_before_all_have_gone),
		TEST(of_the_same_number_it_rolls),
		TEST(the_way_back_is_the_same),
		TEST(back_before_anything_of_the_new_was_there),
		TEST(what_a_release_removes_goes_first_then),
		TEST(a_release_phase_does_not_push_others_out),
		TEST(what_is_found_of_another_goes_first),
	};

	return cmocka_run_group_tests_name("engine-alone", tests, NULL, NULL);
}
