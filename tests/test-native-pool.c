/* For whom the native driver parks boxes, and when there is room. */
#include "native.h"

/* ---- room for parked boxes ---- */

/* Until it was looked whether there is room. */
static void none_is_parked_meanwhile(unsigned n_orders)
{
	const struct native *n = house.driver;

	for (int i = 0; i < 100 && n->warm.armed; i++)
		assert_true(sd_event_run(house.context.loop, 500000) >= 0);
	assert_false(n->warm.armed);
	assert_int_equal(house.n_orders, n_orders);
}

static void one_is_parked_when_there_is_a_uid_again(void **state)
{
	(void)state;
	(void)setenv("LIBCONTAINER_DYNO_UID_MAX", "4402", 1); /* three */
	const struct native *n = open_warm(1);
	started(another(1), 10);
	started(another(2), 11);
	none_is_parked_meanwhile(2);
	ended((struct launch_child){DYNO, 1}, 0);
	assert_int_equal(driver_native.release(house.driver, DYNO, 1), 0);
	(void)sd_event_source_set_enabled(n->gathering, SD_EVENT_OFF); /* no sweep */
	(void)wait_parked(3);
}

/* One that was ordered to become a dyno is both until it has. */
static void one_is_parked_when_another_has_become_a_dyno(void **state)
{
	struct err err = {0};

	(void)state;
	(void)setenv("LIBCONTAINER_DYNO_UID_MAX", "4403", 1); /* four */
	(void)open_warm(1);
	started(another(1), 10);
	(void)wait_parked(2);
	struct driver_start start = another(2);
	assert_int_equal(driver_native.start(house.driver, &start, &err), 0);
	assert_true(house.orders[2].parked.id != 0);
	none_is_parked_meanwhile(3);
	house.to->spawned(house.to_userdata, house.orders[2].child, 11, -1, -1);
	(void)wait_parked(4);
}

/* ---- kinds ---- */

/* Some minutes have passed. */
static void look(void)
{
	struct native *n = house.driver;

	(void)sd_event_source_set_enabled(n->gathering, SD_EVENT_OFF); /* no sweep */
	assert_non_null(n->warm.looking);
	assert_true(sd_event_source_set_time(n->warm.looking, 0) >= 0);
	for (int i = 0; i < 5; i++)
		turn();
}

static void nothing_is_parked_for_nobody(void **state)
{
	(void)state;
	struct native *n = open_warm(1);
	started(another(1), 10);
	const struct order *park = wait_parked(2);
	assert_null(n->warm.looking);
	ended((struct launch_child){DYNO, 1}, 0);
	look();
	assert_int_equal(house.n_kills, 0);
	/* Another one comes, and stays for however long. */
	started(another(2), 11);
	assert_true(house.orders[2].parked.id == park->child.id);
	park = wait_parked(4);
	look();
	assert_null(n->warm.looking);
	assert_int_equal(house.n_kills, 0);

	ended((struct launch_child){DYNO, 2}, 0);
	assert_int_equal(driver_native.release(house.driver, DYNO, 2), 0);
	look();
	assert_int_equal(house.n_kills, 0);
	look();
	assert_int_equal(house.n_kills, 1);
	assert_null(n->warm.kinds);
	assert_null(n->warm.looking);
	ended(park->child, 9);
	assert_null(n->warm.parked);
}

/* Nor when the one that waited has ended by itself. */
static void none_is_made_up_for_nobody(void **state)
{
	(void)state;
	struct native *n = open_warm(1);
	started(another(1), 10);
	const struct order *park = wait_parked(2);
	ended((struct launch_child){DYNO, 1}, 0);
	ended(park->child, 9);
	(void)sd_event_source_set_enabled(n->gathering, SD_EVENT_OFF);
	none_is_parked_meanwhile(2);
}

static void nothing_is_parked_for_a_release_phase(void **state)
{
	static char type[] = "release";

	(void)state;
	const struct native *n = open_warm(1);
	struct driver_start start = another(1);
	process.type = type;
	started(start, 10);
	assert_null(n->warm.kinds);
	none_is_parked_meanwhile(1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(one_is_parked_when_there_is_a_uid_again),
		TEST(one_is_parked_when_another_has_become_a_dyno),
		TEST(nothing_is_parked_for_nobody),
		TEST(none_is_made_up_for_nobody),
		TEST(nothing_is_parked_for_a_release_phase),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
