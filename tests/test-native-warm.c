/* Boxes that the native driver has parked. */
#include "native.h"

static void a_start_is_ordered_of_one_that_is_parked(void **state)
{
	struct err err = {0};

	(void)state;
	struct native *n = open_warm(1);
	started(another(1), 10);
	assert_int_equal(house.orders[0].parked.id, 0);
	const struct order *park = wait_parked(2);
	struct driver_start start = another(2);
	assert_int_equal(driver_native.start(house.driver, &start, &err), 0);
	const struct order *warm = &house.orders[2];
	assert_true(warm->parked.id == park->child.id);
	/* What there is of it is called as it was parked, and so it is found again. */
	assert_string_equal(native_find(n, DYNO, 2)->box, park->spec->box_name);
	assert_memory_equal(warm->tag + 4, park->spec->box_name, strlen(park->spec->box_name));
	house.to->spawned(house.to_userdata, warm->child, 11, -1, -1);
	assert_int_equal(house.started, 2);
	assert_null(native_find(n, DYNO, 2)->wish);
	assert_null(n->warm.parked);
	/* It is made up for. */
	assert_true(wait_parked(4)->child.id != park->child.id);
	ended(warm->child, 0);
	assert_int_equal(house.exited, 1);
	assert_int_equal(driver_native.release(house.driver, DYNO, 2), 0);
	later();
	assert_string_equal(sweep_at(4)->argv[1], park->spec->box_name);
}

/* A supervisor that is replaced in the midst of it. */
static void a_driver_is_closed_while_one_is_ordered(void **state)
{
	struct err err = {0};

	(void)state;
	struct native *n = open_warm(1);
	started(another(1), 10);
	(void)wait_parked(2);
	struct driver_start start = another(2);
	assert_int_equal(driver_native.start(house.driver, &start, &err), 0);
	assert_non_null(native_find(n, DYNO, 2)->wish->parked);
	driver_native.close(house.driver); /* nothing freed is written to: the sanitizers' say */
	house.driver = NULL;
}

/* What passes a port on is told which before there is a dyno. */
static void none_is_parked_whose_port_is_passed_on(void **state)
{
	(void)state;
	struct native *n = open_warm(1);
	n->settings.network = SPEC_BOX_NET_OWN;
	(void)snprintf(n->settings.passer, sizeof n->settings.passer, "/usr/bin/pasta");
	n->root = false;
	started(another(1), 10);
	assert_null(n->warm.kinds);
	n->root = true;
	started(another(2), 11);
	assert_non_null(n->warm.kinds);
}

static void one_that_is_refused_is_started_without(void **state)
{
	struct err err = {0};

	(void)state;
	struct native *n = open_warm(1);
	started(another(1), 10);
	const struct order *park = wait_parked(2);
	struct driver_start start = another(2);
	assert_int_equal(driver_native.start(house.driver, &start, &err), 0);
	const struct order *warm = &house.orders[2];
	assert_int_equal(driver_native.retag(house.driver, DYNO, 2, "newer", 5), 0);
	assert_int_equal(driver_native.signal(house.driver, DYNO, 2, SIGKILL), 0);
	assert_int_equal(house.n_kills, 1);
	house.to->failed(house.to_userdata, warm->child, WIRE_STAGE_WARM, ESRCH);
	/* Nobody hears of it; what was said meanwhile is said again; the other is ended. */
	assert_int_equal(house.exited, 0);
	const struct order *cold = &house.orders[3];
	assert_int_equal(house.n_orders, 4);
	assert_true(cold->child.generation == 2 && cold->parked.id == 0 && !cold->park);
	assert_string_equal(cold->spec->box_name, native_find(n, DYNO, 2)->box);
	assert_string_equal(cold->spec->box_name, BOX);
	assert_memory_equal(cold->tag + cold->tag_len - 5, "newer", 5);
	assert_int_equal(house.n_kills, 3);
	house.to->spawned(house.to_userdata, cold->child, 11, -1, -1);
	assert_int_equal(house.started, 2);
	ended(park->child, 9);
	assert_true(house.acked == park->child.id);
	later();
	assert_string_equal(sweep_at(4)->argv[1], park->spec->box_name);
}

static void any_other_failure_is_the_life_s_own(void **state)
{
	struct err err = {0};

	(void)state;
	(void)open_warm(1);
	started(another(1), 10);
	(void)wait_parked(2);
	struct driver_start start = another(2);
	assert_int_equal(driver_native.start(house.driver, &start, &err), 0);
	house.to->spawned(house.to_userdata, house.orders[2].child, 11, -1, -1);
	house.to->failed(house.to_userdata, house.orders[2].child, WIRE_STAGE_WARM, EINVAL);
	assert_int_equal(house.exited, 1);
	assert_int_equal(house.exit.exit.value, WIRE_STAGE_WARM);
}

static void none_is_parked_for_who_is_gone(void **state)
{
	(void)state;
	struct native *n = open_warm(1);
	started(another(1), 10);
	const struct order *park = wait_parked(2);
	/* The release in force asks for the same, then for something else. */
	driver_native.keep(house.driver, &release);
	assert_int_equal(house.n_kills, 0);
	process.memory = 1 << 20;
	driver_native.keep(house.driver, &release);
	assert_int_equal(house.n_kills, 1);
	assert_null(n->warm.kinds);
	ended(park->child, 9);
	assert_null(n->warm.parked);
	/* Of an earlier supervisor's nothing is known but its name. */
	struct launch_entry e = {.child = park->child,
		.pid = 1,
		.state = WIRE_ENTRY_RUNNING,
		.tag = park->tag,
		.tag_len = park->tag_len,
		.out = -1,
		.err = -1};
	e.child.id++;
	house.to->entry(house.to_userdata, &e);
	assert_int_equal(house.n_kills, 2);
	assert_int_equal(house.adopted, 0);
	ended(e.child, 9);
	assert_true(house.acked == e.child.id);
	assert_int_equal(n->warm.n_parked, 0);
}

static void parked_ones_give_way(void **state)
{
	struct err err = {0};

	(void)state;
	(void)setenv("LIBCONTAINER_DYNO_UID_MAX", "4402", 1); /* three */
	struct native *n = open_warm(5);
	started(another(1), 10);
	(void)wait_parked(2);
	for (int i = 0; i < 3; i++)
		assert_true(sd_event_run(house.context.loop, 150000) >= 0);
	assert_int_equal(house.n_orders, 2);
	/* Another kind: neither of them is to fail for want of a uid. */
	struct driver_start start = another(2);
	process.memory = 1 << 20;
	assert_int_equal(driver_native.start(house.driver, &start, &err), 0);
	assert_int_equal(house.n_kills, 0);
	start.generation = 3;
	assert_int_equal(driver_native.start(house.driver, &start, &err), 0);
	assert_int_equal(house.n_kills, 1);
	assert_int_equal(n->warm.n_parked, 1);
}

static void the_end_waits_for_them(void **state)
{
	(void)state;
	struct native *n = open_warm(1);
	started(another(1), 10);
	const struct order *park = wait_parked(2);
	ended((struct launch_child){DYNO, 1}, 0);
	assert_int_equal(driver_native.release(house.driver, DYNO, 1), 0);
	later();
	ended(house.orders[2].child, 0);
	driver_native.finish(house.driver);
	assert_int_equal(house.n_kills, 1);
	turn();
	assert_int_equal(house.n_orders, 3);
	assert_int_equal(house.finished, 0);
	ended(park->child, 9);
	later();
	assert_string_equal(sweep_at(3)->argv[1], park->spec->box_name);
	ended(house.orders[3].child, 0);
	assert_int_equal(sweep_at(4)->n_args, 1);
	ended(house.orders[4].child, 0);
	assert_int_equal(house.finished, 1);
	assert_null(n->warm.parked);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_start_is_ordered_of_one_that_is_parked),
		TEST(a_driver_is_closed_while_one_is_ordered),
		TEST(none_is_parked_whose_port_is_passed_on),
		TEST(one_that_is_refused_is_started_without),
		TEST(any_other_failure_is_the_life_s_own),
		TEST(none_is_parked_for_who_is_gone),
		TEST(parked_ones_give_way),
		TEST(the_end_waits_for_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
