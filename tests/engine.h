/* What the tests of the engine share: one engine, driven event by event. tests/sim covers what
 * happens when all this is mixed. */
#pragma once

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
static inline struct formation *formation(void)
{
	static struct formation *ring[8];
	static size_t next;
	struct formation **f = &ring[next++ % 8];

	free(*f);
	*f = calloc(1, sizeof **f + 4 * sizeof(struct formation_type));
	assert_non_null(*f);
	return *f;
}

static inline struct formation_type *add(
	struct formation *f, const char *name, unsigned quantity, uint64_t fingerprint)
{
	struct formation_type *t = &f->types[f->n_types++];

	*t = plain;
	(void)snprintf(t->name, sizeof t->name, "%s", name);
	t->quantity = quantity;
	t->fingerprint = fingerprint;
	return t;
}

static inline struct formation *web(unsigned quantity, uint64_t fingerprint)
{
	struct formation *f = formation();

	add(f, "web", quantity, fingerprint);
	return f;
}

static inline void open_engine(struct engine_options o)
{
	engine = engine_free(engine);
	o.first_id = 1;
	if (!o.start_number)
		o.start_number = 1;
	engine = engine_new(&o);
	assert_non_null(engine);
	now = S(1000);
}

static inline int setup(void **state)
{
	(void)state;
	open_engine((struct engine_options){0});
	return 0;
}

static inline int teardown(void **state)
{
	(void)state;
	assert_int_equal(engine_wrong(engine), 0);
	engine = engine_free(engine);
	return 0;
}

static inline int try_event(struct engine_event event)
{
	return engine_handle(engine, &event, now, &actions, &n_actions);
}

#define say(...) assert_int_equal(try_event((struct engine_event){.type = __VA_ARGS__}), 0)

static inline const struct dyno *find(const char *type, unsigned instance)
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

static inline const struct dyno *get(const char *type, unsigned instance)
{
	const struct dyno *d = find(type, instance);

	if (!d) {
		fail_msg("there is no %s.%u", type, instance);
		abort(); /* which those who read the code do not know of fail_msg() */
	}
	return d;
}

/* The i-th action of a type of the last call; NULL = there is none. */
static inline const struct engine_action *action(enum engine_action_type type, size_t i)
{
	for (size_t k = 0; k < n_actions; k++)
		if (actions[k].type == type && i-- == 0)
			return &actions[k];
	return NULL;
}

static inline size_t count(enum engine_action_type type)
{
	size_t n = 0;

	while (action(type, n))
		n++;
	return n;
}

static inline void dyno_says(enum engine_event_type type, const struct dyno *d)
{
	say(type, .id = d->id, .generation = d->generation);
}

static inline void ends(const struct dyno *d, struct dyno_exit how)
{
	say(how.kind == EXIT_STAGE ? ENGINE_FAILED : ENGINE_EXITED, .id = d->id,
		.generation = d->generation, .exit = how);
}

#define CODE(n)	 ((struct dyno_exit){.kind = EXIT_CODE, .value = (n)})
#define KILLED	 ((struct dyno_exit){.kind = EXIT_SIGNAL, .value = SIGKILL})
#define NO_START ((struct dyno_exit){.kind = EXIT_STAGE, .value = 8, .error = ENOENT})

static inline void release(uint64_t handle, const struct formation *f)
{
	say(ENGINE_SUBMITTED, .release = handle);
	say(ENGINE_PREPARED, .release = handle, .formation = f);
	say(ENGINE_COMMITTED, .release = handle);
}

static inline void come_up(const struct dyno *d)
{
	dyno_says(ENGINE_STARTED, d);
	now += S(1);
	say(ENGINE_TIMER);
	assert_int_equal(d->state, DYNO_UP);
}

static inline void all_up(void)
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

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
