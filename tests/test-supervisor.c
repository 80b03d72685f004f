#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/fd.h"
#include "supervisor/private.h"
#include "wire/packet.h"

#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

/* A house with a driver that runs nothing, but must be asked to prepare, and a source that has in
 * it what a test puts there. What happens is written down in order. */
static struct house {
	struct driver driver;
	struct driver_context *context;
	sd_event_source *turn;
	const struct source_events *events;
	void *userdata;
	struct release *in_force;
	unsigned submissions;
	int refuse_at_once; /* negative errno of prepare() */
	int outcome;	    /* what `prepared` says */
	bool silent;	    /* it says nothing; the test does */
	uint64_t handles[4];
	unsigned n_handles;
	unsigned turns;
	char log[1000];
	int launcher; /* its end of the wire */
	uint64_t id;  /* of the last start */
	uint32_t generation;
	struct engine_adopted kept[2]; /* what the launcher has, id 0 = nothing */
} house;

static void note(const char *text)
{
	size_t at = strlen(house.log);

	(void)snprintf(house.log + at, sizeof house.log - at, "%s;", text);
}

static struct release *release_of(int64_t version)
{
	struct release *r = release_new();

	assert_non_null(r);
	r->version = version;
	r->processes = calloc(1, sizeof *r->processes);
	r->n_processes = 1;
	process_init(&r->processes[0]);
	r->processes[0].type = strdup("web");
	r->processes[0].args = calloc(2, sizeof(char *));
	r->processes[0].args[0] = strdup("true");
	r->processes[0].n_args = 1;
	r->processes[0].start_time = 0;
	return r;
}

/* ---- the driver ---- */

static int driver_open(struct driver_context *context, void **ret_state, struct err *err)
{
	house.context = context;
	return driver_null.open(context, ret_state, err);
}

static int driver_prepare(
	void *state, uint64_t handle, const struct release *release, struct err *err)
{
	char text[40];

	(void)state;
	(void)snprintf(text, sizeof text, "prepare v%lld", (long long)release->version);
	note(text);
	if (house.refuse_at_once)
		return err_set(err, house.refuse_at_once, "no such stack");
	house.handles[house.n_handles++] = handle;
	return 0;
}

static int driver_start(void *state, const struct driver_start *start, struct err *err)
{
	char text[40];

	(void)snprintf(text, sizeof text, "start v%lld", (long long)start->release->version);
	note(text);
	house.id = start->id;
	house.generation = start->generation;
	return driver_null.start(state, start, err);
}

static int driver_release(void *state, uint64_t id, uint32_t generation)
{
	char text[40];

	(void)state;
	(void)id;
	(void)snprintf(text, sizeof text, "release %u", generation);
	note(text);
	return 0;
}

static int driver_retag(
	void *state, uint64_t id, uint32_t generation, const void *tag, size_t tag_len)
{
	struct engine_adopted a = {0};
	char text[40];

	(void)state;
	(void)id;
	assert_int_equal(tag_read(tag, tag_len, &a), 0);
	(void)snprintf(text, sizeof text, "retag %u%s", generation, a.kept.resting ? " rest" : "");
	note(text);
	return 0;
}

static void ends(uint64_t id, uint32_t generation, int code, uint64_t when)
{
	struct driver_exit exit = {.exit = {.kind = EXIT_CODE, .value = code}, .at = when};

	house.context->events->exited(house.context->userdata, id, generation, &exit);
}

static void answer(uint64_t handle, int r)
{
	struct err err = {0};

	if (r < 0)
		(void)err_set(&err, r, "no image");
	house.context->events->prepared(house.context->userdata, handle, r, &err);
}

/* ---- the source ---- */

static void submit(void)
{
	static char submissions[4];

	house.events->submitted(house.userdata,
		(struct submission *)(void *)&submissions[house.submissions],
		release_of(2 + house.submissions));
	house.submissions++;
}

static int source_restore(
	void *state, struct release **ret_release, struct release **ret_settled, struct err *err)
{
	(void)state;
	(void)err;
	*ret_settled = NULL;
	*ret_release = house.in_force;
	house.in_force = NULL;
	return *ret_release != NULL;
}

static int source_start(void *state, sd_event *loop, const struct source_events *events,
	void *userdata, struct err *err)
{
	(void)state;
	(void)loop;
	(void)err;
	house.events = events;
	house.userdata = userdata;
	note("source");
	return 0;
}

static int source_commit(void *state, struct submission *s, struct err *err)
{
	(void)state;
	(void)s;
	(void)err;
	note("commit");
	return 0;
}

static void source_reject(void *state, struct submission *s, const char *reason)
{
	char text[200];

	(void)state;
	(void)s;
	(void)snprintf(text, sizeof text, "reject: %s", reason);
	note(text);
}

static void source_drop(void *state, struct submission *s)
{
	(void)state;
	(void)s;
	note("drop");
}

static void source_nothing(void *state)
{
	(void)state;
}

static int source_roll_back(void *state, const char *reason, struct err *err)
{
	(void)state;
	(void)reason;
	return err_set(err, -ENOENT, "none");
}

static const struct source_ops source = {
	.name = "fake",
	.restore = source_restore,
	.start = source_start,
	.commit = source_commit,
	.reject = source_reject,
	.drop = source_drop,
	.settled = source_nothing,
	.roll_back = source_roll_back,
	.quiet = source_nothing,
	.close = source_nothing,
};

static int open_source(
	const struct options *options, void **ret_state, bool *ret_holds, struct err *err)
{
	(void)options;
	(void)err;
	*ret_state = &house;
	*ret_holds = true;
	return 0;
}

/* ---- the runs ---- */

/* The test is the launcher too. */
static void say(enum wire_type type, const void *body, size_t size)
{
	assert_int_equal(
		packet_send(house.launcher, type, 1, &(struct packet_part){body, size}, 1, NULL, 0),
		0);
}

static void stop(void)
{
	struct wire_shutdown shutdown = {.urgency = 1, .signo = 15};

	say(WIRE_SHUTDOWN, &shutdown, sizeof shutdown);
}

/* What the test does at each turn of the loop, until it stops the supervisor. */
typedef void step_fn(unsigned turn);
static step_fn *step;

static int on_turn(sd_event_source *s, void *userdata)
{
	(void)s;
	(void)userdata;
	if (house.n_handles && !house.silent) {
		house.n_handles = 0;
		answer(house.handles[0], house.outcome);
	}
	step(house.turns++);
	assert_true(house.turns < 1000);
	return 0;
}

static int driver_adopt(void *state)
{
	(void)state;
	assert_true(sd_event_add_defer(house.context->loop, &house.turn, on_turn, NULL) >= 0);
	assert_true(sd_event_source_set_enabled(house.turn, SD_EVENT_ON) >= 0);
	assert_true(sd_event_source_set_priority(house.turn, 100) >= 0);
	for (size_t i = 0; i < ARRAY_SIZE(house.kept) && house.kept[i].id; i++) {
		const struct engine_adopted *k = &house.kept[i];
		struct dyno d = {.type = "web", .instance = 1, .fingerprint = k->fingerprint};
		unsigned char tag[LIMIT_TAG];
		struct driver_entry entry = {
			.id = k->id,
			.generation = k->generation,
			.tag = tag,
			.tag_len = tag_write(&d, &k->kept, tag),
			.started = k->started,
			.ended = k->ended,
			.out = -1,
			.err = -1,
		};

		house.context->events->adopted(house.context->userdata, &entry);
		if (k->ended)
			ends(k->id, k->generation, k->exit.value, k->at);
	}
	house.context->events->adopt_done(house.context->userdata, 0);
	return 0;
}

static void driver_close(void *state)
{
	house.turn = sd_event_source_disable_unref(house.turn);
	driver_null.close(state);
}

static int set_up(void **state)
{
	(void)state;
	house = (struct house){.driver = driver_null};
	house.driver.open = driver_open;
	house.driver.prepare = driver_prepare;
	house.driver.start = driver_start;
	house.driver.release = driver_release;
	house.driver.retag = driver_retag;
	house.driver.adopt = driver_adopt;
	house.driver.close = driver_close;
	return 0;
}

/* Its log goes where standard output goes, which is the test's report. */
static void run(step_fn *steps)
{
	char control_dir[] = "/nonexistent/app";
	struct options options = {.driver = "null", .start_number = 1, .control_dir = control_dir};
	struct supervisor_setup setup = {
		.options = &options,
		.driver = &house.driver,
		.source = &source,
		.open_source = open_source,
	};
	struct wire_hello hello = {.wire_version = WIRE_VERSION, .pid = 1};
	int wire[2];
	int log = memfd_create("log", MFD_CLOEXEC), out = dup(STDOUT_FILENO);

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, wire), 0);
	setup.launcher_fd = wire[0];
	house.launcher = wire[1];
	say(WIRE_HELLO, &hello, sizeof hello);
	step = steps;
	(void)fflush(stdout);
	assert_true(dup2(log, STDOUT_FILENO) >= 0);
	int code = supervisor_run(&setup);
	assert_true(dup2(out, STDOUT_FILENO) >= 0);
	(void)fd_close(out);
	(void)fd_close(log);
	(void)fd_close(house.launcher);
	assert_int_equal(code, SUPERVISOR_EXIT_DONE);
}

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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
