/* What of ended dynos the native driver has removed, and what of an earlier supervisor it knows. */
#include "base/fd.h"
#include "native.h"

/* ---- sweeps ---- */

static void what_ends_together_is_swept_together(void **state)
{
	(void)state;
	(void)open_driver();
	end_one(1);
	end_one(2);
	/* Whoever takes their place comes first. */
	turn();
	assert_int_equal(house.n_orders, 0);
	later();
	assert_int_equal(sweep_at(0)->n_args, 3);
	assert_string_equal(sweep_at(0)->argv[1], OWNER ".web.1.1267.2");
	assert_string_equal(sweep_at(0)->argv[2], OWNER ".web.1.1267.1");
	/* The launcher's and the driver's idea of it: none of a dyno's. */
	assert_true(child_job_kind(house.orders[0].child.id) == CHILD_SWEEP);
	for (uint32_t generation = 3; generation <= 4; generation++)
		end_one(generation);
	later();
	assert_int_equal(house.n_orders, 1);
	ended(house.orders[0].child, 0);
	assert_int_equal(house.acked, house.orders[0].child.id);
	assert_int_equal(house.n_orders, 2);
	assert_int_equal(sweep_at(1)->n_args, 3);
	/* A failure is said; it is not tried for ever. */
	house.to->failed(house.to_userdata, house.orders[1].child, WIRE_STAGE_SWEEP, EBUSY);
	assert_non_null(strstr(house.note, "could not be removed"));
	later();
	assert_int_equal(house.n_orders, 2);
	assert_int_equal(house.exited, 4);
}

/* The launcher keeps its end until there is a next life, or for ever. */
static void what_ended_is_swept_though_nobody_lets_go_of_it(void **state)
{
	(void)state;
	struct native *n = open_driver();
	end_one(1);
	later();
	assert_int_equal(sweep_at(0)->n_args, 2);
	ended(house.orders[0].child, 0);
	house.n_acks = 0;
	assert_non_null(native_find(n, DYNO, 1));
	assert_int_equal(driver_native.release(house.driver, DYNO, 1), 0);
	assert_int_equal(house.n_acks, 1);
	assert_null(native_find(n, DYNO, 1));
	/* And only once. */
	later();
	assert_int_equal(house.n_orders, 1);
	/* So are those that could not start. */
	start_one(2);
	house.to->failed(house.to_userdata, (struct launch_child){DYNO, 2}, WIRE_STAGE_BOX, EIO);
	later();
	assert_string_equal(sweep_at(1)->argv[1], BOX);
}

static void the_last_takes_all_away(void **state)
{
	char run[200];

	(void)state;
	(void)snprintf(run, sizeof run, "%s/run", house.folder);
	(void)open_driver();
	end_one(2);
	driver_native.finish(house.driver);
	assert_int_equal(house.n_orders, 0);
	/* Nothing is waited for any more. */
	turn();
	assert_string_equal(sweep_at(0)->argv[1], BOX);
	assert_int_equal(house.n_orders, 1);
	ended(house.orders[0].child, 0);
	assert_int_equal(house.n_orders, 2);
	assert_int_equal(sweep_at(1)->n_args, 1);
	_cleanup_close_ int alone = box_presence_alone(run);
	assert_true(alone >= 0);
	assert_int_equal(house.finished, 0);
	ended(house.orders[1].child, 0);
	assert_int_equal(house.finished, 1);
	driver_native.finish(house.driver);
	turn();
	assert_int_equal(house.finished, 1);
}

static void a_finish_does_not_wait_for_who_cannot(void **state)
{
	(void)state;
	(void)open_driver();
	house.refuses = -ENOBUFS;
	driver_native.finish(house.driver);
	assert_int_equal(house.finished, 0);
	turn();
	assert_int_equal(house.finished, 1);
	assert_non_null(strstr(house.note, "not removed now"));
}

/* ---- what an earlier supervisor left ---- */

static struct launch_entry entry_of(const struct order *o, enum wire_entry_state state, int pid)
{
	return (struct launch_entry){
		.child = o->child,
		.state = state,
		.pid = pid,
		.name = o->name,
		.name_len = strlen(o->name),
		.tag = o->tag,
		.tag_len = o->tag_len,
		.out = -1,
		.err = -1,
	};
}

static void the_next_supervisor_knows_them_again(void **state)
{
	(void)state;
	(void)open_driver();
	started(start_of("true", NULL), 0);
	assert_int_equal(driver_native.retag(house.driver, DYNO, 2, "other", 5), 0);
	driver_native.close(house.driver);

	house.context.owner = "moved";
	struct native *n = open_driver();
	struct launch_entry e = entry_of(&house.orders[0], WIRE_ENTRY_RUNNING, 1);
	house.to->entry(house.to_userdata, &e);
	assert_int_equal(house.adopted, 1);
	assert_string_equal(house.entry_tag, "other");
	const struct native_life *l = native_find(n, DYNO, 2);
	assert_non_null(l);
	assert_string_equal(l->box, BOX);
	assert_int_equal(l->port, 5000);
	assert_int_equal(l->pid, 1);

	/* Jobs are nobody's to adopt: a command is ended, a sweep ends by itself. */
	e.child.id = CHILD_EXEC | 1;
	house.to->entry(house.to_userdata, &e);
	assert_int_equal(house.n_kills, 1);
	e.child.id = CHILD_SWEEP | 1;
	house.to->entry(house.to_userdata, &e);
	assert_int_equal(house.n_kills, 1);
	assert_int_equal(house.adopted, 1);
	ended(e.child, 0);
	assert_int_equal(house.acked, CHILD_SWEEP | 1);
	assert_int_equal(house.n_done, 0);

	/* What a crash left, when all that is there was told. */
	assert_int_equal(house.n_orders, 1);
	house.to->list_end(house.to_userdata);
	assert_int_equal(sweep_at(1)->n_args, 1);
	ended(house.orders[1].child, 0);
	assert_int_equal(driver_native.release(house.driver, DYNO, 2), 0);
	later();
	assert_string_equal(sweep_at(2)->argv[1], BOX);
}

static void a_run_leaves_what_others_left(void **state)
{
	(void)state;
	house.context.lasts = false;
	(void)open_driver();
	house.to->list_end(house.to_userdata);
	assert_int_equal(house.n_orders, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_ends_together_is_swept_together),
		TEST(what_ended_is_swept_though_nobody_lets_go_of_it),
		TEST(the_last_takes_all_away),
		TEST(a_finish_does_not_wait_for_who_cannot),
		TEST(the_next_supervisor_knows_them_again),
		TEST(a_run_leaves_what_others_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
