/* Carrying out what the engine decided. */
#include "supervisor/private.h"

#include "base/clock.h"
#include "base/parse.h"
#include "wire/spec.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>

#define STARTING_MAX 16

void name_dyno(const struct dyno *d, char ret_name[LIMIT_NAME + 1])
{
	(void)snprintf(ret_name, LIMIT_NAME + 1, "%s.%u", d->type, d->instance);
}

static unsigned type_index(const struct release *r, const char *type)
{
	for (size_t i = 0; i < r->n_processes; i++)
		if (strcmp(r->processes[i].type, type) == 0)
			return (unsigned)i;
	return 0;
}

/* A start that could not be ordered is a failed start like any other: the engine hears of it. */
static void start_failed(struct supervisor *s, const struct dyno *d, int r, const struct err *err)
{
	char name[LIMIT_NAME + 1];

	name_dyno(d, name);
	router_note(s->router, name, "could not start: %s", err->text);
	feed(s, &(struct engine_event){
			.type = ENGINE_FAILED,
			.id = d->id,
			.generation = d->generation,
			.exit = {.kind = EXIT_STAGE, .value = WIRE_STAGE_REFUSED, .error = -r},
		});
}

static void start(struct supervisor *s, const struct engine_action *a)
{
	static const int terminal[3] = {0, 1, 2};
	const struct dyno *d = a->dyno;
	struct known_release *k = release_known(s, a->release);
	const struct process *p = k ? release_process(k->release, d->type) : NULL;
	const struct formation_type *t =
		engine_formation(s->engine) ? formation_find(engine_formation(s->engine), d->type)
					    : NULL;
	unsigned char tag[LIMIT_TAG];
	struct err err = {0};

	if (!p) {
		(void)err_set(&err, -ESTALE, "its release is gone");
		start_failed(s, d, -ESTALE, &err);
		return;
	}

	struct driver_start order = {
		.id = d->id,
		.generation = d->generation,
		.instance = s->options->mode == MODE_RUN ? 0 : d->instance,
		.type_index = type_index(k->release, d->type),
		.failures = d->failures,
		.bad_starts = d->last_exit.kind == EXIT_CODE ? d->bad_starts : 0,
		.only_one = t && t->quantity == 1,
		.process = p,
		.release = k->release,
		.app = supervisor_app(s, k->release),
		.tag = tag,
		.tag_len = tag_write(d, &a->kept, tag),
		.stdio = s->options->mode == MODE_RUN ? terminal : NULL,
	};
	char name[LIMIT_NAME + 1];
	name_dyno(d, name);
	order.name = name;

	struct life *l = life_new(s, name, order.type_index, d->id, d->generation);
	if (l)
		l->release = release_ref(k->release);
	int r = l ? checks_prepare(s, l, &order, &err) : err_errno(&err, -ENOMEM, "%s", name);
	if (r >= 0)
		r = s->setup->driver->start(s->driver_state, &order, &err);
	if (r < 0) {
		if (l)
			life_drop(s, l);
		start_failed(s, d, r, &err);
		return;
	}
	usage_limit(s, l, p->memory);
	/* What went before is kept until this one is known to have started; of many at once, as
	 * when all crash together, not for all: that much room there may not be. */
	if (s->n_starting > STARTING_MAX)
		lives_supersede(s, d->id, d->generation);
}

static void retag(struct supervisor *s, const struct engine_action *a)
{
	const struct driver *driver = s->setup->driver;
	unsigned char tag[LIMIT_TAG];
	char name[LIMIT_NAME + 1];

	if (!driver->retag)
		return;
	size_t len = tag_write(a->dyno, &a->kept, tag);
	int r = driver->retag(s->driver_state, a->id, a->generation, tag, len);
	if (r < 0) {
		name_dyno(a->dyno, name);
		router_note(s->router, name, "what it is about could not be written down: %s",
			err_name(r));
	}
}

static void deliver_signal(struct supervisor *s, const struct engine_action *a, int signo)
{
	int r = s->setup->driver->signal(s->driver_state, a->dyno->id, a->generation, signo);
	struct life *life = life_find(s, a->dyno->id, a->generation);
	char name[LIMIT_NAME + 1];

	if (life && signo == SIGKILL && !life->killed_at)
		life->killed_at = clock_now();
	name_dyno(a->dyno, name);
	record_text(s, RECORD_SIGNALLED, name, 0, "SIG%s%s%s", signal_name(signo),
		r < 0 ? ": " : "", r < 0 ? err_name(r) : "");
	if (r < 0) {
		router_note(s->router, name, "SIG%s could not be sent: %s", signal_name(signo),
			err_name(r));
	}
}

static void changed(struct supervisor *s, const struct engine_action *a)
{
	char name[LIMIT_NAME + 1];

	tell_changed(s);
	record_changed(s, a);
	checks_changed(s, a);
	/* `run` is silent: its output is the command's. */
	if (s->options->mode == MODE_RUN && !s->options->verbose)
		return;
	name_dyno(a->dyno, name);
	router_note(s->router, name, "state changed from %s to %s", dyno_state_text(a->from),
		dyno_state_text(a->to));
}

/* The engine knows that it has not become ready; what was seen of it is known here. */
static void report(struct supervisor *s, const struct engine_action *a)
{
	static const char timeout[] = "Error R10 (Boot timeout)";
	const struct known_release *k = release_known(s, engine_dyno_release(s->engine, a->dyno));
	const struct process *p = k ? release_process(k->release, a->dyno->type) : NULL;
	const char *reason = checks_start_reason(s, a->dyno->id, a->dyno->generation);
	struct engine_action said = *a;
	char name[LIMIT_NAME + 1];

	if (p && *reason && strncmp(a->text, timeout, sizeof timeout - 1) == 0)
		(void)snprintf(said.text, sizeof said.text, "%s -> not ready within %.3g s: %s",
			timeout, (double)p->start_timeout / (double)NSEC_PER_SEC, reason);
	name_dyno(a->dyno, name);
	router_note(s->router, name, "%s", said.text);
	record_report(s, &said);
}

static void commit(struct supervisor *s, const struct engine_action *a)
{
	struct known_release *k = release_known(s, a->release);
	struct engine_event answer = {.type = ENGINE_COMMITTED, .release = a->release};
	struct err err = {0};
	bool refused = false;

	if (!k)
		return;
	if (k->submission) {
		int r = s->setup->source->commit(s->source_state, k->submission, &err);

		k->submission = NULL;
		if (r < 0) {
			router_note(s->router, NULL, "release rejected: %s", err.text);
			record_text(s, RECORD_REFUSED, NULL, k->release->version, "%s", err.text);
			answer.type = ENGINE_COMMIT_FAILED;
			refused = true;
		} else {
			release_committed(s, k);
		}
	}
	feed(s, &answer);
	if (refused)
		release_refused(s);
}

static void roll_back(struct supervisor *s, const struct engine_action *a)
{
	struct known_release *k = release_known(s, a->release);
	struct err err = {0};

	record_text(s, RECORD_ROLLED_BACK, NULL, k ? k->release->version : 0, "%s", a->text);
	router_note(s->router, NULL, "release v%lld rolled back: %s",
		k ? (long long)k->release->version : 0LL, a->text);
	if (s->setup->source->roll_back(s->source_state, a->text, &err) < 0)
		router_note(s->router, NULL, "roll-back could not be written down: %s", err.text);
	release_rolled_back(s, a->release, a->previous);
}

static void refuse(struct supervisor *s, const struct engine_action *a)
{
	struct known_release *k = release_known(s, a->release);

	if (!k)
		return;
	router_note(s->router, NULL, "release v%lld rejected: %s", (long long)k->release->version,
		a->text);
	record_text(s, RECORD_REFUSED, NULL, k->release->version, "%s", a->text);
	release_end_submission(s, k, a->text);
	release_forget(s, k);
	release_refused(s);
}

static void say_release(
	struct supervisor *s, uint64_t handle, enum record_kind kind, const char *what)
{
	struct known_release *k = release_known(s, handle);

	if (k)
		record_text(s, kind, NULL, k->release->version, "%s", what);
	if (k && s->options->mode == MODE_START)
		router_note(
			s->router, NULL, "release v%lld %s", (long long)k->release->version, what);
}

static bool rolls(const struct formation *f)
{
	for (unsigned i = 0; i < f->n_types; i++)
		if (f->types[i].quantity && f->types[i].rollout.strategy == ROLLOUT_ROLLING)
			return true;
	return false;
}

/* Nobody who asked for a rolling rollout should wonder at an outage. */
static void say_alone(struct supervisor *s, uint64_t handle)
{
	const struct known_release *before = release_known(s, s->in_force);
	const struct known_release *k = release_known(s, handle);

	if (!before || !k || !before->formation || !k->formation || !rolls(k->formation) ||
		before->formation->alone == k->formation->alone)
		return;
	router_note(s->router, NULL,
		"release v%lld has another slug: what runs stops first, as for Strategy "
		"\"recreate\": the driver %s has room for one",
		(long long)k->release->version, s->setup->driver->name);
}

void act(struct supervisor *s, const struct engine_action *a)
{
	struct known_release *k;

	switch (a->type) {
	case ACTION_PREPARE:
		k = release_known(s, a->release);
		if (k)
			release_prepare(s, k);
		break;
	case ACTION_DROP:
		release_prepare_stop(s, a->release);
		k = release_known(s, a->release);
		if (k) {
			/* At the end it is kept by the source: the next start takes it up. */
			if (s->stopping)
				k->submission = NULL;
			release_end_submission(s, k, NULL);
			release_forget(s, k);
		}
		break;
	case ACTION_COMMIT:
		commit(s, a);
		break;
	case ACTION_REFUSE:
		refuse(s, a);
		break;
	case ACTION_SCALED:
		wishes_scaled(s, a);
		break;
	case ACTION_RESTING:
		wishes_resting(s, a);
		break;
	case ACTION_START:
		start(s, a);
		break;
	case ACTION_RETAG:
		retag(s, a);
		break;
	case ACTION_SIGNAL:
		s->counts.stops++;
		deliver_signal(s, a, a->signo);
		break;
	case ACTION_KILL:
		/* An app's launcher that is killed ends none of its dynos; told twice to end, it
		 * kills them. */
		deliver_signal(s, a, s->options->mode == MODE_UP ? SIGTERM : SIGKILL);
		break;
	case ACTION_FORGET:
		lives_supersede(s, a->id, UINT32_MAX);
		break;
	case ACTION_CHANGED:
		changed(s, a);
		break;
	case ACTION_REPORT:
		report(s, a);
		break;
	case ACTION_ROLLOUT_BEGUN:
		say_release(s, a->release, RECORD_COMMITTED, "is being rolled out");
		say_alone(s, a->release);
		checks_redefine(s);
		break;
	case ACTION_SETTLED:
		say_release(s, a->release, RECORD_SETTLED, "is up");
		checks_redefine(s);
		release_settled(s, a->release);
		break;
	case ACTION_ROLL_BACK:
		roll_back(s, a);
		checks_redefine(s);
		break;
	case ACTION_LEAVE:
		supervisor_leave(s, a->code);
		break;
	case ACTION_MAX:
		break;
	}
}
