/* The engine, event by event. tests/sim covers what happens when all this is mixed. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h> /* needs those above */
/* clang-format on */

#include "base/clock.h"
#include "core/backoff.h"
#include "core/engine.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>

#define S(n) ((uint64_t)(n)*NSEC_PER_SEC)

static struct engine *engine;
static uint64_t now;
static const struct engine_action *actions;
static size_t n_actions;

static const struct formation_type plain = {
	.autostart = true,
	.restart = RESTART_ALWAYS,
	.start_time = S(1),
	.start_timeout = S(60),
	.stop_timeout = S(30),
	.start_retries = -1,
	.n_exit_codes = 1, /* {0} */
	.stop_signal = SIGTERM,
	.rollout = {.strategy = ROLLOUT_ROLLING, .timeout = S(120)},
};

/* A formation of up to 4 types; add() returns the new one to be changed. */
static struct formation *formation(void)
{
	static struct formation *ring[8];
	static size_t next;
	struct formation **f = &ring[next++ % 8];

	free(*f);
	*f = calloc(1, sizeof **f + 4 * sizeof(struct formation_type));
	assert_non_null(*f);
	return *f;
}

static struct formation_type *add(
	struct formation *f, const char *name, unsigned quantity, uint64_t fingerprint)
{
	struct formation_type *t = &f->types[f->n_types++];

	*t = plain;
	(void)snprintf(t->name, sizeof t->name, "%s", name);
	t->quantity = quantity;
	t->fingerprint = fingerprint;
	return t;
}

static struct formation *web(unsigned quantity, uint64_t fingerprint)
{
	struct formation *f = formation();

	add(f, "web", quantity, fingerprint);
	return f;
}

static void open_engine(struct engine_options o)
{
	engine = engine_free(engine);
	o.first_id = 1;
	if (!o.start_number)
		o.start_number = 1;
	engine = engine_new(&o);
	assert_non_null(engine);
	now = S(1000);
}

static int setup(void **state)
{
	(void)state;
	open_engine((struct engine_options){0});
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	assert_int_equal(engine_wrong(engine), 0);
	engine = engine_free(engine);
	return 0;
}

static int try_event(struct engine_event event)
{
	return engine_handle(engine, &event, now, &actions, &n_actions);
}

#define say(...) assert_int_equal(try_event((struct engine_event){.type = __VA_ARGS__}), 0)

static const struct dyno *find(const char *type, unsigned instance)
{
	const struct dyno *found = NULL;

	for (size_t i = 0; i < engine_dynos(engine); i++) {
		const struct dyno *d = engine_dyno(engine, i);

		if (strcmp(d->type, type) == 0 && d->instance == instance &&
			(!found || d->id > found->id))
			found = d;
	}
	return found;
}

static const struct dyno *get(const char *type, unsigned instance)
{
	const struct dyno *d = find(type, instance);

	if (!d)
		fail_msg("there is no %s.%u", type, instance);
	return d;
}

/* The i-th action of a type of the last call; NULL = there is none. */
static const struct engine_action *action(enum engine_action_type type, size_t i)
{
	for (size_t k = 0; k < n_actions; k++)
		if (actions[k].type == type && i-- == 0)
			return &actions[k];
	return NULL;
}

static size_t count(enum engine_action_type type)
{
	size_t n = 0;

	while (action(type, n))
		n++;
	return n;
}

static void dyno_says(enum engine_event_type type, const struct dyno *d)
{
	say(type, .id = d->id, .generation = d->generation);
}

static void ends(const struct dyno *d, struct dyno_exit how)
{
	say(how.kind == EXIT_STAGE ? ENGINE_FAILED : ENGINE_EXITED, .id = d->id,
		.generation = d->generation, .exit = how);
}

#define CODE(n)	 ((struct dyno_exit){.kind = EXIT_CODE, .value = (n)})
#define KILLED	 ((struct dyno_exit){.kind = EXIT_SIGNAL, .value = SIGKILL})
#define NO_START ((struct dyno_exit){.kind = EXIT_STAGE, .value = 8, .error = ENOENT})

static void release(uint64_t handle, const struct formation *f)
{
	say(ENGINE_SUBMITTED, .release = handle);
	say(ENGINE_PREPARED, .release = handle, .formation = f);
	say(ENGINE_COMMITTED, .release = handle);
}

static void come_up(const struct dyno *d)
{
	dyno_says(ENGINE_STARTED, d);
	now += S(1);
	say(ENGINE_TIMER);
	assert_int_equal(d->state, DYNO_UP);
}

static void all_up(void)
{
	for (bool more = true; more;) {
		more = false;
		for (size_t i = 0; i < engine_dynos(engine) && !more; i++) {
			const struct dyno *d = engine_dyno(engine, i);

			more = d->state == DYNO_STARTING;
			if (more)
				come_up(d);
		}
	}
}

/* ---- releases ---- */

static void from_submission_to_settled(void **state)
{
	(void)state;
	say(ENGINE_SUBMITTED, .release = 7);
	assert_int_equal(n_actions, 1);
	assert_int_equal(action(ACTION_PREPARE, 0)->release, 7);
	say(ENGINE_PREPARED, .release = 7, .formation = web(2, 1));
	assert_int_equal(n_actions, 1);
	assert_int_equal(action(ACTION_COMMIT, 0)->release, 7);
	assert_int_equal(engine_release(engine), 0);
	say(ENGINE_COMMITTED, .release = 7);
	assert_int_equal(actions[0].type, ACTION_ROLLOUT_BEGUN);
	assert_int_equal(count(ACTION_START), 2);
	assert_int_equal(action(ACTION_START, 0)->release, 7);
	assert_int_equal(action(ACTION_START, 0)->dyno->instance, 1);
	assert_int_equal(action(ACTION_START, 0)->dyno->state, DYNO_STARTING);
	assert_int_equal(engine_release(engine), 7);
	assert_true(engine_rolling(engine));
	come_up(get("web", 1));
	assert_int_equal(count(ACTION_SETTLED), 0);
	come_up(get("web", 2));
	assert_int_equal(action(ACTION_SETTLED, 0)->release, 7);
	assert_false(engine_rolling(engine));
}

static void the_newest_submission_wins(void **state)
{
	(void)state;
	say(ENGINE_SUBMITTED, .release = 1);
	say(ENGINE_SUBMITTED, .release = 2);
	assert_int_equal(actions[0].type, ACTION_DROP);
	assert_int_equal(actions[0].release, 1);
	assert_int_equal(action(ACTION_PREPARE, 0)->release, 2);
	say(ENGINE_PREPARED, .release = 1, .formation = web(1, 1));
	assert_int_equal(n_actions, 0);
	say(ENGINE_PREPARE_FAILED, .release = 1);
	say(ENGINE_COMMITTED, .release = 1);
	assert_int_equal(engine_stale(engine), 3);
	say(ENGINE_PREPARED, .release = 2, .formation = web(1, 1));
	assert_int_equal(action(ACTION_COMMIT, 0)->release, 2);
}

static void a_submission_waits_for_the_commit_before(void **state)
{
	(void)state;
	say(ENGINE_SUBMITTED, .release = 1);
	say(ENGINE_PREPARED, .release = 1, .formation = web(1, 1));
	say(ENGINE_SUBMITTED, .release = 2);
	assert_int_equal(n_actions, 0);
	say(ENGINE_SUBMITTED, .release = 3);
	assert_int_equal(action(ACTION_DROP, 0)->release, 2);
	say(ENGINE_COMMIT_FAILED, .release = 1);
	assert_int_equal(n_actions, 1);
	assert_int_equal(action(ACTION_PREPARE, 0)->release, 3);
	assert_int_equal(engine_release(engine), 0);
}

static void a_failed_preparation_changes_nothing(void **state)
{
	(void)state;
	release(1, web(1, 1));
	all_up();
	say(ENGINE_SUBMITTED, .release = 2);
	say(ENGINE_PREPARE_FAILED, .release = 2);
	assert_int_equal(n_actions, 0);
	say(ENGINE_SUBMITTED, .release = 3);
	assert_int_equal(count(ACTION_DROP), 0);
	assert_int_equal(engine_release(engine), 1);
}

static void starts_in_the_order_of_priority(void **state)
{
	struct formation *f = formation();

	(void)state;
	add(f, "web", 2, 1)->priority = 999;
	add(f, "db", 1, 2)->priority = 1;
	add(f, "worker", 1, 3)->priority = 999;
	release(1, f);
	assert_int_equal(count(ACTION_START), 1);
	assert_string_equal(action(ACTION_START, 0)->dyno->type, "db");
	come_up(get("db", 1));
	assert_int_equal(count(ACTION_START), 3);
	assert_string_equal(action(ACTION_START, 0)->dyno->type, "web");
	assert_int_equal(action(ACTION_START, 0)->dyno->instance, 1);
	assert_int_equal(action(ACTION_START, 1)->dyno->instance, 2);
	assert_string_equal(action(ACTION_START, 2)->dyno->type, "worker");
	all_up();
	say(ENGINE_SHUTDOWN, .urgency = 1);
	assert_int_equal(count(ACTION_SIGNAL), 3);
	assert_string_equal(action(ACTION_SIGNAL, 0)->dyno->type, "worker");
	ends(get("worker", 1), CODE(0));
	ends(get("web", 1), CODE(0));
	assert_int_equal(count(ACTION_SIGNAL), 0);
	ends(get("web", 2), CODE(0));
	assert_string_equal(action(ACTION_SIGNAL, 0)->dyno->type, "db");
	ends(get("db", 1), CODE(0));
	assert_int_equal(count(ACTION_LEAVE), 1);
}

static void an_unchanged_type_is_not_touched(void **state)
{
	struct formation *f = formation();
	const struct dyno *d;

	(void)state;
	release(1, web(2, 1));
	all_up();
	add(f, "web", 3, 1);
	release(2, f);
	assert_int_equal(count(ACTION_SIGNAL), 0);
	assert_int_equal(count(ACTION_START), 1);
	assert_int_equal(action(ACTION_START, 0)->dyno->instance, 3);
	all_up();
	d = get("web", 1);
	ends(d, KILLED);
	assert_int_equal(action(ACTION_START, 0)->release, 2); /* it belongs to it all the same */
}

static void the_largest_formation_at_once(void **state)
{
	(void)state;
	release(1, web(LIMIT_QUANTITY, 1));
	assert_int_equal(count(ACTION_START), LIMIT_QUANTITY);
	assert_int_equal(engine_dynos(engine), LIMIT_QUANTITY);
	say(ENGINE_SUBMITTED, .release = 2);
	assert_int_equal(try_event((struct engine_event){.type = ENGINE_PREPARED,
				 .release = 2,
				 .formation = web(LIMIT_QUANTITY + 1, 1)}),
		-E2BIG);
	say(ENGINE_SHUTDOWN, .urgency = 2);
	assert_int_equal(count(ACTION_KILL), LIMIT_QUANTITY);
}

/* ---- rollouts ---- */

static void rolled_out_one_by_one(void **state)
{
	const struct dyno *old1, *old2;

	(void)state;
	release(1, web(2, 1));
	all_up();
	old1 = get("web", 1);
	old2 = get("web", 2);
	release(2, web(2, 2));
	assert_int_equal(count(ACTION_START), 1);
	assert_int_equal(engine_max_live(engine, "web"), 3);
	assert_int_equal(engine_min_up(engine, "web"), 2);
	come_up(get("web", 1));
	assert_ptr_equal(action(ACTION_SIGNAL, 0)->dyno, old1);
	ends(old1, CODE(0));
	assert_int_equal(count(ACTION_FORGET), 1);
	come_up(get("web", 2));
	assert_ptr_equal(action(ACTION_SIGNAL, 0)->dyno, old2);
	assert_int_equal(count(ACTION_SETTLED), 0);
	ends(old2, CODE(0));
	assert_int_equal(count(ACTION_SETTLED), 1);
}

static void rolled_back_after_three_bad_starts(void **state)
{
	const struct engine_action *a;
	const struct dyno *d;

	(void)state;
	release(1, web(1, 1));
	all_up();
	release(2, web(1, 2));
	d = get("web", 1);
	ends(d, CODE(3));
	ends(d, CODE(3));
	assert_int_equal(d->state, DYNO_BACKOFF);
	now = engine_deadline(engine);
	say(ENGINE_TIMER);
	ends(d, CODE(3));
	a = action(ACTION_ROLL_BACK, 0);
	assert_non_null(a);
	assert_int_equal(a->release, 2);
	assert_int_equal(a->previous, 1);
	assert_string_equal(a->text, "web.1 did not come up in 3 starts: exited with status 3");
	assert_int_equal(count(ACTION_FORGET), 1);
	assert_int_equal(engine_release(engine), 1);
	assert_int_equal(engine_dynos(engine), 1);
	assert_int_equal(get("web", 1)->state, DYNO_UP);
	assert_int_equal(action(ACTION_SETTLED, 0)->release, 1);
}

static void rolled_back_when_nothing_moves(void **state)
{
	struct formation *f = web(1, 2);

	(void)state;
	release(1, web(1, 1));
	all_up();
	f->types[0].start_timeout = S(1000);
	release(2, f);
	assert_int_equal(engine_deadline(engine), now + BACKOFF_RESET_NS);
	now += S(119);
	say(ENGINE_TIMER);
	assert_int_equal(count(ACTION_ROLL_BACK), 0);
	assert_int_equal(engine_deadline(engine), now + S(1));
	now += S(1);
	say(ENGINE_TIMER);
	assert_int_equal(count(ACTION_ROLL_BACK), 1);
	assert_string_equal(
		action(ACTION_ROLL_BACK, 0)->text, "no progress for 120 s: web.1 is starting");
}

static void the_first_release_is_never_rolled_back(void **state)
{
	const struct dyno *d;

	(void)state;
	release(1, web(1, 1));
	d = get("web", 1);
	for (int i = 0; i < 10; i++) {
		ends(d, NO_START);
		assert_int_equal(count(ACTION_ROLL_BACK), 0);
		now = i ? engine_deadline(engine) : now;
		say(ENGINE_TIMER);
		assert_int_equal(d->state, DYNO_STARTING);
	}
	come_up(d);
	assert_int_equal(count(ACTION_SETTLED), 1);
}

static void goes_back_to_the_last_one_that_settled(void **state)
{
	const struct dyno *d;

	(void)state;
	release(1, web(1, 1));
	all_up();
	release(2, web(1, 2));
	release(3, web(1, 3));
	d = find("web", 1);
	assert_int_equal(d->fingerprint, 2); /* still stopping: the surge is used up */
	ends(d, KILLED);
	d = get("web", 1);
	assert_int_equal(d->fingerprint, 3);
	for (int i = 0; i < 3; i++) {
		ends(d, NO_START);
		if (i == 1) {
			now = engine_deadline(engine);
			say(ENGINE_TIMER);
		}
	}
	assert_int_equal(action(ACTION_ROLL_BACK, 0)->previous, 1);
	assert_int_equal(action(ACTION_ROLL_BACK, 0)->release, 3);
}

static void not_rolled_back_under_a_commit(void **state)
{
	struct formation *f = web(1, 2);
	const struct dyno *d;

	(void)state;
	f->types[0].start_retries = 0;
	release(1, web(1, 1));
	all_up();
	release(2, f);
	say(ENGINE_SUBMITTED, .release = 3);
	say(ENGINE_PREPARED, .release = 3, .formation = web(1, 3));
	d = get("web", 1);
	ends(d, NO_START);
	assert_true(d->gave_up);
	assert_int_equal(count(ACTION_ROLL_BACK), 0);
	say(ENGINE_COMMIT_FAILED, .release = 3);
	assert_int_equal(action(ACTION_ROLL_BACK, 0)->release, 2);
}

static void what_a_release_removes_goes_last(void **state)
{
	struct formation *f = formation();
	const struct dyno *old;

	(void)state;
	add(f, "web", 1, 1);
	add(f, "worker", 1, 5);
	release(1, f);
	all_up();
	old = get("web", 1);
	release(2, web(1, 2));
	come_up(get("web", 1));
	assert_int_equal(get("worker", 1)->state, DYNO_UP);
	ends(old, CODE(0));
	assert_int_equal(get("worker", 1)->state, DYNO_STOPPING);
	assert_int_equal(count(ACTION_SETTLED), 0);
	ends(get("worker", 1), CODE(0));
	assert_int_equal(count(ACTION_SETTLED), 1);
}

static void what_crashed_before_does_not_hold_up_a_release(void **state)
{
	struct formation *before = formation(), *after = formation();
	const struct dyno *worker;

	(void)state;
	add(before, "web", 1, 1);
	add(before, "worker", 1, 5);
	release(1, before);
	all_up();
	worker = get("worker", 1);
	ends(worker, CODE(1));
	ends(worker, CODE(1));
	assert_int_equal(worker->state, DYNO_BACKOFF);
	add(after, "web", 2, 1);
	add(after, "worker", 1, 5);
	release(2, after);
	come_up(get("web", 2));
	assert_int_equal(action(ACTION_SETTLED, 0)->release, 2);
}

/* ---- lives ---- */

static void crashes_restart_at_once_then_later(void **state)
{
	const struct dyno *d;
	uint64_t delay;

	(void)state;
	release(1, web(1, 1));
	all_up();
	d = get("web", 1);
	ends(d, CODE(0));
	assert_int_equal(count(ACTION_CHANGED), 2);
	assert_int_equal(actions[0].from, DYNO_UP);
	assert_int_equal(actions[0].to, DYNO_BACKOFF);
	assert_int_equal(action(ACTION_START, 0)->generation, 2);
	come_up(d);
	ends(d, CODE(0));
	assert_int_equal(count(ACTION_START), 0);
	delay = engine_deadline(engine) - now;
	assert_in_range(delay, S(1), S(1) + S(1) / 4);
	now += delay;
	say(ENGINE_TIMER);
	assert_int_equal(action(ACTION_START, 0)->generation, 3);
	come_up(d);
	now += BACKOFF_RESET_NS;
	say(ENGINE_TIMER);
	assert_int_equal(d->failures, 0);
	assert_int_equal(engine_deadline(engine), UINT64_MAX);
	ends(d, KILLED);
	assert_int_equal(count(ACTION_START), 1);
}

static void by_restart_policy(void **state)
{
	static const struct {
		enum restart_policy policy;
		bool up;
		struct dyno_exit exit;
		enum dyno_state then;
		bool gave_up;
	} rows[] = {
		{RESTART_ALWAYS, true, {EXIT_CODE, 0, 0}, DYNO_STARTING, false},
		{RESTART_ON_FAILURE, true, {EXIT_CODE, 0, 0}, DYNO_STOPPED, false},
		{RESTART_ON_FAILURE, true, {EXIT_CODE, 1, 0}, DYNO_STARTING, false},
		{RESTART_ON_FAILURE, true, {EXIT_SIGNAL, SIGTERM, 0}, DYNO_STARTING, false},
		{RESTART_ON_FAILURE, true, {EXIT_UNKNOWN, 0, 0}, DYNO_STARTING, false},
		{RESTART_ON_FAILURE, false, {EXIT_CODE, 0, 0}, DYNO_STOPPED, false},
		{RESTART_NEVER, true, {EXIT_CODE, 1, 0}, DYNO_STOPPED, false},
		{RESTART_NEVER, false, {EXIT_CODE, 0, 0}, DYNO_STOPPED, false},
		{RESTART_NEVER, false, {EXIT_CODE, 1, 0}, DYNO_STOPPED, true},
		{RESTART_NEVER, false, {EXIT_STAGE, 8, ENOENT}, DYNO_STOPPED, true},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct formation *f = web(1, 1);
		const struct dyno *d;

		open_engine((struct engine_options){0});
		f->types[0].restart = rows[i].policy;
		release(1, f);
		d = get("web", 1);
		if (rows[i].up)
			come_up(d);
		ends(d, rows[i].exit);
		assert_int_equal(d->state, rows[i].then);
		assert_int_equal(d->gave_up, rows[i].gave_up);
		/* a job that is done holds up no rollout */
		assert_int_equal(engine_rolling(engine), !rows[i].up && rows[i].gave_up);
	}
}

static void gives_up_after_start_retries(void **state)
{
	struct formation *f = web(1, 1);
	const struct dyno *d;

	(void)state;
	f->types[0].start_retries = 2;
	release(1, f);
	d = get("web", 1);
	ends(d, CODE(1));
	ends(d, CODE(1));
	now = engine_deadline(engine);
	say(ENGINE_TIMER);
	ends(d, NO_START);
	assert_true(d->gave_up);
	assert_int_equal(d->state, DYNO_STOPPED);
	assert_string_equal(action(ACTION_REPORT, 0)->text,
		"gave up after 3 failed starts: could not start: "
		"stage 8: No such file or directory");
	assert_int_equal(engine_deadline(engine), UINT64_MAX);
	say(ENGINE_START_DYNO, .id = d->id);
	assert_false(d->gave_up);
	assert_int_equal(d->bad_starts, 0);
	assert_int_equal(count(ACTION_START), 1);
}

static void a_life_that_was_up_starts_the_count_anew(void **state)
{
	struct formation *f = web(1, 1);
	const struct dyno *d;

	(void)state;
	f->types[0].start_retries = 0;
	release(1, f);
	d = get("web", 1);
	for (int i = 0; i < 5; i++) {
		come_up(d);
		ends(d, CODE(1));
		now = i ? engine_deadline(engine) : now;
		say(ENGINE_TIMER);
		assert_int_equal(d->state, DYNO_STARTING);
	}
	assert_int_equal(d->failures, 5);
	assert_int_equal(d->bad_starts, 0);
}

static void boot_timeout(void **state)
{
	const struct dyno *d;

	(void)state;
	release(1, web(1, 1));
	d = get("web", 1);
	assert_int_equal(engine_deadline(engine), now + S(60));
	now += S(60);
	say(ENGINE_TIMER);
	assert_int_equal(count(ACTION_KILL), 1);
	assert_string_equal(action(ACTION_REPORT, 0)->text,
		"Error R10 (Boot timeout): not up within 60 s, sending KILL");
	assert_int_equal(d->bad_starts, 1);
	ends(d, KILLED);
	assert_int_equal(d->bad_starts, 1);
	assert_int_equal(d->state, DYNO_STARTING);
}

static void exit_timeout(void **state)
{
	const struct dyno *d;

	(void)state;
	release(1, web(1, 1));
	all_up();
	d = get("web", 1);
	say(ENGINE_SHUTDOWN, .urgency = 1);
	assert_int_equal(action(ACTION_SIGNAL, 0)->signo, SIGTERM);
	assert_int_equal(engine_deadline(engine), now + S(30));
	now += S(30);
	say(ENGINE_TIMER);
	assert_int_equal(action(ACTION_KILL, 0)->id, d->id);
	assert_string_equal(action(ACTION_REPORT, 0)->text,
		"Error R12 (Exit timeout): still there 30 s after TERM, sending KILL");
}

static void a_dead_leader_is_a_crash(void **state)
{
	const struct dyno *d;

	(void)state;
	release(1, web(1, 1));
	all_up();
	d = get("web", 1);
	dyno_says(ENGINE_LEFT, d);
	assert_int_equal(count(ACTION_SIGNAL), 1);
	ends(d, CODE(0));
	assert_int_equal(d->failures, 1);
	assert_int_equal(d->state, DYNO_STARTING);
}

static void up_at_once_without_start_time(void **state)
{
	struct formation *f = web(1, 1);

	(void)state;
	f->types[0].start_time = 0;
	release(1, f);
	dyno_says(ENGINE_STARTED, get("web", 1));
	assert_int_equal(get("web", 1)->state, DYNO_UP);
	assert_int_equal(count(ACTION_SETTLED), 1);
}

static void stale_events_have_no_effect(void **state)
{
	const struct dyno *d;

	(void)state;
	release(1, web(1, 1));
	all_up();
	d = get("web", 1);
	ends(d, CODE(1));
	say(ENGINE_EXITED, .id = d->id, .generation = 1, .exit = CODE(1));
	say(ENGINE_EXITED, .id = d->id, .generation = 3, .exit = CODE(1));
	say(ENGINE_LEFT, .id = 99, .generation = 1);
	assert_int_equal(n_actions, 0);
	assert_int_equal(d->state, DYNO_STARTING);
	assert_int_equal(engine_stale(engine), 3);
	ends(d, CODE(1));
	say(ENGINE_EXITED, .id = d->id, .generation = 2, .exit = CODE(1));
	assert_int_equal(engine_stale(engine), 4);
	assert_int_equal(d->failures, 2);
}

/* ---- the operator ---- */

static void stopped_and_started_by_hand(void **state)
{
	const struct dyno *d;

	(void)state;
	release(1, web(2, 1));
	all_up();
	d = get("web", 1);
	say(ENGINE_STOP_DYNO, .id = d->id);
	assert_int_equal(d->state, DYNO_STOPPING);
	ends(d, CODE(1));
	assert_int_equal(d->state, DYNO_STOPPED);
	assert_int_equal(engine_dynos(engine), 2);
	assert_int_equal(d->failures, 0);
	say(ENGINE_START_DYNO, .id = d->id);
	assert_int_equal(d->state, DYNO_STARTING);
	come_up(d);
	say(ENGINE_RESTART_DYNO, .id = d->id);
	assert_int_equal(d->state, DYNO_STOPPING);
	ends(d, KILLED);
	assert_int_equal(d->state, DYNO_STARTING);
	assert_int_equal(d->failures, 0);
	assert_int_equal(actions[0].from, DYNO_STOPPING);
	assert_int_equal(actions[0].to, DYNO_STARTING);
}

static void a_start_ends_the_backoff(void **state)
{
	const struct dyno *d;

	(void)state;
	release(1, web(1, 1));
	d = get("web", 1);
	ends(d, CODE(1));
	ends(d, CODE(1));
	assert_int_equal(d->state, DYNO_BACKOFF);
	say(ENGINE_START_DYNO, .id = d->id);
	assert_int_equal(count(ACTION_START), 1);
	assert_int_equal(d->failures, 0);
}

static void scaled_by_hand(void **state)
{
	struct quantity_override three = {.type = "web", .quantity = 3};
	struct quantity_override huge = {.type = "web", .quantity = LIMIT_QUANTITY + 1};

	(void)state;
	release(1, web(1, 1));
	all_up();
	say(ENGINE_SCALE, .overrides = &three, .n_overrides = 1);
	assert_int_equal(count(ACTION_START), 2);
	all_up();
	release(2, web(1, 2));
	assert_int_equal(count(ACTION_SIGNAL), 0); /* a release does not undo it */
	assert_int_equal(engine_min_up(engine, "web"), 3);
	assert_int_equal(try_event((struct engine_event){
				 .type = ENGINE_SCALE, .overrides = &huge, .n_overrides = 1}),
		-E2BIG);
	three.quantity = 0;
	say(ENGINE_SCALE, .overrides = &three, .n_overrides = 1);
	assert_int_equal(count(ACTION_SIGNAL), 4);
}

static void only_the_types_named(void **state)
{
	struct quantity_override o = {.type = "worker", .quantity = 2};
	struct formation *f = formation();

	(void)state;
	open_engine((struct engine_options){.overrides = &o, .n_overrides = 1, .start_number = 5});
	add(f, "web", 3, 1);
	add(f, "worker", 0, 2)->autostart = false;
	release(1, f);
	assert_int_equal(count(ACTION_START), 2);
	assert_int_equal(get("worker", 5)->state, DYNO_STARTING);
	assert_int_equal(get("worker", 6)->state, DYNO_STARTING);
}

static void without_autostart_nothing_starts(void **state)
{
	struct quantity_override o = {.type = "web", .quantity = 1};
	struct formation *f = web(2, 1);

	(void)state;
	f->types[0].autostart = false;
	release(1, f);
	assert_int_equal(count(ACTION_START), 0);
	assert_int_equal(count(ACTION_SETTLED), 1);
	say(ENGINE_SCALE, .overrides = &o, .n_overrides = 1);
	assert_int_equal(count(ACTION_START), 1);
}

static void shut_down_in_two_steps(void **state)
{
	const struct dyno *d1, *d2;

	(void)state;
	release(1, web(2, 1));
	all_up();
	d1 = get("web", 1);
	d2 = get("web", 2);
	say(ENGINE_SUBMITTED, .release = 2);
	say(ENGINE_SHUTDOWN, .urgency = 1);
	assert_int_equal(action(ACTION_DROP, 0)->release, 2);
	assert_int_equal(count(ACTION_SIGNAL), 2);
	ends(d1, CODE(9));
	say(ENGINE_SUBMITTED, .release = 3);
	assert_int_equal(n_actions, 1);
	assert_int_equal(action(ACTION_DROP, 0)->release, 3);
	say(ENGINE_SHUTDOWN, .urgency = 2);
	assert_int_equal(n_actions, 2); /* changed, kill */
	assert_int_equal(action(ACTION_KILL, 0)->id, d2->id);
	ends(d2, KILLED);
	assert_int_equal(action(ACTION_LEAVE, 0)->code, 0);
	say(ENGINE_TIMER);
	assert_int_equal(n_actions, 0);
}

/* ---- a restart of the supervisor ---- */

static void adopts_what_still_runs(void **state)
{
	struct engine_adopted same = {.id = 5,
		.generation = 2,
		.type = "web",
		.instance = 1,
		.fingerprint = 1,
		.kept = {.restarts = 1, .failures = 3},
		.started = S(900)};
	struct engine_adopted other = {.id = 9,
		.generation = 1,
		.type = "web",
		.instance = 2,
		.fingerprint = 77,
		.started = S(900)};
	struct engine_adopted unknown = {.id = 7,
		.generation = 1,
		.type = "gone",
		.instance = 1,
		.fingerprint = 5,
		.started = S(999)};

	(void)state;
	say(ENGINE_RESTORED, .release = 4, .formation = web(2, 1));
	assert_int_equal(n_actions, 0);
	say(ENGINE_ADOPTED, .adopted = &same);
	say(ENGINE_ADOPTED, .adopted = &other);
	say(ENGINE_ADOPTED, .adopted = &unknown);
	say(ENGINE_ADOPTED, .adopted = &same);
	assert_int_equal(engine_stale(engine), 1);
	assert_int_equal(n_actions, 0);
	assert_int_equal(get("web", 1)->state, DYNO_UP);
	assert_int_equal(get("web", 1)->failures, 3);
	assert_int_equal(get("web", 1)->restarts, 1);
	assert_int_equal(engine_deadline(engine), UINT64_MAX);
	say(ENGINE_CAUGHT_UP);
	assert_int_equal(count(ACTION_SIGNAL), 1);
	assert_string_equal(action(ACTION_SIGNAL, 0)->dyno->type, "gone");
	assert_int_equal(count(ACTION_START), 1);
	assert_int_equal(action(ACTION_START, 0)->id, 10); /* above all that live */
	assert_int_equal(action(ACTION_START, 0)->dyno->instance, 2);
}

/* The supervisor died in the middle of a rollout of something that never comes up. */
static void a_rollout_goes_on_after_a_restart_and_rolls_back(void **state)
{
	struct engine_adopted old[2] = {
		{.id = 5, .generation = 1, .type = "web", .instance = 1, .started = S(999)},
		{.id = 6, .generation = 1, .type = "web", .instance = 2, .started = S(999)},
	};
	struct formation *before = web(2, 1), *now_wanted = web(2, 2);

	(void)state;
	now_wanted->types[0].start_time = S(10); /* by which the old ones would not be up yet */
	old[0].fingerprint = old[1].fingerprint = before->types[0].fingerprint;
	say(ENGINE_RESTORED, .release = 4, .formation = now_wanted, .settled = 3,
		.settled_formation = before);
	say(ENGINE_ADOPTED, .adopted = &old[0]);
	say(ENGINE_ADOPTED, .adopted = &old[1]);
	assert_int_equal(get("web", 1)->state, DYNO_UP);
	say(ENGINE_CAUGHT_UP);
	assert_int_equal(count(ACTION_SIGNAL), 0);
	assert_int_equal(count(ACTION_START), 1);
	uint64_t id = action(ACTION_START, 0)->id;

	size_t rolled = 0;
	for (unsigned i = 1; i <= 8 && !rolled; i++) {
		const struct dyno *d = engine_find(engine, id);
		assert_non_null(d);
		if (d->state == DYNO_BACKOFF) {
			now = engine_deadline(engine);
			say(ENGINE_TIMER);
			continue;
		}
		say(ENGINE_FAILED, .id = id, .generation = d->generation,
			.exit = {.kind = EXIT_STAGE, .value = 12, .error = 2});
		rolled = count(ACTION_ROLL_BACK);
	}
	assert_int_equal(rolled, 1);
	assert_int_equal(action(ACTION_ROLL_BACK, 0)->previous, 3);
	assert_int_equal(engine_release(engine), 3);
	assert_int_equal(count(ACTION_SIGNAL), 0);
}

/* It was told to stop because fewer are wanted, and ended while nobody looked: that is its end. */
static void a_surplus_dyno_that_ended_meanwhile_is_not_started_again(void **state)
{
	struct formation *f = web(1, 1);
	struct engine_adopted found[2] = {
		{.id = 5, .generation = 1, .type = "web", .instance = 1, .started = S(900)},
		{.id = 6,
			.generation = 1,
			.type = "web",
			.instance = 2,
			.started = S(900),
			.ended = true,
			.exit = {.kind = EXIT_SIGNAL, .value = 15},
			.at = S(999)},
	};

	(void)state;
	found[0].fingerprint = found[1].fingerprint = f->types[0].fingerprint;
	say(ENGINE_RESTORED, .release = 4, .formation = f, .settled = 4);
	say(ENGINE_ADOPTED, .adopted = &found[0]);
	say(ENGINE_ADOPTED, .adopted = &found[1]);
	say(ENGINE_CAUGHT_UP);
	assert_int_equal(count(ACTION_START), 0);
	assert_int_equal(count(ACTION_SIGNAL), 0);
	assert_int_equal(engine_dynos(engine), 1);
	assert_int_equal(get("web", 1)->state, DYNO_UP);
}

static void adopted_without_a_release_is_stopped(void **state)
{
	struct engine_adopted a = {.id = 5,
		.generation = 2,
		.type = "web",
		.instance = 1,
		.fingerprint = 1,
		.started = S(900)};

	(void)state;
	say(ENGINE_ADOPTED, .adopted = &a);
	assert_int_equal(n_actions, 0);
	say(ENGINE_CAUGHT_UP);
	assert_int_equal(count(ACTION_SIGNAL), 1);
}

static void adopted_without_its_leader_is_stopped_and_restarted(void **state)
{
	struct engine_adopted a = {.id = 5,
		.generation = 2,
		.type = "web",
		.instance = 1,
		.fingerprint = 1,
		.started = S(900),
		.left = true};

	(void)state;
	say(ENGINE_RESTORED, .release = 4, .formation = web(1, 1));
	say(ENGINE_ADOPTED, .adopted = &a);
	assert_int_equal(get("web", 1)->state, DYNO_STOPPING);
	say(ENGINE_CAUGHT_UP);
	assert_int_equal(count(ACTION_START), 0);
	ends(get("web", 1), CODE(1));
	assert_int_equal(action(ACTION_START, 0)->generation, 3);
}

static void ended_while_nobody_looked(void **state)
{
	struct engine_adopted a = {.id = 5,
		.generation = 2,
		.type = "web",
		.instance = 1,
		.fingerprint = 1,
		.started = S(900)};

	(void)state;
	say(ENGINE_RESTORED, .release = 4, .formation = web(1, 1));
	say(ENGINE_ADOPTED, .adopted = &a);
	say(ENGINE_EXITED, .id = 5, .generation = 2, .exit = CODE(1));
	assert_int_equal(count(ACTION_START), 0);
	say(ENGINE_CAUGHT_UP);
	assert_int_equal(count(ACTION_START), 1);
	assert_int_equal(engine_dynos(engine), 1);
}

/* An engine in place of the one there was, and all that ended with it: of the release `handle`,
 * with what the launcher has kept of one dyno. */
static void restart(uint64_t handle, const struct formation *f, struct engine_adopted *a)
{
	uint64_t when = now;

	open_engine((struct engine_options){0});
	now = when;
	say(ENGINE_RESTORED, .release = handle, .formation = f, .settled = handle);
	say(ENGINE_ADOPTED, .adopted = a);
}

/* Of a dyno that is about to end: what the launcher would keep. */
static struct engine_adopted keep(const struct dyno *d, const struct dyno_kept *kept)
{
	struct engine_adopted a = {
		.id = d->id,
		.generation = d->generation,
		.type = "web",
		.instance = d->instance,
		.fingerprint = d->fingerprint,
		.kept = *kept,
	};

	return a;
}

static void a_back_off_outlives_its_engine(void **state)
{
	(void)state;
	release(1, web(1, 1));
	struct dyno_kept tag = action(ACTION_START, 0)->kept;
	const struct dyno *d = get("web", 1);
	for (unsigned i = 0; i < 4; i++) {
		uint64_t started = now;

		dyno_says(ENGINE_STARTED, d);
		now += S(1) / 2;
		struct engine_adopted a = keep(d, &tag);
		a.started = started;
		a.ended = true;
		a.exit = CODE(1);
		a.at = now;
		/* It is told late, but has waited since it ended. */
		now += S(1) / 4;
		say(ENGINE_EXITED, .id = d->id, .generation = d->generation, .exit = CODE(1),
			.at = a.at);
		if (i == 0) { /* the first restart is at once */
			tag = action(ACTION_START, 0)->kept;
			continue;
		}
		struct dyno before = *d;
		assert_int_equal(before.state, DYNO_BACKOFF);
		assert_int_equal(before.since, a.at);
		now += S(1) / 4;
		restart(1, web(1, 1), &a);
		d = get("web", 1);
		assert_int_equal(d->state, DYNO_BACKOFF);
		assert_int_equal(d->deadline, before.deadline);
		assert_int_equal(d->failures, i + 1);
		assert_int_equal(d->bad_starts, i + 1);
		assert_int_equal(d->restarts, i);
		say(ENGINE_CAUGHT_UP);
		assert_int_equal(n_actions, 0);
		assert_int_equal(engine_deadline(engine), before.deadline);
		now = before.deadline - 1;
		say(ENGINE_TIMER);
		assert_int_equal(n_actions, 0);
		now++;
		say(ENGINE_TIMER);
		assert_int_equal(count(ACTION_START), 1);
		tag = action(ACTION_START, 0)->kept;
	}
}

static void who_gave_up_stays_given_up(void **state)
{
	struct formation *f = web(1, 1);
	struct engine_adopted a = {.id = 5,
		.generation = 3,
		.type = "web",
		.instance = 1,
		.kept = {.restarts = 2, .failures = 2, .bad_starts = 2},
		.started = S(990),
		.ended = true,
		.exit = CODE(1)};

	(void)state;
	f->types[0].start_retries = 2;
	a.fingerprint = f->types[0].fingerprint;
	a.at = a.started + 1;
	restart(1, f, &a);
	assert_true(get("web", 1)->gave_up);
	say(ENGINE_CAUGHT_UP);
	assert_int_equal(count(ACTION_START), 0);
	assert_int_equal(engine_deadline(engine), UINT64_MAX);
	/* Up for long enough, its bad starts would have been forgotten. */
	a.at = a.started + f->types[0].start_time;
	restart(1, f, &a);
	assert_int_equal(get("web", 1)->state, DYNO_BACKOFF);
	assert_int_equal(get("web", 1)->bad_starts, 0);
	assert_int_equal(get("web", 1)->failures, 3);
	a.at = S(1000);
	a.started = S(1000) - f->types[0].start_time - BACKOFF_RESET_NS;
	restart(1, f, &a);
	assert_int_equal(get("web", 1)->failures, 1);
}

static void a_job_done_stays_done(void **state)
{
	struct formation *f = web(1, 1);
	struct engine_adopted a = {.id = 5,
		.generation = 1,
		.type = "web",
		.instance = 1,
		.fingerprint = f->types[0].fingerprint,
		.started = S(990),
		.ended = true,
		.exit = CODE(0),
		.at = S(991)};

	(void)state;
	f->types[0].restart = RESTART_ON_FAILURE;
	f->types[0].n_exit_codes = 1;
	restart(1, f, &a);
	say(ENGINE_CAUGHT_UP);
	assert_int_equal(count(ACTION_START), 0);
	assert_int_equal(count(ACTION_SETTLED), 1);
	assert_int_equal(get("web", 1)->desired, DESIRED_REST);
}

static void the_operators_wishes_outlive_the_engine(void **state)
{
	(void)state;
	release(1, web(1, 1));
	const struct dyno *d = get("web", 1);
	struct dyno_kept tag = action(ACTION_START, 0)->kept;
	come_up(d);
	assert_int_equal(count(ACTION_RETAG), 0); /* that it is up follows from its age */
	say(ENGINE_STOP_DYNO, .id = d->id);
	assert_int_equal(count(ACTION_RETAG), 1);
	struct engine_adopted a = keep(d, &action(ACTION_RETAG, 0)->kept);
	a.started = now - S(1);
	assert_true(a.kept.resting && !tag.resting);

	/* It lives: whether it was told, nobody knows. */
	restart(1, web(1, 1), &a);
	assert_int_equal(count(ACTION_SIGNAL), 1);
	say(ENGINE_CAUGHT_UP);
	d = get("web", 1);
	ends(d, KILLED);
	assert_int_equal(d->state, DYNO_STOPPED);

	a.ended = true;
	a.exit = KILLED;
	a.at = now;
	restart(1, web(1, 1), &a);
	say(ENGINE_CAUGHT_UP);
	d = get("web", 1);
	assert_int_equal(count(ACTION_START), 0);
	assert_int_equal(d->desired, DESIRED_REST);
	assert_int_equal(d->failures, 0);
	say(ENGINE_START_DYNO, .id = d->id);
	assert_int_equal(count(ACTION_START), 1);
	assert_int_equal(count(ACTION_RETAG), 0);
}

static void a_restart_by_the_operator_is_finished(void **state)
{
	struct engine_adopted a = {.id = 5,
		.generation = 1,
		.type = "web",
		.instance = 1,
		.kept = {.asked = true, .was_up = true},
		.started = S(990),
		.ended = true,
		.exit = KILLED,
		.at = S(999)};
	struct formation *f = web(1, 1);

	(void)state;
	a.fingerprint = f->types[0].fingerprint;
	restart(1, f, &a);
	assert_int_equal(count(ACTION_START), 0); /* not before all is known */
	say(ENGINE_CAUGHT_UP);
	assert_int_equal(count(ACTION_START), 1);
	assert_int_equal(get("web", 1)->failures, 0);
}

static void stopped_while_it_waits(void **state)
{
	(void)state;
	release(1, web(1, 1));
	const struct dyno *d = get("web", 1);
	ends(d, CODE(1));
	ends(d, CODE(1));
	assert_int_equal(d->state, DYNO_BACKOFF);
	say(ENGINE_STOP_DYNO, .id = d->id);
	assert_int_equal(count(ACTION_RETAG), 1);
	struct engine_adopted a = keep(d, &action(ACTION_RETAG, 0)->kept);
	a.ended = true;
	a.exit = CODE(1);
	a.started = a.at = now;
	restart(1, web(1, 1), &a);
	assert_int_equal(get("web", 1)->state, DYNO_STOPPED);
	assert_int_equal(get("web", 1)->failures, 2);
}

/* No word to the launcher of a life like any other. */
static void only_what_does_not_follow_is_written_down(void **state)
{
	(void)state;
	release(1, web(1, 1));
	const struct dyno *d = get("web", 1);
	come_up(d);
	assert_int_equal(count(ACTION_RETAG), 0);
	now += BACKOFF_RESET_NS;
	say(ENGINE_TIMER);
	assert_int_equal(count(ACTION_RETAG), 0);
	ends(d, CODE(1));
	assert_int_equal(count(ACTION_RETAG), 0);
	assert_int_equal(action(ACTION_START, 0)->kept.failures, 1);
	come_up(d);
	assert_int_equal(count(ACTION_RETAG), 0);
	now += BACKOFF_RESET_NS;
	say(ENGINE_TIMER); /* forgiven */
	assert_int_equal(count(ACTION_RETAG), 1);
	assert_int_equal(action(ACTION_RETAG, 0)->kept.failures, 0);
	ends(d, CODE(1));
	dyno_says(ENGINE_READY, d); /* said by a check, before its time */
	assert_int_equal(count(ACTION_RETAG), 1);
	assert_true(action(ACTION_RETAG, 0)->kept.was_up);
	ends(d, CODE(1));
	now = engine_deadline(engine);
	say(ENGINE_TIMER);
	now = engine_deadline(engine);
	say(ENGINE_TIMER); /* not up in time */
	assert_int_equal(d->state, DYNO_KILLING);
	assert_int_equal(count(ACTION_RETAG), 1);
	assert_true(action(ACTION_RETAG, 0)->kept.bad);
	assert_int_equal(action(ACTION_RETAG, 0)->kept.bad_starts, 1);
	struct engine_adopted a = keep(d, &action(ACTION_RETAG, 0)->kept);
	a.started = now - S(60);
	restart(1, web(1, 1), &a);
	assert_int_equal(count(ACTION_KILL), 1);
	ends(get("web", 1), KILLED);
	assert_int_equal(get("web", 1)->bad_starts, 1);
}

static void a_missing_program_is_a_bad_start_without_start_seconds_too(void **state)
{
	struct formation *f = web(1, 1);

	(void)state;
	f->types[0].start_time = 0;
	f->types[0].start_retries = 1;
	release(1, f);
	const struct dyno *d = get("web", 1);
	dyno_says(ENGINE_STARTED, d);
	assert_int_equal(d->state, DYNO_UP);
	ends(d, NO_START);
	dyno_says(ENGINE_STARTED, d);
	ends(d, NO_START);
	assert_true(d->gave_up);
}

/* What goes with a release stays until that is up, also over a restart. */
static void a_removed_type_stays_over_a_restart(void **state)
{
	struct formation *before = web(1, 1), *after = formation();
	struct engine_adopted a = {.id = 5,
		.generation = 1,
		.type = "web",
		.instance = 1,
		.fingerprint = before->types[0].fingerprint,
		.started = S(900)};

	(void)state;
	add(after, "other", 1, 2);
	say(ENGINE_RESTORED, .release = 4, .formation = after, .settled = 3,
		.settled_formation = before);
	say(ENGINE_ADOPTED, .adopted = &a);
	say(ENGINE_CAUGHT_UP);
	assert_int_equal(count(ACTION_START), 1);
	assert_int_equal(count(ACTION_SIGNAL), 0);
	come_up(get("other", 1));
	assert_int_equal(count(ACTION_SIGNAL), 1);
	ends(get("web", 1), KILLED);
	assert_int_equal(count(ACTION_SETTLED), 1);
}

/* One in back-off since before the restart is neither waited for by the next release, nor a reason
 * not to go back to this one. */
static void a_release_that_had_settled_can_be_gone_back_to(void **state)
{
	struct formation *one = web(1, 1), *two = web(1, 1);
	struct engine_adopted a = {.id = 5,
		.generation = 4,
		.type = "web",
		.instance = 1,
		.fingerprint = one->types[0].fingerprint,
		.kept = {.failures = 6},
		.started = S(999),
		.ended = true,
		.exit = CODE(1),
		.at = S(1000)};

	(void)state;
	add(two, "other", 1, 2);
	restart(1, one, &a);
	say(ENGINE_CAUGHT_UP);
	assert_int_equal(count(ACTION_SETTLED), 0);
	release(2, two);
	const struct dyno *d = get("other", 1);
	for (unsigned i = 0; i < 3 && !count(ACTION_ROLL_BACK); i++) {
		if (d->state == DYNO_BACKOFF) {
			now = d->deadline;
			say(ENGINE_TIMER);
		}
		ends(d, NO_START);
	}
	assert_int_equal(count(ACTION_ROLL_BACK), 1);
	assert_int_equal(engine_release(engine), 1);
}

/* ---- oneshot ---- */

static void oneshot_leaves_with_the_largest_code(void **state)
{
	const struct dyno *d[3];

	(void)state;
	open_engine((struct engine_options){.oneshot = true});
	release(1, web(3, 1));
	for (unsigned i = 0; i < 3; i++)
		d[i] = get("web", i + 1);
	come_up(d[0]);
	ends(d[0], CODE(3));
	assert_int_equal(count(ACTION_START), 0);
	ends(d[1], KILLED);
	assert_int_equal(count(ACTION_LEAVE), 0);
	ends(d[2], NO_START);
	assert_int_equal(action(ACTION_LEAVE, 0)->code, 137);
}

static void oneshot_of_nothing_leaves_at_once(void **state)
{
	(void)state;
	open_engine((struct engine_options){.oneshot = true});
	release(1, web(0, 1));
	assert_int_equal(action(ACTION_LEAVE, 0)->code, 0);
}

static void oneshot_stopped_gracefully_is_no_failure(void **state)
{
	(void)state;
	open_engine((struct engine_options){.oneshot = true});
	release(1, web(1, 1));
	all_up();
	say(ENGINE_SHUTDOWN, .urgency = 1);
	ends(get("web", 1), (struct dyno_exit){.kind = EXIT_SIGNAL, .value = SIGTERM});
	assert_int_equal(action(ACTION_LEAVE, 0)->code, 0);
}

static void wrong_options(void **state)
{
	struct quantity_override huge = {.type = "web", .quantity = LIMIT_QUANTITY + 1};
	struct engine_options no_id = {.start_number = 1};
	struct engine_options too_many = {.first_id = 1, .overrides = &huge, .n_overrides = 1};

	(void)state;
	assert_null(engine_new(&no_id));
	assert_null(engine_new(&too_many));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(from_submission_to_settled),
		TEST(the_newest_submission_wins),
		TEST(a_submission_waits_for_the_commit_before),
		TEST(a_failed_preparation_changes_nothing),
		TEST(starts_in_the_order_of_priority),
		TEST(an_unchanged_type_is_not_touched),
		TEST(the_largest_formation_at_once),
		TEST(rolled_out_one_by_one),
		TEST(rolled_back_after_three_bad_starts),
		TEST(rolled_back_when_nothing_moves),
		TEST(the_first_release_is_never_rolled_back),
		TEST(goes_back_to_the_last_one_that_settled),
		TEST(not_rolled_back_under_a_commit),
		TEST(what_a_release_removes_goes_last),
		TEST(what_crashed_before_does_not_hold_up_a_release),
		TEST(crashes_restart_at_once_then_later),
		TEST(by_restart_policy),
		TEST(gives_up_after_start_retries),
		TEST(a_life_that_was_up_starts_the_count_anew),
		TEST(boot_timeout),
		TEST(exit_timeout),
		TEST(a_dead_leader_is_a_crash),
		TEST(up_at_once_without_start_time),
		TEST(stale_events_have_no_effect),
		TEST(stopped_and_started_by_hand),
		TEST(a_start_ends_the_backoff),
		TEST(scaled_by_hand),
		TEST(only_the_types_named),
		TEST(without_autostart_nothing_starts),
		TEST(shut_down_in_two_steps),
		TEST(adopts_what_still_runs),
		TEST(a_rollout_goes_on_after_a_restart_and_rolls_back),
		TEST(a_surplus_dyno_that_ended_meanwhile_is_not_started_again),
		TEST(adopted_without_a_release_is_stopped),
		TEST(adopted_without_its_leader_is_stopped_and_restarted),
		TEST(a_back_off_outlives_its_engine),
		TEST(who_gave_up_stays_given_up),
		TEST(a_job_done_stays_done),
		TEST(the_operators_wishes_outlive_the_engine),
		TEST(a_restart_by_the_operator_is_finished),
		TEST(stopped_while_it_waits),
		TEST(only_what_does_not_follow_is_written_down),
		TEST(a_missing_program_is_a_bad_start_without_start_seconds_too),
		TEST(a_removed_type_stays_over_a_restart),
		TEST(a_release_that_had_settled_can_be_gone_back_to),
		TEST(ended_while_nobody_looked),
		TEST(oneshot_leaves_with_the_largest_code),
		TEST(oneshot_of_nothing_leaves_at_once),
		TEST(oneshot_stopped_gracefully_is_no_failure),
		TEST(wrong_options),
	};

	return cmocka_run_group_tests_name("engine", tests, NULL, NULL);
}
