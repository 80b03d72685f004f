/* A supervisor whole, for tests of what it makes of its driver and its source. After cmocka.h. */
#pragma once

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
	char control_dir[100];
	enum run_mode mode;
} house;

static inline void note(const char *text)
{
	size_t at = strlen(house.log);

	(void)snprintf(house.log + at, sizeof house.log - at, "%s;", text);
}

static inline struct release *release_of(int64_t version)
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

static inline int driver_open(struct driver_context *context, void **ret_state, struct err *err)
{
	house.context = context;
	return driver_null.open(context, ret_state, err);
}

static inline int driver_prepare(
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

static inline int driver_start(void *state, const struct driver_start *start, struct err *err)
{
	char text[40];

	(void)snprintf(text, sizeof text, "start v%lld", (long long)start->release->version);
	note(text);
	house.id = start->id;
	house.generation = start->generation;
	return driver_null.start(state, start, err);
}

static inline int driver_release(void *state, uint64_t id, uint32_t generation)
{
	char text[40];

	(void)state;
	(void)id;
	(void)snprintf(text, sizeof text, "release %u", generation);
	note(text);
	return 0;
}

static inline int driver_retag(
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

static inline void ends(uint64_t id, uint32_t generation, int code, uint64_t when)
{
	struct driver_exit exit = {.exit = {.kind = EXIT_CODE, .value = code}, .at = when};

	house.context->events->exited(house.context->userdata, id, generation, &exit);
}

static inline void answer(uint64_t handle, int r)
{
	struct err err = {0};

	if (r < 0)
		(void)err_set(&err, r, "no image");
	house.context->events->prepared(house.context->userdata, handle, r, &err);
}

/* ---- the source ---- */

static inline void submit(void)
{
	static char submissions[4];

	house.events->submitted(house.userdata,
		(struct submission *)(void *)&submissions[house.submissions],
		release_of(2 + house.submissions));
	house.submissions++;
}

static inline int source_restore(
	void *state, struct release **ret_release, struct release **ret_settled, struct err *err)
{
	(void)state;
	(void)err;
	*ret_settled = NULL;
	*ret_release = house.in_force;
	house.in_force = NULL;
	return *ret_release != NULL;
}

static inline int source_start(void *state, sd_event *loop, const struct source_events *events,
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

static inline int source_commit(void *state, struct submission *s, struct err *err)
{
	(void)state;
	(void)s;
	(void)err;
	note("commit");
	return 0;
}

static inline void source_reject(void *state, struct submission *s, const char *reason)
{
	char text[200];

	(void)state;
	(void)s;
	(void)snprintf(text, sizeof text, "reject: %s", reason);
	note(text);
}

static inline void source_drop(void *state, struct submission *s)
{
	(void)state;
	(void)s;
	note("drop");
}

static inline void source_nothing(void *state)
{
	(void)state;
}

static inline int source_roll_back(void *state, const char *reason, struct err *err)
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

static inline int open_source(
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
static inline void say(enum wire_type type, const void *body, size_t size)
{
	assert_int_equal(
		packet_send(house.launcher, type, 1, &(struct packet_part){body, size}, 1, NULL, 0),
		0);
}

static inline void stop(void)
{
	struct wire_shutdown shutdown = {.urgency = 1, .signo = 15};

	say(WIRE_SHUTDOWN, &shutdown, sizeof shutdown);
}

/* What the test does at each turn of the loop, until it stops the supervisor. */
typedef void step_fn(unsigned turn);
static step_fn *step;

static inline int on_turn(sd_event_source *s, void *userdata)
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

static inline int driver_adopt(void *state)
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

static inline void driver_close(void *state)
{
	house.turn = sd_event_source_disable_unref(house.turn);
	driver_null.close(state);
}

static inline int set_up(void **state)
{
	(void)state;
	house = (struct house){.driver = driver_null, .control_dir = "/nonexistent/app"};
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
static inline void run(step_fn *steps)
{
	struct options options = {.driver = "null",
		.mode = house.mode,
		.start_number = 1,
		.control_dir = house.control_dir,
		.apps_dir = house.control_dir,
		.runtime_dir = house.control_dir};
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
