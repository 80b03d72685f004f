/* What the native driver's dynos run on, and for whom it parks boxes. */
#include "native.h"

/* ---- stacks ---- */

static struct release *ready(const char *stack)
{
	struct release *r = release_new();
	struct err err = {0};

	assert_non_null(r);
	r->stack = strdup(stack);
	assert_int_equal(driver_native.prepare(house.driver, 7, r, &err), 0);
	return r;
}

static const struct order *start_of_release(const struct release *r, uint32_t generation)
{
	struct driver_start start = start_of("true", NULL);

	start.generation = generation;
	start.release = r;
	started(start, 10 + (int)generation);
	return &house.orders[house.n_orders - 1];
}

/* While it is being replaced, and when it is not after all. */
static void a_release_keeps_the_version_it_was_made_ready_with(void **state)
{
	(void)state;
	struct native *n = open_driver();
	struct release *older = ready("heroku-24");
	assert_string_equal(start_of_release(older, 1)->spec->box_stack, "heroku-24-10");

	put("stacks/heroku-24-11/rootfs/bin/sh", "");
	struct release *newer = ready("heroku-24");
	const struct order *again = start_of_release(older, 2);
	assert_string_equal(again->spec->box_stack, "heroku-24-10");
	assert_string_equal(again->spec->program, "/bin/bash");
	const struct order *next = start_of_release(newer, 3);
	assert_string_equal(next->spec->box_stack, "heroku-24-11");
	assert_string_equal(next->spec->program, "/bin/sh");

	release_unref(newer);
	driver_native.keep(house.driver, older);
	assert_string_equal(start_of_release(older, 4)->spec->box_stack, "heroku-24-10");
	/* Of the other one nothing is left. */
	assert_ptr_equal(n->stacks->release, older);
	assert_null(n->stacks->next);

	struct release *last = ready("heroku-24");
	release_unref(older);
	driver_native.keep(house.driver, last);
	assert_string_equal(start_of_release(last, 5)->spec->box_stack, "heroku-24-11");
	assert_null(n->stacks->next);
	release_unref(last);
}

/* Nobody ran on it, and it was removed. */
static void without_its_version_it_has_the_newest(void **state)
{
	char from[200], to[200];

	(void)state;
	(void)open_driver();
	struct release *r = ready("heroku-24");
	(void)snprintf(from, sizeof from, "%s/stacks/heroku-24-10", house.folder);
	(void)snprintf(to, sizeof to, "%s/gone", house.folder);
	assert_int_equal(rename(from, to), 0);
	assert_string_equal(start_of_release(r, 1)->spec->box_stack, "heroku-24-1");
	assert_int_equal(rename(to, from), 0);
	assert_string_equal(start_of_release(r, 2)->spec->box_stack, "heroku-24-1");
	release_unref(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_release_keeps_the_version_it_was_made_ready_with),
		TEST(without_its_version_it_has_the_newest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
