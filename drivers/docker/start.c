/* From the order to a running container: the launcher keeps the pipes, create, what must be
 * attached before, start. As many at once as the settings say; the others wait in their order. */
#include "drivers/docker/private.h"

#include "base/clock.h"
#include "base/fd.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

/* An engine that is busy with many of them takes its time. */
#define START_TIMEOUT (60 * NSEC_PER_SEC)

#define BIT(signo)     (UINT64_C(1) << ((signo)-1))
#define ENDING_SIGNALS (BIT(SIGTERM) | BIT(SIGKILL) | BIT(SIGINT) | BIT(SIGQUIT) | BIT(SIGHUP))

static void let_slot_go(struct container *c)
{
	if (c->slot)
		c->owner->starting--;
	c->slot = false;
	docker_work(c->owner);
}

/* ---- its end, before it began ---- */

static void start_abandon(struct container *c, int signo)
{
	const struct driver_exit exit = {
		.exit = {.kind = EXIT_SIGNAL, .value = signo}, .at = clock_now()};

	let_slot_go(c);
	container_ended(c, &exit);
}

static bool is_abandoned(struct container *c)
{
	uint64_t ending = c->signals & ENDING_SIGNALS;

	if (!ending)
		return false;
	start_abandon(c, ending & BIT(SIGKILL) ? SIGKILL : __builtin_ctzll(ending) + 1);
	return true;
}

/* ---- POST start ---- */

static void hand_on(struct container *c)
{
	const struct driver_context *context = c->owner->context;

	c->phase = PHASE_RUNNING;
	context->events->started(
		context->userdata, c->id, c->generation, 0, TAKE_FD(c->out), TAKE_FD(c->err));
}

static void follow_it(struct container *c)
{
	struct err err;

	if (c->attached) {
		attach_started(c->attach);
		return;
	}
	int r = container_follow(c, &err);
	if (r == 0)
		r = follow_go(c->follow, &err);
	if (r < 0)
		container_note(c, "its output cannot be followed: %s", err.text);
	if (c->feed)
		feed_go(c->feed);
}

static void on_started(
	void *userdata, int r, unsigned status, json_t *answer, const struct err *err)
{
	struct container *c = userdata;

	(void)status;
	(void)answer;
	c->call = NULL;
	let_slot_go(c);
	if (c->releasing)
		return;
	if (r < 0) {
		container_failed(c, err);
		return;
	}
	hand_on(c);
	follow_it(c);
	container_inspect(c);
	signals_send(c);
}

static void post_start(struct container *c)
{
	char path[512];
	struct err err;

	if (is_abandoned(c))
		return;
	c->phase = PHASE_STARTING;
	container_path(c, "/start", path);
	const struct engine_request request = {
		.method = "POST", .path = path, .timeout = START_TIMEOUT};
	if (engine_ask(c->owner->engine, &request, on_started, c, &c->call, &err) < 0) {
		let_slot_go(c);
		container_failed(c, &err);
	}
}

/* ---- what comes between ---- */

static void failed_between(struct container *c, const struct err *err)
{
	let_slot_go(c);
	container_failed(c, err);
}

static void on_attach_opened(void *userdata, int r, const struct err *err)
{
	struct container *c = userdata;

	if (r < 0)
		failed_between(c, err);
	else
		post_start(c);
}

static void on_attach_deaf(void *userdata, int signo)
{
	struct container *c = userdata;

	(void)docker_signal(c->owner, c->id, c->generation, signo);
}

/* All that it wrote has been shown; its exit may have been waiting for that. */
static void on_attach_over(void *userdata, int r, const struct err *err)
{
	struct container *c = userdata;

	c->attach = attach_free(c->attach);
	if (r < 0 && c->phase == PHASE_RUNNING) {
		container_note(
			c, "%s: the rest of what it writes is lost; it is killed", err->text);
		(void)docker_signal(c->owner, c->id, c->generation, SIGKILL);
	}
	if (c->phase == PHASE_ENDED)
		container_ended(c, &c->exit);
	else
		container_inspect(c);
}

static void on_handover_opened(void *userdata)
{
	post_start(userdata);
}

static void on_handover_done(void *userdata, int r, const struct err *err)
{
	struct container *c = userdata;

	c->handover = NULL;
	if (r == 0)
		return;
	if (c->phase == PHASE_OPENING) {
		failed_between(c, err);
		return;
	}
	/* Its shell waits for the rest, or has given up. */
	container_note(c, "its config vars could not be handed over: %s", err->text);
	(void)docker_signal(c->owner, c->id, c->generation, SIGKILL);
}

static int open_terminal(struct container *c, struct err *err)
{
	const struct attach_setup setup = {
		.engine = c->owner->engine,
		.loop = c->owner->context->loop,
		.stdio = c->stdio,
		.container = c->ref,
		.first = attach_is_tty(c->stdio) ? NULL : c->first.data,
		.first_len = attach_is_tty(c->stdio) ? 0 : c->first.len,
		.opened = on_attach_opened,
		.deaf = on_attach_deaf,
		.over = on_attach_over,
		.userdata = c,
	};

	c->phase = PHASE_OPENING;
	return attach_new(&setup, &c->attach, err);
}

static int open_before(struct container *c, struct err *err)
{
	struct docker *d = c->owner;

	if (c->attached)
		return open_terminal(c, err);
	if (c->stdin_open) {
		int r = feed_new(d->engine, d->context->loop, d->context->stdin_dir, c->id,
			c->generation, c->ref, &c->feed, err);
		if (r < 0)
			return r;
	}
	if (c->first.len == 0) {
		post_start(c);
		return 0;
	}
	c->phase = PHASE_OPENING;
	int r = handover_new(d->engine, c->ref, c->first.data, c->first.len, on_handover_opened,
		on_handover_done, c, &c->handover, err);
	explicit_bzero(c->first.data, c->first.len);
	strbuf_done(&c->first);
	return r;
}

/* ---- POST create ---- */

static void on_created(
	void *userdata, int r, unsigned status, json_t *answer, const struct err *err)
{
	struct container *c = userdata;
	struct err own;

	(void)status;
	c->call = NULL;
	if (r == 0) {
		(void)snprintf(c->ref, sizeof c->ref, "%s", json_text_of(answer, "Id"));
		if (!*c->ref) {
			r = err_set(&own, -EBADMSG, "%s: a container was made, and no id told",
				engine_name(c->owner->engine));
			err = &own;
		}
	}
	if (c->releasing) {
		let_slot_go(c);
		return;
	}
	if (r < 0) {
		let_slot_go(c);
		container_failed(c, err);
		return;
	}
	if (!is_abandoned(c) && open_before(c, &own) < 0) {
		let_slot_go(c);
		container_failed(c, &own);
	}
}

/* Before there is a container, so that one that is found can be told from one that nobody has heard
 * of. */
static int keep(struct container *c, struct err *err)
{
	struct docker *d = c->owner;
	const struct launch_child child = {c->id, c->generation};

	int r = launch_keep(d->context->launch, child, c->name, c->tag, c->tag_len, c->out, c->err);
	if (r < 0)
		return err_errno(err, r, "order to the launcher");
	c->kept = true;
	return 0;
}

static int create(struct container *c, struct err *err)
{
	struct docker *d = c->owner;
	char path[512];

	int r = container_pipes(c, c->attached || c->merged);
	if (r < 0)
		return err_errno(err, r, "pipes for its output");
	c->place = c->attached ? NULL : places_take(d->places, c->id, c->generation);
	if (!c->place && !c->attached)
		return err_set(err, -ENOBUFS, "no room to write down how far its output has come");
	r = keep(c, err);
	if (r < 0)
		return r;
	if (c->attached) {
		/* It writes to the terminal; the pipe was for the launcher's entry. */
		c->out = fd_close(c->out);
		c->out_in = fd_close(c->out_in);
	}
	(void)snprintf(path, sizeof path, "/containers/create?name=%s", c->called);
	json_t *body = TAKE_PTR(c->body);
	const struct engine_request request = {
		.method = "POST", .path = path, .body = body, .timeout = START_TIMEOUT};
	c->phase = PHASE_CREATING;
	c->made = true;
	return engine_ask(d->engine, &request, on_created, c, &c->call, err);
}

void starts_begin(struct docker *d)
{
	struct err err;

	for (struct container *c = d->first, *next; c; c = next) {
		next = c->next;
		if (c->phase != PHASE_QUEUED || is_abandoned(c) || !engine_is_up(d->engine) ||
			d->starting >= d->settings.parallel)
			continue;
		c->slot = true;
		d->starting++;
		if (create(c, &err) < 0) {
			let_slot_go(c);
			container_failed(c, &err);
		}
	}
}
