#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/file.h"
#include "house.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>

/* A driver whose dynos are somebody else's: it tells late, and leaves something behind. */

static struct engine_room {
	bool follows; /* what a dyno wrote comes after its end */
	bool finishes_late;
	unsigned finish_turn; /* when it was asked to finish */
	uint64_t ended_id;
	uint32_t ended_generation;
	bool ended;
	int killed;
	uint64_t memory;
} room;

static int room_signal(void *state, uint64_t id, uint32_t generation, int signo)
{
	struct driver_exit exit = {.exit = {.kind = EXIT_SIGNAL, .value = signo},
		.output_follows = room.follows,
		.at = clock_now()};

	(void)state;
	room.killed = signo;
	room.ended_id = id;
	room.ended_generation = generation;
	room.ended = true;
	note("ended");
	house.context->events->exited(house.context->userdata, id, generation, &exit);
	return 0;
}

static void room_finish(void *state)
{
	(void)state;
	note("finish");
	room.finish_turn = house.turns;
	if (!room.finishes_late)
		house.context->events->finished(house.context->userdata);
}

static void room_keep(void *state, const struct release *current)
{
	char text[40];

	(void)state;
	(void)snprintf(text, sizeof text, "keep v%lld", (long long)current->version);
	note(text);
}

static void room_prepare_stop(void *state, uint64_t handle)
{
	(void)state;
	(void)handle;
	note("prepare stop");
}

static void room_usage(void *state, uint64_t id, uint32_t generation)
{
	(void)state;
	note("usage");
	const struct dyno_usage usage = {.memory = room.memory, .cpu = 5 * NSEC_PER_SEC};
	house.context->events->used(house.context->userdata, id, generation, &usage);
}

static void make_dir(char ret_path[100])
{
	const char *tmp = getenv("TMPDIR");

	(void)snprintf(ret_path, 100, "%.60s/hsup-test-XXXXXX", tmp ? tmp : "/tmp");
	assert_non_null(mkdtemp(ret_path));
}

static int tear_down(void **state)
{
	(void)state;
	release_unref(house.in_force); /* when it was not run */
	assert_int_equal(file_remove_tree(AT_FDCWD, house.control_dir), 0);
	return 0;
}

static int set_up_engine(void **state)
{
	(void)set_up(state);
	room = (struct engine_room){0};
	house.driver.caps |= DRIVER_ENGINE | DRIVER_LEAVES;
	make_dir(house.control_dir);
	house.driver.signal = room_signal;
	house.driver.finish = room_finish;
	house.driver.keep = room_keep;
	house.driver.prepare_stop = room_prepare_stop;
	house.in_force = release_of(1);
	return 0;
}

static void stop_at_five(unsigned turn)
{
	if (turn == 5)
		stop();
	if (turn == 20 && room.follows)
		note("output over"), house.context->events->output_over(house.context->userdata,
					     room.ended_id, room.ended_generation);
	if (room.finishes_late && room.finish_turn && turn == room.finish_turn + 10)
		note("finished"), house.context->events->finished(house.context->userdata);
}

static void test_what_has_ended_is_released_at_the_end_of_all(void **state)
{
	(void)state;
	run(stop_at_five);
	assert_string_equal(
		house.log, "prepare v1;start v1;source;keep v1;ended;release 1;finish;");
}

static void test_it_is_waited_for_until_all_is_gone(void **state)
{
	(void)state;
	room.finishes_late = true;
	run(stop_at_five);
	assert_string_equal(
		house.log, "prepare v1;start v1;source;keep v1;ended;release 1;finish;finished;");
}

static void test_output_may_come_after_the_end(void **state)
{
	(void)state;
	room.follows = true;
	run(stop_at_five);
	assert_string_equal(house.log, "prepare v1;start v1;source;keep v1;ended;output over;"
				       "release 1;finish;");
}

static void learns_late(unsigned turn)
{
	struct supervisor *s = house.context->userdata;
	const struct life *l = house.id ? life_find(s, house.id, 1) : NULL;

	if (turn == 5) {
		assert_int_equal(l->pid, 0);
		house.context->events->known(s, house.id, 1, 4711);
		assert_int_equal(l->pid, 4711);
		house.context->events->known(s, house.id, 2, 1); /* of a life that is not */
		assert_int_equal(l->pid, 4711);
		stop();
	}
}

static void test_its_pid_is_known_late(void **state)
{
	(void)state;
	run(learns_late);
	assert_string_equal(
		house.log, "prepare v1;start v1;source;keep v1;ended;release 1;finish;");
}

static void overtake_once(unsigned turn)
{
	if (turn == 5)
		submit();
	if (turn == 6)
		submit();
	if (turn == 20)
		stop();
}

static void test_what_nobody_waits_for_is_given_up(void **state)
{
	(void)state;
	release_unref(TAKE_PTR(house.in_force));
	house.silent = true;
	run(overtake_once);
	assert_string_equal(house.log, "source;prepare v2;prepare stop;drop;prepare v3;"
				       "prepare stop;finish;");
}

static void uses_memory(unsigned turn)
{
	struct supervisor *s = house.context->userdata;
	struct dyno_usage used;

	if (turn == 5) {
		house.driver.usage = room_usage;
		usage_limit(s, life_find(s, house.id, 1), 100 << 20);
		usage_want(s);
		usage_get(s, house.id, 1, &used);
		assert_int_equal(used.memory, room.ended ? USAGE_UNKNOWN : room.memory);
		assert_int_equal(used.cpu, room.ended ? USAGE_UNKNOWN : 5 * NSEC_PER_SEC);
	}
	if (turn == 10)
		stop();
}

static void test_a_little_over_its_quota_it_lives(void **state)
{
	(void)state;
	room.memory = 150 << 20;
	run(uses_memory);
	assert_int_equal(room.killed, SIGTERM); /* by the stop */
	assert_null(strstr(house.log, "ended;start"));
}

static void test_far_over_its_quota_it_is_killed(void **state)
{
	(void)state;
	room.memory = 201 << 20;
	run(uses_memory);
	assert_non_null(strstr(house.log, "usage;ended;retag 1;start v1;"));
}

/* ---- whose a container is ---- */

static void test_an_owner_is_the_same_every_time(void **state)
{
	char first[OWNER_SIZE], second[OWNER_SIZE];
	struct err err;

	(void)state;
	assert_int_equal(owner_find(house.control_dir, first, &err), 0);
	assert_int_equal(owner_find(house.control_dir, second, &err), 0);
	assert_int_equal(strlen(first), OWNER_SIZE - 1);
	assert_string_equal(first, second);
}

static void test_a_copy_of_a_directory_is_another_owner(void **state)
{
	char first[OWNER_SIZE], second[OWNER_SIZE], copy[100], from[200], to[200];
	struct err err;

	(void)state;
	assert_int_equal(owner_find(house.control_dir, first, &err), 0);
	make_dir(copy);
	(void)snprintf(to, sizeof to, "%s/.hsup", copy);
	assert_int_equal(mkdir(to, 0700), 0);
	(void)snprintf(from, sizeof from, "%s/.hsup/owner", house.control_dir);
	(void)snprintf(to, sizeof to, "%s/.hsup/owner", copy);
	assert_int_equal(link(from, to), 0);
	assert_int_equal(owner_find(copy, second, &err), 0);
	assert_memory_equal(first, second, 16);
	assert_string_not_equal(first, second);
	assert_int_equal(file_remove_tree(AT_FDCWD, copy), 0);
}

static void test_a_damaged_number_is_not_replaced(void **state)
{
	char owner[OWNER_SIZE], path[200], expected[300];
	struct err err;

	(void)state;
	assert_int_equal(owner_find(house.control_dir, owner, &err), 0);
	(void)snprintf(path, sizeof path, "%s/.hsup/owner", house.control_dir);
	assert_int_equal(file_replace(AT_FDCWD, path, "me\n", 3, 0600), 0);
	assert_int_equal(owner_find(house.control_dir, owner, &err), -EBADMSG);
	(void)snprintf(expected, sizeof expected, "%s: holds no number: remove it", path);
	assert_string_equal(err.text, expected);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_what_has_ended_is_released_at_the_end_of_all,
			set_up_engine, tear_down),
		cmocka_unit_test_setup_teardown(
			test_it_is_waited_for_until_all_is_gone, set_up_engine, tear_down),
		cmocka_unit_test_setup_teardown(
			test_output_may_come_after_the_end, set_up_engine, tear_down),
		cmocka_unit_test_setup_teardown(
			test_its_pid_is_known_late, set_up_engine, tear_down),
		cmocka_unit_test_setup_teardown(
			test_what_nobody_waits_for_is_given_up, set_up_engine, tear_down),
		cmocka_unit_test_setup_teardown(
			test_a_little_over_its_quota_it_lives, set_up_engine, tear_down),
		cmocka_unit_test_setup_teardown(
			test_far_over_its_quota_it_is_killed, set_up_engine, tear_down),
		cmocka_unit_test_setup_teardown(
			test_an_owner_is_the_same_every_time, set_up_engine, tear_down),
		cmocka_unit_test_setup_teardown(
			test_a_copy_of_a_directory_is_another_owner, set_up_engine, tear_down),
		cmocka_unit_test_setup_teardown(
			test_a_damaged_number_is_not_replaced, set_up_engine, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
