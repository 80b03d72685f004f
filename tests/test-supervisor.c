#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "house.h"
#include "supervisor/operate.h"

static void submit_then_stop(unsigned turn)
{
	if (turn == 5)
		submit();
	if (turn == 20)
		stop();
}

static void test_the_driver_prepares_before_the_commit(void **state)
{
	(void)state;
	run(submit_then_stop);
	assert_string_equal(house.log, "source;prepare v2;commit;start v2;");
}

static void test_a_release_that_the_driver_cannot_prepare_is_rejected(void **state)
{
	(void)state;
	house.outcome = -EIO;
	run(submit_then_stop);
	assert_string_equal(house.log, "source;prepare v2;reject: no image;");
}

static void test_one_that_it_does_not_even_begin_with_too(void **state)
{
	(void)state;
	house.refuse_at_once = -ENOENT;
	run(submit_then_stop);
	assert_string_equal(house.log, "source;prepare v2;reject: no such stack;");
}

static void test_the_release_in_force_is_prepared_too(void **state)
{
	(void)state;
	house.in_force = release_of(1);
	run(submit_then_stop);
	/* v2 has nothing new for the dyno: it runs on. */
	assert_string_equal(house.log, "prepare v1;start v1;source;prepare v2;commit;");
}

static void overtake(unsigned turn)
{
	if (turn == 5 || turn == 6)
		submit();
	if (turn == 7) {
		/* The answer for the first comes late, then that for the second. */
		assert_int_equal(house.n_handles, 2);
		answer(house.handles[0], 0);
		answer(house.handles[1], 0);
	}
	if (turn == 20)
		stop();
}

static void test_a_late_answer_for_one_that_was_overtaken(void **state)
{
	(void)state;
	house.silent = true;
	run(overtake);
	assert_string_equal(house.log, "source;prepare v2;drop;prepare v3;commit;start v3;");
}

static void never_answered(unsigned turn)
{
	if (turn == 5)
		submit();
	if (turn == 10)
		stop();
	if (turn == 11)
		answer(house.handles[0], 0);
}

static void test_a_stop_does_not_wait_for_it(void **state)
{
	(void)state;
	house.silent = true;
	run(never_answered);
	/* Neither rejected nor dropped: the next start takes it up. */
	assert_string_equal(house.log, "source;prepare v2;");
}

/* ---- what the launcher keeps ---- */

static void wait_for_acknowledgement(void)
{
	(void)usleep(15000); /* it comes 10 ms late, on purpose */
}

static void crash(unsigned turn)
{
	if (turn == 5)
		ends(house.id, 1, 1, clock_now());
	if (turn == 10)
		wait_for_acknowledgement();
	if (turn == 15)
		ends(house.id, 2, 1, clock_now()); /* now it waits for a second */
	if (turn == 20)
		wait_for_acknowledgement();
	if (turn == 25)
		stop();
}

static void test_an_end_is_let_go_of_when_the_next_life_has_started(void **state)
{
	(void)state;
	house.in_force = release_of(1);
	run(crash);
	/* The second life is kept: it waits. */
	assert_string_equal(house.log, "prepare v1;start v1;source;start v1;release 1;");
}

static void operator_stops(unsigned turn)
{
	if (turn == 5)
		feed(house.context->userdata,
			&(struct engine_event){.type = ENGINE_STOP_DYNO, .id = house.id});
	if (turn == 10)
		wait_for_acknowledgement();
	if (turn == 15)
		stop();
}

static void test_the_operators_stop_is_written_down(void **state)
{
	(void)state;
	house.in_force = release_of(1);
	run(operator_stops);
	assert_string_equal(house.log, "prepare v1;start v1;source;retag 1 rest;");
}

/* Its name is gone before the engine has it, as when there was no memory at first. */
static void a_name_that_is_gone(unsigned turn)
{
	struct supervisor *s = house.context->userdata;
	char name[] = "web";

	if (turn == 5) {
		s->handling = true;
		feed(s, &(struct engine_event){.type = ENGINE_ROLL_TYPE, .text = name});
		memset(name, 'x', strlen(name));
		s->handling = false;
		feed(s, &(struct engine_event){.type = ENGINE_TIMER});
	}
	if (turn == 10)
		stop();
}

static void test_an_event_that_waits_keeps_its_text(void **state)
{
	(void)state;
	house.in_force = release_of(1);
	run(a_name_that_is_gone);
	assert_string_equal(house.log, "prepare v1;start v1;source;start v1;");
}

static uint64_t fingerprint_of(int64_t version)
{
	struct release *r = release_of(version);
	struct formation *f = formation_new(r);
	uint64_t fingerprint = f->types[0].fingerprint;

	free(f);
	release_unref(r);
	return fingerprint;
}

static void rest(unsigned turn)
{
	if (turn == 5)
		wait_for_acknowledgement();
	if (turn == 10)
		stop();
}

static void test_who_was_stopped_is_found_at_rest(void **state)
{
	(void)state;
	house.in_force = release_of(1);
	house.kept[0] = (struct engine_adopted){
		.id = 5,
		.generation = 1,
		.fingerprint = fingerprint_of(1),
		.kept = {.resting = true, .asked = true},
		.started = clock_now() - 10 * NSEC_PER_SEC,
		.ended = true,
		.exit = {.value = 143},
		.at = clock_now() - 2 * NSEC_PER_SEC,
	};
	run(rest);
	assert_string_equal(house.log, "prepare v1;source;");
}

static void test_one_that_waits_is_found_waiting(void **state)
{
	(void)state;
	house.in_force = release_of(1);
	house.kept[0] = (struct engine_adopted){
		.id = 5,
		.generation = 3,
		.fingerprint = fingerprint_of(1),
		.kept = {.restarts = 2, .failures = 9, .bad_starts = 0},
		.started = clock_now() - 10 * NSEC_PER_SEC,
		.ended = true,
		.exit = {.value = 1},
		.at = clock_now() - NSEC_PER_SEC,
	};
	run(rest);
	assert_string_equal(house.log, "prepare v1;source;");
}

static void test_of_two_lives_the_last_counts(void **state)
{
	(void)state;
	house.in_force = release_of(1);
	/* Killed before it could let go of the first. */
	for (unsigned i = 0; i < 2; i++)
		house.kept[i] = (struct engine_adopted){
			.id = 5,
			.generation = 2 - i,
			.fingerprint = fingerprint_of(1),
			.kept = {.failures = 9},
			.started = clock_now() - 10 * NSEC_PER_SEC,
			.ended = true,
			.exit = {.value = 1},
			.at = clock_now() - NSEC_PER_SEC,
		};
	run(rest);
	assert_string_equal(house.log, "prepare v1;source;release 1;");
}

static void test_one_of_no_release_is_let_go_of(void **state)
{
	(void)state;
	house.in_force = release_of(1);
	house.kept[0] = (struct engine_adopted){
		.id = 5,
		.generation = 2,
		.fingerprint = 77,
		.kept = {.failures = 9},
		.started = clock_now() - 10 * NSEC_PER_SEC,
		.ended = true,
		.exit = {.value = 1},
		.at = clock_now() - NSEC_PER_SEC,
	};
	run(rest);
	assert_string_equal(house.log, "prepare v1;start v1;source;release 2;");
}

static void submit_and_look(unsigned turn)
{
	struct app_view app;

	operate_app(house.context->userdata, &app);
	assert_int_equal(app.hides, house.mode == MODE_UP && app.version == 0);
	/* Until then nobody has said what there is. */
	assert_true(turn > 5 || app.version == 0);
	assert_true(turn < 15 || app.version == 2);
	submit_then_stop(turn);
}

/* An app without a release has no dynos; a daemon has not looked into its folder. */
static void test_a_daemon_without_a_release_does_not_know_its_apps(void **state)
{
	(void)state;
	run(submit_and_look);
	(void)set_up(NULL);
	house.mode = MODE_UP;
	run(submit_and_look);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_the_driver_prepares_before_the_commit, set_up),
		cmocka_unit_test_setup(
			test_a_release_that_the_driver_cannot_prepare_is_rejected, set_up),
		cmocka_unit_test_setup(test_one_that_it_does_not_even_begin_with_too, set_up),
		cmocka_unit_test_setup(test_the_release_in_force_is_prepared_too, set_up),
		cmocka_unit_test_setup(test_a_late_answer_for_one_that_was_overtaken, set_up),
		cmocka_unit_test_setup(test_a_stop_does_not_wait_for_it, set_up),
		cmocka_unit_test_setup(
			test_an_end_is_let_go_of_when_the_next_life_has_started, set_up),
		cmocka_unit_test_setup(test_an_event_that_waits_keeps_its_text, set_up),
		cmocka_unit_test_setup(test_the_operators_stop_is_written_down, set_up),
		cmocka_unit_test_setup(test_who_was_stopped_is_found_at_rest, set_up),
		cmocka_unit_test_setup(test_one_that_waits_is_found_waiting, set_up),
		cmocka_unit_test_setup(test_of_two_lives_the_last_counts, set_up),
		cmocka_unit_test_setup(test_one_of_no_release_is_let_go_of, set_up),
		cmocka_unit_test_setup(
			test_a_daemon_without_a_release_does_not_know_its_apps, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
