#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/log.h"
#include "launcher/keeper.h"

#define EXIT(code) ((code) << 8)
#define START	   (1000 * NSEC_PER_SEC)
#define PID	   4711
#define PATIENCE   (30 * NSEC_PER_SEC)

static struct keeper running(bool greeted)
{
	return (struct keeper){.pid = PID,
		.greeted = greeted,
		.ever_greeted = greeted,
		.leave_code = -1,
		.started_at = START};
}

static void test_orderly_ends(void **state)
{
	static const struct {
		int status, leave, code;
	} rows[] = {
		{EXIT(0), -1, 0},
		{EXIT(0), 42, 42},
		{EXIT(84), -1, 0},
		{EXIT(84), 42, 42},
		{EXIT(86), -1, 86},
		{EXIT(86), 42, 42},
		{EXIT(86), 0, 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		/* The same while shutting down: it is an orderly end. */
		for (int signo = 0; signo <= SIGTERM; signo += SIGTERM) {
			struct keeper k = running(true);

			k.leave_code = rows[i].leave;
			k.signo = signo;
			assert_int_equal(
				keeper_judge(&k, rows[i].status, false, START), KEEPER_STOP);
			assert_int_equal(k.exit_code, rows[i].code);
			assert_true(k.stopping);
			assert_int_equal(k.pid, 0);
		}
	}
}

static void test_85_restarts_at_once_but_not_in_a_loop(void **state)
{
	struct keeper k = running(true);

	(void)state;
	k.delay = KEEPER_DELAY_MAX;
	assert_int_equal(keeper_judge(&k, EXIT(85), false, START + NSEC_PER_SEC), KEEPER_RESTART);
	assert_int_equal(k.start_at, START + NSEC_PER_SEC);
	assert_int_equal(k.delay, 0);
	/* One that does nothing else has a pause each time. */
	k = running(true);
	assert_int_equal(keeper_judge(&k, EXIT(85), false, START + 5), KEEPER_RESTART);
	assert_int_equal(k.start_at, START + 5 + KEEPER_DELAY_MIN);
	k = running(false);
	assert_int_equal(keeper_judge(&k, EXIT(85), false, START + 5), KEEPER_RESTART);
	assert_int_equal(k.start_at, START + 5 + KEEPER_DELAY_MIN);
}

static void test_crashes_back_off_to_a_cap(void **state)
{
	uint64_t wanted = KEEPER_DELAY_MIN, now = START;
	struct keeper k = running(true);

	(void)state;
	for (int i = 0; i < 20; i++) {
		k.pid = PID;
		k.started_at = now;
		assert_int_equal(
			keeper_judge(&k, i % 2 ? SIGKILL : EXIT(1), false, now), KEEPER_RESTART);
		assert_int_equal(k.start_at, now + wanted);
		wanted = wanted * 2 < KEEPER_DELAY_MAX ? wanted * 2 : KEEPER_DELAY_MAX;
		now = k.start_at;
	}
	/* It lived for long: a first crash again. */
	k.started_at = now;
	now += KEEPER_LIVED;
	assert_int_equal(keeper_judge(&k, SIGKILL, false, now), KEEPER_RESTART);
	assert_int_equal(k.start_at, now);
	k.started_at = now;
	assert_int_equal(keeper_judge(&k, SIGKILL, false, now), KEEPER_RESTART);
	assert_int_equal(k.start_at, now + KEEPER_DELAY_MIN);
}

static void test_what_cannot_be_run(void **state)
{
	struct keeper k = running(false);

	(void)state;
	assert_int_equal(keeper_judge(&k, EXIT(127), true, START), KEEPER_STOP);
	assert_int_equal(k.exit_code, 1);
	/* Later dynos may run: keep trying. */
	k = running(false);
	k.ever_greeted = true;
	assert_int_equal(keeper_judge(&k, EXIT(127), true, START), KEEPER_RESTART);
}

static void test_death_while_shutting_down(void **state)
{
	static const int statuses[] = {SIGKILL, EXIT(1), EXIT(85)};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(statuses); i++) {
		struct keeper k = running(true);

		assert_int_equal(keeper_told_to_end(&k, SIGINT, START), KEEPER_RESTART);
		assert_int_equal(keeper_told_to_end(&k, SIGTERM, START), KEEPER_RESTART);
		assert_int_equal(k.urgency, 2);
		assert_int_equal(k.ping_at, START + KEEPER_HURRY / 2);
		k.leave_code = 42; /* it did not come so far */
		assert_int_equal(keeper_judge(&k, statuses[i], false, START), KEEPER_STOP);
		assert_int_equal(k.exit_code, 128 + SIGINT);
		assert_int_equal(k.ping_at, 0);
	}
}

static void test_told_to_end_with_nobody_there(void **state)
{
	struct keeper k = running(true);

	(void)state;
	/* Another could stop each dyno as it wants to be stopped: it comes at once. */
	assert_int_equal(keeper_judge(&k, SIGKILL, false, START), KEEPER_RESTART);
	assert_true(k.start_at > START);
	assert_int_equal(keeper_told_to_end(&k, SIGTERM, START), KEEPER_RESTART);
	assert_int_equal(k.start_at, START);
	/* If it cannot, or when there is no time, we do it. */
	struct keeper hurry = k;
	assert_int_equal(keeper_told_to_end(&hurry, SIGTERM, START), KEEPER_STOP);
	assert_int_equal(keeper_judge(&k, SIGKILL, false, START), KEEPER_STOP);
	assert_int_equal(k.exit_code, 128 + SIGTERM);
	assert_true(k.stopping);
	assert_int_equal(k.start_at, 0); /* or it would be started while we stop */
	assert_int_equal(k.ping_at, 0);
	/* Again: the code stays. */
	assert_int_equal(keeper_told_to_end(&k, SIGINT, START), KEEPER_STOP);
	assert_int_equal(k.exit_code, 128 + SIGTERM);
}

static void test_silence_is_asked_about_then_punished(void **state)
{
	const uint64_t half = PATIENCE / 2;
	struct keeper k = running(true);

	(void)state;
	k.patience = PATIENCE;
	k.heard_at = START;
	assert_int_equal(keeper_watch(&k, START + half), KEEPER_ASK);
	assert_int_equal(k.ping_at, START + 2 * half);
	/* It answers at once, every time. */
	for (unsigned i = 1; i < 10; i++) {
		k.heard_at = START + i * half + NSEC_PER_MSEC;
		assert_int_equal(keeper_watch(&k, START + (i + 1) * half), KEEPER_ASK);
		assert_int_equal(k.ping_at, START + (i + 2) * half);
	}
	/* It says something of its own: nothing is asked before that is old. */
	k.heard_at = START + 11 * half - NSEC_PER_SEC;
	assert_int_equal(keeper_watch(&k, START + 11 * half), KEEPER_FINE);
	assert_int_equal(k.ping_at, k.heard_at + half);
	assert_int_equal(keeper_watch(&k, k.ping_at), KEEPER_ASK);
	assert_int_equal(keeper_watch(&k, k.ping_at), KEEPER_HUNG);
}

static void test_our_own_absence_is_not_its_silence(void **state)
{
	struct keeper k = running(true);

	(void)state;
	k.patience = PATIENCE;
	k.heard_at = START;
	assert_int_equal(keeper_watch(&k, START + 100 * PATIENCE), KEEPER_ASK);
}

static void test_a_supervisor_that_says_no_hello(void **state)
{
	struct keeper k = running(false);

	(void)state;
	k.patience = PATIENCE;
	k.heard_at = START;
	k.ping_at = START + PATIENCE / 2;
	assert_int_equal(keeper_watch(&k, k.ping_at), KEEPER_FINE);
	assert_int_equal(keeper_watch(&k, k.ping_at), KEEPER_HUNG);
}

static void test_less_patience_when_told_to_end(void **state)
{
	struct keeper k = running(true);

	(void)state;
	/* Also where the watchdog is off. */
	assert_int_equal(keeper_told_to_end(&k, SIGTERM, START), KEEPER_RESTART);
	assert_int_equal(keeper_watch(&k, k.ping_at), KEEPER_ASK);
	assert_int_equal(k.ping_at, START + KEEPER_HURRY);
	assert_int_equal(keeper_watch(&k, k.ping_at), KEEPER_HUNG);
}

static void test_the_earliest_deadline(void **state)
{
	struct keeper k = {0};

	(void)state;
	assert_int_equal(keeper_deadline(&k), UINT64_MAX);
	k.stop_end_at = 50;
	assert_int_equal(keeper_deadline(&k), 50);
	k.start_at = 40;
	k.kill_at = 30;
	k.ping_at = 20;
	k.stop_kill_at = 10;
	assert_int_equal(keeper_deadline(&k), 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_orderly_ends),
		cmocka_unit_test(test_85_restarts_at_once_but_not_in_a_loop),
		cmocka_unit_test(test_crashes_back_off_to_a_cap),
		cmocka_unit_test(test_what_cannot_be_run),
		cmocka_unit_test(test_death_while_shutting_down),
		cmocka_unit_test(test_told_to_end_with_nobody_there),
		cmocka_unit_test(test_silence_is_asked_about_then_punished),
		cmocka_unit_test(test_our_own_absence_is_not_its_silence),
		cmocka_unit_test(test_a_supervisor_that_says_no_hello),
		cmocka_unit_test(test_less_patience_when_told_to_end),
		cmocka_unit_test(test_the_earliest_deadline),
	};

	log_open("test-keeper", LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
