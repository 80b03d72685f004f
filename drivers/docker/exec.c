/* Commands beside a dyno. The engine can start one in a container, and tell its end, but not end
 * it: so each has a mark in its environment, and so all that it starts; another command kills what
 * bears it. */
#include "drivers/docker/private.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

static void mark_of(const struct docker_exec *x, char ret_mark[48])
{
	/* The dot: no mark is the beginning of another. */
	(void)snprintf(ret_mark, 48, "%d-%" PRIu64 ".", (int)getpid(), x->id);
}

static void exec_free(struct docker_exec *x)
{
	struct docker_exec **at = &x->owner->execs;

	while (*at != x)
		at = &(*at)->next;
	*at = x->next;
	engine_cancel(x->call);
	engine_cancel(x->wait);
	free(x);
}

static void ended(struct docker_exec *x, const struct dyno_exit *exit)
{
	const struct driver_context *context = x->owner->context;
	uint64_t id = x->id;

	exec_free(x);
	context->events->exec_done(context->userdata, id, exit);
}

/* ---- killing ---- */

static void on_struck(void *userdata, int r, unsigned status, json_t *answer, const struct err *err)
{
	(void)userdata;
	(void)r;
	(void)status;
	(void)answer;
	(void)err;
}

static void start_strike(
	void *userdata, int r, unsigned status, json_t *answer, const struct err *err)
{
	struct docker *d = userdata;
	struct engine_call *call;
	struct err own;
	char path[200];

	(void)status;
	(void)err;
	if (r < 0)
		return;
	(void)snprintf(path, sizeof path, "/exec/%.100s/start", json_text_of(answer, "Id"));
	const struct engine_request request = {
		.method = "POST", .path = path, .body = json_pack("{sb}", "Detach", 1)};
	/* If it cannot be asked, the command runs to its own end. */
	r = engine_ask(d->engine, &request, on_struck, d, &call, &own);
	(void)r;
}

static int strike(struct container *c, const char *mark)
{
	struct engine_call *call;
	struct err err;
	char path[512];

	container_path(c, "/exec", path);
	const struct engine_request request = {
		.method = "POST", .path = path, .body = body_exec_kill(c->shell, mark)};
	return engine_ask(c->owner->engine, &request, start_strike, c->owner, &call, &err);
}

void execs_kill_strays(struct container *c)
{
	/* If this fails, they run to their own end. */
	int r = strike(c, "");
	(void)r;
}

int docker_exec_kill(void *state, uint64_t id)
{
	struct docker *d = state;
	struct docker_exec *x = d->execs;
	char mark[48];

	while (x && x->id != id)
		x = x->next;
	if (!x)
		return 0;
	struct container *c = container_find(d, x->dyno, x->generation);
	x->doomed = true;
	mark_of(x, mark);
	/* Not started yet: as soon as it is. */
	return c && x->running ? strike(c, mark) : 0;
}

/* ---- its end ---- */

static void on_looked(void *userdata, int r, unsigned status, json_t *answer, const struct err *err)
{
	struct docker_exec *x = userdata;
	static const uint64_t none[4];

	(void)status;
	(void)err;
	x->call = NULL;
	bool running = r == 0 && json_true_of(answer, "Running");
	/* podman does not say when it has begun: what was to kill it may have come too soon. */
	if (x->wait && running && x->doomed)
		(void)docker_exec_kill(x->owner, x->id);
	/* One that has not begun does not run either. */
	if (x->wait || running)
		return;
	if (r < 0 && r != -ENOENT)
		return;
	struct dyno_exit exit =
		r == 0 ? exit_read(answer, none).exit : (struct dyno_exit){.kind = EXIT_UNKNOWN};
	ended(x, &exit);
}

static void look(struct docker_exec *x)
{
	char path[200];
	struct err err;

	if (x->call || !x->running)
		return;
	(void)snprintf(path, sizeof path, "/exec/%s/json", x->ref);
	const struct engine_request request = {.method = "GET", .path = path};
	/* If it cannot be asked now, it is asked again. */
	int r = engine_ask(x->owner->engine, &request, on_looked, x, &x->call, &err);
	(void)r;
}

void execs_look(struct docker *d, const char *ref)
{
	if (!engine_is_up(d->engine))
		return;
	for (struct docker_exec *x = d->execs, *next; x; x = next) {
		next = x->next;
		if (!ref || strcmp(x->ref, ref) == 0)
			look(x);
	}
	if (d->execs)
		docker_later(d);
}

void execs_of_ended(struct container *c)
{
	const struct dyno_exit killed = {.kind = EXIT_SIGNAL, .value = SIGKILL};
	struct docker *d = c->owner;

	for (struct docker_exec *x = d->execs, *next; x; x = next) {
		next = x->next;
		if (x->dyno == c->id && x->generation == c->generation)
			ended(x, &killed);
	}
}

void execs_free(struct docker *d)
{
	while (d->execs)
		exec_free(d->execs);
}

/* ---- its beginning ---- */

static void failed(struct docker_exec *x, const struct err *err)
{
	const struct driver_exit exit = exit_refused(err);

	ended(x, &exit.exit);
}

static void on_started(
	void *userdata, int r, unsigned status, json_t *answer, const struct err *err)
{
	struct docker_exec *x = userdata;
	struct docker *d = x->owner;

	(void)status;
	(void)answer;
	x->call = NULL;
	if (r < 0) {
		failed(x, err);
		return;
	}
	x->running = true;
	if (x->doomed)
		(void)docker_exec_kill(d, x->id);
	/* Its end may have been told before this answer was. */
	execs_look(d, x->ref);
}

static void on_waited(void *userdata, int r, unsigned status, json_t *answer, const struct err *err)
{
	struct docker_exec *x = userdata;

	(void)status;
	(void)answer;
	x->wait = NULL;
	if (r < 0)
		failed(x, err);
	else
		execs_look(x->owner, x->ref);
}

/* One that is detached has no end that podman would tell within minutes; of one that it is attached
 * to, the end is the answer's. Of the three streams, the input carries nothing. */
static int start_and_wait(struct docker_exec *x, const char *path, struct err *err)
{
	const struct engine_request request = {
		.method = "POST",
		.path = path,
		.body = json_pack("{sb}", "Detach", 0),
		.waits = true,
	};

	int r = engine_ask(x->owner->engine, &request, on_waited, x, &x->wait, err);
	if (r < 0)
		return r;
	x->running = true;
	if (x->doomed)
		(void)docker_exec_kill(x->owner, x->id);
	docker_later(x->owner);
	return 0;
}

static void on_made(void *userdata, int r, unsigned status, json_t *answer, const struct err *err)
{
	struct docker_exec *x = userdata;
	struct err own;
	char path[200];

	(void)status;
	x->call = NULL;
	if (r < 0) {
		failed(x, err);
		return;
	}
	(void)snprintf(x->ref, sizeof x->ref, "%s", json_text_of(answer, "Id"));
	(void)snprintf(path, sizeof path, "/exec/%s/start", x->ref);
	if (engine_is_podman(x->owner->engine)) {
		if (start_and_wait(x, path, &own) < 0)
			failed(x, &own);
		return;
	}
	const struct engine_request request = {
		.method = "POST", .path = path, .body = json_pack("{sb}", "Detach", 1)};
	if (engine_ask(x->owner->engine, &request, on_started, x, &x->call, &own) < 0)
		failed(x, &own);
}

int docker_exec(void *state, const struct driver_exec *exec, struct err *err)
{
	struct docker *d = state;
	struct container *c = container_find(d, exec->beside->id, exec->beside->generation);
	char path[512], mark[48];

	if (!c || c->phase != PHASE_RUNNING)
		return err_set(err, -ESRCH, "its container does not run");
	struct docker_exec *x = calloc(1, sizeof *x);
	if (!x)
		return err_errno(err, -ENOMEM, "command");
	x->owner = d;
	x->id = exec->id;
	x->dyno = c->id;
	x->generation = c->generation;
	x->next = d->execs;
	d->execs = x;
	mark_of(x, mark);
	container_path(c, "/exec", path);
	const struct engine_request request = {
		.method = "POST",
		.path = path,
		.body = body_exec(c->shell, exec->beside->process, exec->args, exec->n_args, mark,
			engine_is_podman(d->engine)),
	};
	int r = engine_ask(d->engine, &request, on_made, x, &x->call, err);
	if (r < 0)
		exec_free(x);
	return r;
}
