/* The grid of one dyno, its timers, and the back-off. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h> /* needs those above */
/* clang-format on */

#include "base/clock.h"
#include "core/backoff.h"
#include "core/dyno.h"

#define S(n) ((uint64_t)(n)*NSEC_PER_SEC)

static const struct formation_type web = {
	.name = "web",
	.start_time = S(1),
	.start_timeout = S(60),
	.stop_timeout = S(30),
};

static struct dyno dyno_in(enum dyno_state state)
{
	return (struct dyno){.id = 1, .generation = 1, .state = state, .timer = DYNO_EVENT_MAX};
}

static unsigned step(struct dyno *d, enum dyno_event event, uint64_t now)
{
	return dyno_step(&dyno_table, d, &web, event, now);
}

static void a_whole_life(void **state)
{
	struct dyno d = {.id = 1, .timer = DYNO_EVENT_MAX};

	(void)state;
	assert_int_equal(step(&d, DYNO_EV_WANTED, S(10)), FX_START);
	assert_int_equal(d.state, DYNO_STARTING);
	assert_int_equal(d.generation, 1);
	assert_int_equal(d.restarts, 0);
	assert_int_equal(d.timer, DYNO_EV_START_TIMEOUT);
	assert_int_equal(d.deadline, S(70));

	assert_int_equal(step(&d, DYNO_EV_STARTED, S(12)), FX_ARM);
	assert_int_equal(d.state, DYNO_STARTING);
	assert_int_equal(d.since, S(10));
	assert_int_equal(d.timer, DYNO_EV_READY);
	assert_int_equal(d.deadline, S(13));

	assert_int_equal(step(&d, DYNO_EV_READY, S(13)), 0);
	assert_int_equal(d.state, DYNO_UP);
	assert_int_equal(d.since, S(13));
	assert_int_equal(d.timer, DYNO_EV_STABLE);
	assert_int_equal(d.deadline, S(73));

	assert_int_equal(step(&d, DYNO_EV_STABLE, S(73)), FX_FORGIVE);
	assert_int_equal(d.state, DYNO_UP);
	assert_int_equal(d.deadline, 0);

	assert_int_equal(step(&d, DYNO_EV_UNWANTED, S(80)), FX_SIGNAL);
	assert_int_equal(d.state, DYNO_STOPPING);
	assert_int_equal(d.deadline, S(110));
	assert_int_equal(step(&d, DYNO_EV_GRACE_OVER, S(110)), FX_KILL | FX_REPORT_R12);
	assert_int_equal(d.state, DYNO_KILLING);
	assert_int_equal(d.deadline, 0);
	assert_int_equal(step(&d, DYNO_EV_EXITED, S(111)), FX_DECIDE);
	assert_int_equal(d.state, DYNO_STOPPED);
	assert_int_equal(d.deadline, 0);

	d.backoff_delay = S(4);
	assert_int_equal(step(&d, DYNO_EV_CRASHED, S(111)), 0);
	assert_int_equal(d.state, DYNO_BACKOFF);
	assert_int_equal(d.timer, DYNO_EV_RETRY);
	assert_int_equal(d.deadline, S(115));
	assert_int_equal(step(&d, DYNO_EV_RETRY, S(115)), FX_START);
	assert_int_equal(d.generation, 2);
	assert_int_equal(d.restarts, 1);
	assert_false(d.was_up);
}

/* No state may be left, nor any effect be had, by an event that the table calls wrong or ignores.
 */
static void wrong_and_ignored_events_do_nothing(void **state)
{
	(void)state;
	for (int s = 0; s < DYNO_STATE_MAX; s++) {
		for (int e = 0; e < DYNO_EVENT_MAX; e++) {
			unsigned effects = dyno_table[s][e].effects;
			struct dyno d = dyno_in((enum dyno_state)s);

			if (!(effects & (FX_WRONG | FX_IGNORE)))
				continue;
			d.deadline = S(7);
			assert_int_equal(dyno_table[s][e].next, s);
			assert_true(effects == FX_WRONG || effects == FX_IGNORE);
			step(&d, (enum dyno_event)e, S(1));
			assert_int_equal(d.state, s);
			assert_int_equal(d.deadline, S(7));
		}
	}
}

static void every_end_is_decided(void **state)
{
	(void)state;
	for (int s = DYNO_STARTING; s <= DYNO_KILLING; s++) {
		assert_int_equal(dyno_table[s][DYNO_EV_EXITED].next, DYNO_STOPPED);
		assert_int_equal(dyno_table[s][DYNO_EV_EXITED].effects, FX_DECIDE);
		assert_int_equal(dyno_table[s][DYNO_EV_FAILED].effects, FX_DECIDE);
	}
}

static void started_twice_changes_nothing(void **state)
{
	struct dyno d = dyno_in(DYNO_STARTING);

	(void)state;
	step(&d, DYNO_EV_STARTED, S(5));
	assert_int_equal(step(&d, DYNO_EV_STARTED, S(6)), FX_IGNORE);
	assert_int_equal(d.deadline, S(6));
}

static void a_kill_that_came_too_early_is_repeated(void **state)
{
	struct dyno d = dyno_in(DYNO_STARTING);

	(void)state;
	assert_int_equal(
		step(&d, DYNO_EV_START_TIMEOUT, S(60)), FX_KILL | FX_REPORT_R10 | FX_BAD_START);
	assert_int_equal(step(&d, DYNO_EV_STARTED, S(61)), FX_KILL);
	assert_int_equal(d.state, DYNO_KILLING);
	assert_int_equal(d.deadline, 0);
}

static void leaderless_gets_the_signal_and_its_grace(void **state)
{
	struct dyno d = dyno_in(DYNO_UP);

	(void)state;
	assert_int_equal(step(&d, DYNO_EV_LEFT, S(5)), FX_SIGNAL);
	assert_int_equal(d.state, DYNO_STOPPING);
	assert_int_equal(d.deadline, S(35));
	assert_false(d.asked);
	assert_int_equal(step(&d, DYNO_EV_LEFT, S(6)), FX_IGNORE);
	assert_int_equal(d.deadline, S(35));
}

static void no_start_timeout_means_none(void **state)
{
	const struct formation_type patient = {.start_time = S(1)};
	struct dyno d = dyno_in(DYNO_STOPPED);

	(void)state;
	(void)dyno_step(&dyno_table, &d, &patient, DYNO_EV_WANTED, S(1));
	assert_int_equal(d.state, DYNO_STARTING);
	assert_int_equal(d.deadline, 0);
}

static void adopted_by_age(void **state)
{
	struct dyno young = dyno_in(DYNO_STOPPED), old = young;

	(void)state;
	dyno_adopt(&young, &web, S(100), S(100) + 400 * NSEC_PER_MSEC);
	assert_int_equal(young.state, DYNO_STARTING);
	assert_int_equal(young.timer, DYNO_EV_READY);
	assert_int_equal(young.deadline, S(101));
	dyno_adopt(&old, &web, S(100), S(500));
	assert_int_equal(old.state, DYNO_UP);
	assert_int_equal(old.since, S(101));
	assert_int_equal(old.deadline, S(161));
}

/* With a check, age says nothing. */
static void checked(void **state)
{
	struct formation_type type = web;
	struct dyno d = dyno_in(DYNO_STOPPED);

	(void)state;
	type.checked = true;
	(void)dyno_step(&dyno_table, &d, &type, DYNO_EV_WANTED, S(1));
	(void)dyno_step(&dyno_table, &d, &type, DYNO_EV_STARTED, S(31));
	assert_int_equal(d.timer, DYNO_EV_START_TIMEOUT);
	assert_int_equal(d.deadline, S(91));
	(void)dyno_step(&dyno_table, &d, &type, DYNO_EV_READY, S(40));
	assert_int_equal(d.state, DYNO_UP);

	for (unsigned was_up = 0; was_up < 2; was_up++) {
		d = dyno_in(DYNO_STOPPED);
		d.was_up = was_up;
		dyno_adopt(&d, &type, S(100), S(500));
		assert_int_equal(d.state, was_up ? DYNO_UP : DYNO_STARTING);
		assert_int_equal(d.deadline, was_up ? S(560) : S(160));
	}
	d = dyno_in(DYNO_STOPPED); /* of an unknown policy: it has run for long */
	dyno_adopt(&d, &type, 0, S(500));
	assert_int_equal(d.state, DYNO_UP);
}

static void condemned(void **state)
{
	static const struct {
		enum dyno_state from;
		enum dyno_event event;
		enum dyno_state to;
		bool condemned;
	} rows[] = {
		{DYNO_STARTING, DYNO_EV_UNHEALTHY, DYNO_STARTING, false},
		{DYNO_UP, DYNO_EV_UNHEALTHY, DYNO_STOPPING, true},
		{DYNO_STOPPING, DYNO_EV_UNHEALTHY, DYNO_STOPPING, false},
		{DYNO_KILLING, DYNO_EV_UNHEALTHY, DYNO_KILLING, false},
		{DYNO_STARTING, DYNO_EV_OOM, DYNO_KILLING, true},
		{DYNO_UP, DYNO_EV_OOM, DYNO_KILLING, true},
		{DYNO_STOPPING, DYNO_EV_OOM, DYNO_KILLING, true},
		{DYNO_KILLING, DYNO_EV_OOM, DYNO_KILLING, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct dyno d = dyno_in(rows[i].from);

		(void)step(&d, rows[i].event, S(1));
		assert_int_equal(d.state, rows[i].to);
		assert_int_equal(d.condemned, rows[i].condemned);
		assert_int_equal(dyno_kept(&d).condemned, rows[i].condemned);
	}
	struct dyno d = dyno_in(DYNO_BACKOFF);
	d.condemned = true;
	(void)step(&d, DYNO_EV_RETRY, S(1));
	assert_false(d.condemned);
}

static void backoff_doubles_with_jitter(void **state)
{
	uint64_t seed = 7, same = 7, spread = 0;

	(void)state;
	assert_int_equal(backoff_delay(&backoff_default, 1, &seed), 0);
	for (unsigned n = 2; n < 40; n++) {
		uint64_t base = n - 2 < 9 ? S(1) << (n - 2) : S(300);

		base = base < S(300) ? base : S(300);
		for (int i = 0; i < 50; i++) {
			uint64_t delay = backoff_delay(&backoff_default, n, &seed);

			assert_in_range(delay, base, base + base / 4);
			assert_int_equal(delay, backoff_delay(&backoff_default, n, &same));
			spread |= delay - base;
		}
	}
	assert_true(spread > 0);
	assert_in_range(backoff_delay(&backoff_default, UINT32_MAX, &seed), S(300), S(375));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_whole_life),
		cmocka_unit_test(wrong_and_ignored_events_do_nothing),
		cmocka_unit_test(every_end_is_decided),
		cmocka_unit_test(started_twice_changes_nothing),
		cmocka_unit_test(a_kill_that_came_too_early_is_repeated),
		cmocka_unit_test(leaderless_gets_the_signal_and_its_grace),
		cmocka_unit_test(no_start_timeout_means_none),
		cmocka_unit_test(adopted_by_age),
		cmocka_unit_test(checked),
		cmocka_unit_test(condemned),
		cmocka_unit_test(backoff_doubles_with_jitter),
	};

	return cmocka_run_group_tests_name("dyno", tests, NULL, NULL);
}
