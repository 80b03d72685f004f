/* The plan: what may be done now for one type. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h> /* needs those above */
/* clang-format on */

#include "core/plan.h"

#include <stdio.h>
#include <string.h>

#define MAX 64

static const struct rollout rolling = {.strategy = ROLLOUT_ROLLING};
static const struct rollout recreate = {.strategy = ROLLOUT_RECREATE, .batch = 1};

/* A type's dynos as text, a word each:
 * "n1+" is instance 1 of the new release, "o1" of an old one; + up, - starting, . without process,
 * * at rest with its job done, r retiring, ~ up, but not for long enough yet. */
static size_t parse(const char *text, struct plan_dyno *ret)
{
	size_t n = 0;
	unsigned instance;
	char kind, how;
	int len;

	while (sscanf(text, " %c%u%c%n", &kind, &instance, &how, &len) == 3) {
		ret[n++] = (struct plan_dyno){
			.instance = instance,
			.current = kind == 'n',
			.live = how != '.' && how != '*',
			.up = how == '+' || how == '*' || how == '~',
			.proving = how == '~',
			.retiring = how == 'r',
		};
		text += len;
	}
	return n;
}

static char *plan(const struct rollout *r, unsigned quantity, const char *dynos, bool *ret_done)
{
	static char text[512];
	struct plan_dyno list[MAX];
	struct plan_step steps[2 * MAX];
	size_t n = parse(dynos, list);
	size_t made = plan_type(r, quantity, 1, list, n, steps, ret_done);
	size_t len = 0;

	text[0] = '\0';
	for (size_t i = 0; i < made; i++)
		len += (size_t)snprintf(text + len, sizeof text - len, "%s%s%u", i ? " " : "",
			steps[i].type == PLAN_MAKE     ? "+"
			: list[steps[i].index].current ? "-n"
						       : "-o",
			steps[i].type == PLAN_MAKE ? steps[i].instance
						   : list[steps[i].index].instance);
	return text;
}

#define assert_plan(rollout, quantity, dynos, steps, done)                                         \
	do {                                                                                       \
		bool _done = !(done);                                                              \
		assert_string_equal(plan(rollout, quantity, dynos, &_done), steps);                \
		assert_int_equal(_done, done);                                                     \
	} while (0)

static void from_nothing(void **state)
{
	(void)state;
	assert_plan(&rolling, 3, "", "+1 +2 +3", true);
	assert_plan(&recreate, 3, "", "+1 +2 +3", true);
	assert_plan(&rolling, 0, "", "", true);
}

static void a_quantity_touches_nobody_else(void **state)
{
	(void)state;
	assert_plan(&rolling, 3, "n1+ n2+ n3+", "", true);
	assert_plan(&rolling, 4, "n1+ n3+", "+2 +4", true);
	assert_plan(&rolling, 2, "n1+ n2+ n3+ n4+", "-n4 -n3", true);
	assert_plan(&recreate, 2, "n1+ n2+ n3+ n4+", "-n4 -n3", true);
	assert_plan(&rolling, 2, "n1. n2+ n3+ n4+", "-n4 -n3", true); /* even when 1 crashes */
	assert_plan(&rolling, 0, "n1+ n2+", "-n2 -n1", true);
}

/* 4 old ones, surge and batch are 1: one at a time, and never fewer than 4 up. */
static void rolling_step_by_step(void **state)
{
	(void)state;
	assert_plan(&rolling, 4, "o1+ o2+ o3+ o4+", "+1", false);
	assert_plan(&rolling, 4, "o1+ o2+ o3+ o4+ n1-", "", false);
	assert_plan(&rolling, 4, "o1+ o2+ o3+ o4+ n1+", "-o1", false);
	assert_plan(&rolling, 4, "o1r o2+ o3+ o4+ n1+", "", false);
	assert_plan(&rolling, 4, "o2+ o3+ o4+ n1+", "+2", false);
	assert_plan(&rolling, 4, "o4+ n1+ n2+ n3+", "+4", false);
	assert_plan(&rolling, 4, "o4+ n1+ n2+ n3+ n4+", "-o4", true);
	assert_plan(&rolling, 4, "o4r n1+ n2+ n3+ n4+", "", true);
}

static void rolling_with_surge_and_batch(void **state)
{
	const struct rollout wide = {.strategy = ROLLOUT_ROLLING, .surge = 3, .batch = 2};

	(void)state;
	assert_plan(&wide, 4, "o1+ o2+ o3+ o4+", "+1 +2", false);
	assert_plan(&wide, 4, "o1+ o2+ o3+ o4+ n1+ n2-", "-o1 +3", false);
}

static void an_old_one_that_is_not_up_goes_at_once(void **state)
{
	(void)state;
	assert_plan(&rolling, 2, "o1+ o2.", "-o2 +1", false);
	assert_plan(&rolling, 2, "o1+ o2-", "-o2 +1", false);
	assert_plan(&recreate, 2, "o1+ o2-", "-o2", false);
}

static void one_whose_job_is_done_is_replaced_like_one_that_is_up(void **state)
{
	(void)state;
	assert_plan(&rolling, 1, "o1*", "+1", false);
	assert_plan(&rolling, 1, "o1* n1-", "", false);
	assert_plan(&rolling, 1, "o1* n1+", "-o1", true);
}

static void replaced_and_scaled_at_once(void **state)
{
	(void)state;
	assert_plan(&rolling, 2, "o1+ o2+ o3+ o4+", "-o4 -o3", false);
	assert_plan(&rolling, 2, "o1+ o2+ o3r o4r", "", false);
	assert_plan(&rolling, 4, "o1+ o2+", "+1 +2", false);
}

static void what_still_stops_counts_as_live(void **state)
{
	(void)state;
	assert_plan(&rolling, 4, "n1+ n2r n3r n4r", "+2", false);
	assert_plan(&recreate, 4, "n1+ n2r n3r n4r", "", false);
	assert_plan(&recreate, 4, "n1+ n3r", "+2 +4", false);
}

static void recreate_step_by_step(void **state)
{
	(void)state;
	assert_plan(&recreate, 1, "o1+", "-o1", false);
	assert_plan(&recreate, 1, "o1r", "", false);
	assert_plan(&recreate, 3, "o1+ o2+ o3+", "-o1", false);
	assert_plan(&recreate, 3, "o1r o2+ o3+", "", false);
	assert_plan(&recreate, 3, "o2+ o3+", "+1", false);
	assert_plan(&recreate, 3, "n1- o2+ o3+", "", false);
	assert_plan(&recreate, 3, "n1+ o2+ o3+", "-o2", false);
	assert_plan(&recreate, 3, "n1+ n2+ o3r", "", false);
	assert_plan(&recreate, 3, "n1+ n2+", "+3", true);
}

static void of_doubles_the_better_stays(void **state)
{
	(void)state;
	assert_plan(&rolling, 2, "n1- n1+ n2+", "-n1", true);
	assert_plan(&rolling, 2, "n1+ n1+", "+2", false); /* stands in until 2 is up */
	assert_plan(&rolling, 2, "n1+ n1+ n2+", "-n1", true);
}

/* One that runs may stand in for a number that is missing, one without a process for none. */
static void a_double_without_process_goes_at_once(void **state)
{
	(void)state;
	assert_plan(&rolling, 4, "n1+ n1+ n2+ n3+", "+4", false);
	assert_plan(&rolling, 4, "n1+ n1* n2+ n3+", "-n1 +4", true);
	assert_plan(&rolling, 4, "n1+ n1. n2+ n3+", "-n1 +4", true);
}

static void a_new_one_that_is_up_must_stay_up(void **state)
{
	(void)state;
	assert_plan(&rolling, 2, "o1+ o2+ n1~", "", false);
	assert_plan(&rolling, 2, "o1+ o2+ n1+", "-o1", false);
	assert_plan(&rolling, 2, "o1r o2+ n1~", "", false);
	/* None that is up goes before its time, if it is one too many or not. */
	assert_plan(&rolling, 2, "n1~ n3~ o2+", "", false);
	assert_plan(&rolling, 2, "n1~ n2~", "", true);
}

static void held(unsigned quantity, const char *dynos, const char *expected)
{
	struct plan_dyno list[MAX];
	struct plan_step steps[2 * MAX];
	char text[200] = "";
	size_t at = 0, n = parse(dynos, list);

	n = plan_held(&rolling, quantity, 1, list, n, steps);
	for (size_t i = 0; i < n; i++)
		at += (size_t)snprintf(text + at, sizeof text - at, "%s%c%u", i ? " " : "",
			steps[i].type == PLAN_MAKE ? '+' : '-',
			steps[i].type == PLAN_MAKE ? steps[i].instance
						   : list[steps[i].index].instance);
	assert_string_equal(text, expected);
}

static void nothing_is_replaced_while_it_waits(void **state)
{
	(void)state;
	held(2, "", "+1 +2");
	held(2, "o1+ o2+", "");
	held(3, "o1+ o2+", "+3");
	held(1, "o1+ o2+", "-2");
	held(1, "o1- o2+", ""); /* the only one that is up */
	held(2, "o1+ o2*", "");
	held(2, "o1+ o2.", "-2 +2"); /* it would not come back */
	held(2, "o1+ n2-", "");
	held(1, "n1- n2~", "");
	held(1, "n1+ n2~", "-2");
}

static void the_numbers(void **state)
{
	(void)state;
	assert_int_equal(plan_surge(&rolling, 1), 1);
	assert_int_equal(plan_surge(&rolling, 8), 2);
	assert_int_equal(plan_surge(&recreate, 8), 0);
	assert_int_equal(plan_batch(&rolling, 8), 2);
	assert_int_equal(plan_batch(&(struct rollout){.surge = 3}, 8), 3);
	assert_int_equal(plan_batch(&(struct rollout){.surge = 3, .batch = 5}, 8), 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(from_nothing),
		cmocka_unit_test(a_quantity_touches_nobody_else),
		cmocka_unit_test(rolling_step_by_step),
		cmocka_unit_test(rolling_with_surge_and_batch),
		cmocka_unit_test(an_old_one_that_is_not_up_goes_at_once),
		cmocka_unit_test(one_whose_job_is_done_is_replaced_like_one_that_is_up),
		cmocka_unit_test(replaced_and_scaled_at_once),
		cmocka_unit_test(what_still_stops_counts_as_live),
		cmocka_unit_test(recreate_step_by_step),
		cmocka_unit_test(of_doubles_the_better_stays),
		cmocka_unit_test(a_double_without_process_goes_at_once),
		cmocka_unit_test(a_new_one_that_is_up_must_stay_up),
		cmocka_unit_test(nothing_is_replaced_while_it_waits),
		cmocka_unit_test(the_numbers),
	};

	return cmocka_run_group_tests_name("plan", tests, NULL, NULL);
}
