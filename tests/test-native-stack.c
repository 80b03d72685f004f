/* What the native driver's dynos run on. */
#include "native.h"

static struct release *ready(int64_t version)
{
	struct release *r = release_new();
	struct err err = {0};

	assert_non_null(r);
	r->stack = strdup("heroku-24");
	r->version = version;
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

static const char *stack_of(const struct release *r, uint32_t generation)
{
	return start_of_release(r, generation)->spec->box_stack;
}

/* While it is being replaced, and when it is not after all. */
static void a_release_keeps_the_version_it_was_made_ready_with(void **state)
{
	(void)state;
	struct native *n = open_driver();
	struct release *older = ready(1);
	assert_string_equal(stack_of(older, 1), "heroku-24-10");

	put("stacks/heroku-24-11/rootfs/bin/sh", "");
	struct release *newer = ready(2);
	const struct order *again = start_of_release(older, 2);
	assert_string_equal(again->spec->box_stack, "heroku-24-10");
	assert_string_equal(again->spec->program, "/bin/bash");
	const struct order *next = start_of_release(newer, 3);
	assert_string_equal(next->spec->box_stack, "heroku-24-11");
	assert_string_equal(next->spec->program, "/bin/sh");

	release_unref(newer);
	driver_native.keep(house.driver, older);
	assert_string_equal(stack_of(older, 4), "heroku-24-10");
	/* Of the other one nothing is left. */
	assert_ptr_equal(n->stacks->release, older);
	assert_null(n->stacks->next);

	struct release *last = ready(3);
	release_unref(older);
	driver_native.keep(house.driver, last);
	assert_string_equal(stack_of(last, 5), "heroku-24-11");
	assert_null(n->stacks->next);
	release_unref(last);
}

/* Nobody ran on it, and it was removed. */
static void without_its_version_it_has_the_newest(void **state)
{
	char from[200], to[200];

	(void)state;
	(void)open_driver();
	struct release *r = ready(1);
	(void)snprintf(from, sizeof from, "%s/stacks/heroku-24-10", house.folder);
	(void)snprintf(to, sizeof to, "%s/gone", house.folder);
	assert_int_equal(rename(from, to), 0);
	assert_string_equal(stack_of(r, 1), "heroku-24-1");
	assert_int_equal(rename(to, from), 0);
	assert_string_equal(stack_of(r, 2), "heroku-24-1");
	release_unref(r);
}

/* ---- another supervisor ---- */

static void use_app_dir(char path[300])
{
	put("app/other", "");
	(void)snprintf(path, 300, "%s/app", house.folder);
	house.context.app_dir = path;
}

static bool is_written(const char *app)
{
	char path[310];

	(void)snprintf(path, sizeof path, "%s/stacks", app);
	return access(path, F_OK) == 0;
}

/* The one before has crashed; this runs. */
static void take_over(const struct order *running)
{
	driver_native.close(house.driver);
	(void)open_driver();
	if (running) {
		struct launch_entry e = {
			.child = running->child,
			.pid = 1,
			.state = WIRE_ENTRY_RUNNING,
			.tag = running->tag,
			.tag_len = running->tag_len,
			.out = -1,
			.err = -1,
		};

		house.to->entry(house.to_userdata, &e);
	}
	house.to->list_end(house.to_userdata);
}

static void the_next_supervisor_keeps_the_versions(void **state)
{
	char app[300];

	(void)state;
	use_app_dir(app);
	(void)open_driver();
	struct release *before = ready(3), *now = ready(4), *refused = ready(5);
	assert_false(is_written(app));
	assert_string_equal(stack_of(before, 1), "heroku-24-10");
	assert_string_equal(stack_of(now, 2), "heroku-24-10");
	put("stacks/heroku-24-11/rootfs/bin/sh", "");
	/* Once more before a dyno was started. */
	for (int crash = 0; crash < 2; crash++) {
		take_over(&house.orders[0]);
		release_unref(before);
		release_unref(now);
		now = ready(4);
		before = ready(3);
	}
	assert_string_equal(stack_of(now, 3), "heroku-24-10");
	assert_string_equal(stack_of(before, 4), "heroku-24-10");
	/* Of this one no dyno ran, and its number was given again. */
	release_unref(refused);
	refused = ready(5);
	assert_string_equal(stack_of(refused, 5), "heroku-24-11");
	release_unref(refused);
	release_unref(before);
	release_unref(now);
}

static void of_what_does_not_run_no_version_is_kept(void **state)
{
	static char phase[] = "release";
	char app[300];

	(void)state;
	use_app_dir(app);
	(void)open_driver();
	struct release *r = ready(1);
	struct driver_start start = start_of("true", NULL);
	process.type = phase;
	start.release = r;
	started(start, 10);
	assert_false(is_written(app));
	assert_string_equal(stack_of(r, 3), "heroku-24-10");
	assert_true(is_written(app));
	put("stacks/heroku-24-11/rootfs/bin/sh", "");
	take_over(NULL);
	release_unref(r);
	r = ready(1);
	assert_string_equal(stack_of(r, 4), "heroku-24-11");

	/* Neither when the numbers have begun anew. */
	release_unref(r);
	r = ready(9);
	assert_string_equal(stack_of(r, 5), "heroku-24-11");
	put("stacks/heroku-24-12/rootfs/bin/sh", "");
	take_over(&house.orders[2]);
	release_unref(r);
	struct release *other = ready(8);
	r = ready(9);
	assert_string_equal(stack_of(r, 6), "heroku-24-12");
	release_unref(r);
	release_unref(other);
}

/* The supervisor has ended between its commit and its first dyno. */
static void the_one_before_one_that_never_ran_keeps_its_version(void **state)
{
	char app[300];

	(void)state;
	use_app_dir(app);
	struct native *n = open_driver();
	struct release *before = ready(3);
	assert_string_equal(stack_of(before, 1), "heroku-24-10");
	put("stacks/heroku-24-11/rootfs/bin/sh", "");
	take_over(&house.orders[0]);
	release_unref(before);
	struct release *now = ready(4);
	before = ready(3);
	assert_string_equal(stack_of(now, 2), "heroku-24-11");
	assert_string_equal(stack_of(before, 3), "heroku-24-10");
	n = (struct native *)house.driver;
	driver_native.keep(house.driver, now);
	assert_null(n->found_stacks);
	release_unref(before);
	release_unref(now);
}

/* It was removed meanwhile; or somebody has written there. */
static void what_is_written_may_not_be_there(void **state)
{
	static const char *const lines[] = {
		"1 heroku-24 heroku-24-9\n",
		"1 heroku-24 ../elsewhere\n",
		"1 heroku-24 \n",
		"1 heroku-24",
		"2 heroku-24 heroku-24-1\n",
		"",
	};
	char app[300];

	(void)state;
	use_app_dir(app);
	(void)open_driver();
	struct release *r = ready(1);
	assert_string_equal(stack_of(r, 1), "heroku-24-10");
	put("elsewhere/rootfs/bin/sh", "");
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		put("app/stacks", lines[i]);
		take_over(&house.orders[0]);
		release_unref(r);
		r = ready(1);
		assert_string_equal(
			((struct native *)house.driver)->stacks->folder, "heroku-24-10");
		house.n_orders--; /* a sweep */
		(void)munmap(house.orders[house.n_orders].map, house.orders[house.n_orders].len);
		free(house.orders[house.n_orders].spec);
	}
	release_unref(r);
}

static void the_end_leaves_nothing_written(void **state)
{
	char app[300];

	(void)state;
	use_app_dir(app);
	(void)open_driver();
	struct release *r = ready(1);
	assert_string_equal(stack_of(r, 1), "heroku-24-10");
	assert_true(is_written(app));
	ended((struct launch_child){DYNO, 1}, 0);
	assert_int_equal(driver_native.release(house.driver, DYNO, 1), 0);
	driver_native.finish(house.driver);
	for (int i = 0; i < 5; i++)
		turn();
	for (unsigned i = 1; i < house.n_orders; i++)
		ended(house.orders[i].child, 0);
	assert_int_equal(house.finished, 1);
	assert_false(is_written(app));
	release_unref(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_release_keeps_the_version_it_was_made_ready_with),
		TEST(without_its_version_it_has_the_newest),
		TEST(the_next_supervisor_keeps_the_versions),
		TEST(of_what_does_not_run_no_version_is_kept),
		TEST(the_one_before_one_that_never_ran_keeps_its_version),
		TEST(what_is_written_may_not_be_there),
		TEST(the_end_leaves_nothing_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
