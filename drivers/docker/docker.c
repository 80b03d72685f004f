/* Dynos as containers of an engine: dockerd, or podman's service. */
#include "drivers/docker/private.h"

#include "base/fd.h"
#include "drivers/docker/gc.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#define LATER	   (200 * NSEC_PER_MSEC)
#define EXEC_TICKS 5

static void note(const struct docker *d, const char *what, const char *why, const char *then)
{
	const struct driver_context *context = d->context;
	const char *name = engine_name(d->engine);
	size_t len = strlen(name);
	char line[700];

	if (strncmp(why, name, len) == 0 && strncmp(why + len, ": ", 2) == 0)
		why += len + 2;
	(void)snprintf(line, sizeof line, "%s %s%s%s", name, what, why, then);
	if (context->events->note)
		context->events->note(context->userdata, NULL, line);
}

/* ---- the loop ---- */

void docker_work(struct docker *d)
{
	(void)sd_event_source_set_enabled(d->work, SD_EVENT_ONESHOT);
}

/* A terminal's reader has gone, and its dyno is told to end, which it has. */
static void tell_unheard(struct docker *d)
{
	for (struct container *c = d->first; c; c = c->next)
		if (c->unheard && !c->told)
			container_ended(c, &c->exit);
}

static int on_work(sd_event_source *source, void *userdata)
{
	struct docker *d = userdata;

	(void)source;
	tell_unheard(d);
	starts_begin(d);
	docker_measure(d);
	removals_begin(d);
	return 0;
}

void docker_later(struct docker *d)
{
	int armed = SD_EVENT_OFF;

	(void)sd_event_source_get_enabled(d->later, &armed);
	if (armed != SD_EVENT_OFF)
		return;
	(void)sd_event_source_set_time_relative(d->later, LATER / NSEC_PER_USEC);
	(void)sd_event_source_set_enabled(d->later, SD_EVENT_ONESHOT);
}

static int on_later(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct docker *d = userdata;
	bool again = false;

	(void)source;
	(void)usec;
	/* What is to be done then is done when the engine is back. */
	if (!engine_is_up(d->engine))
		return 0;
	if (d->wants_list || (!d->events && d->adopting == ADOPT_DONE))
		docker_list(d);
	for (struct container *c = d->first; c; c = c->next) {
		c->waits = false;
		container_again(c);
		again |= c->again;
	}
	if (d->execs) {
		again = true;
		if (++d->ticks % EXEC_TICKS == 0)
			execs_look(d, NULL);
	}
	docker_work(d);
	if (again)
		docker_later(d);
	return 0;
}

/* ---- the engine comes and goes ---- */

static void on_up(struct docker *d)
{
	if (d->said_gone)
		note(d, "is back", "", "");
	d->said_gone = false;
	for (struct container *c = d->first; c; c = c->next)
		c->waits = false;
	docker_list(d);
	docker_later(d); /* what was put off when it went */
	docker_work(d);
}

static void on_changed(void *userdata, bool up, const struct err *why)
{
	struct docker *d = userdata;
	bool was_up = d->was_up;

	d->was_up |= up;
	if (up) {
		on_up(d);
		return;
	}
	if (d->said_gone)
		return;
	d->said_gone = true;
	if (was_up && d->n > 0)
		note(d, "is gone: ", why->text, "; dynos run on as far as it lets them");
	else
		note(d, "is not there: ", why->text, "; it is waited for");
}

/* ---- images ---- */

static void on_prepared(void *userdata, uint64_t handle, int r, const struct err *err)
{
	const struct driver_context *context = ((struct docker *)userdata)->context;

	context->events->prepared(context->userdata, handle, r, err);
}

static void on_progress(void *userdata, uint64_t handle, const char *text)
{
	const struct driver_context *context = ((struct docker *)userdata)->context;

	if (context->events->progress)
		context->events->progress(context->userdata, handle, text);
}

static void on_image_note(void *userdata, const char *text)
{
	const struct driver_context *context = ((struct docker *)userdata)->context;

	if (context->events->note)
		context->events->note(context->userdata, NULL, text);
}

static int docker_prepare(
	void *state, uint64_t handle, const struct release *release, struct err *err)
{
	struct docker *d = state;

	return images_prepare(
		d->images, handle, release->name ? release->name : "app", release, err);
}

static void docker_prepare_stop(void *state, uint64_t handle)
{
	images_prepare_stop(((struct docker *)state)->images, handle);
}

static void docker_keep(void *state, const struct release *current)
{
	images_keep(((struct docker *)state)->images, current);
}

/* ---- small answers ---- */

static int docker_retag(
	void *state, uint64_t id, uint32_t generation, const void *tag, size_t tag_len)
{
	struct docker *d = state;
	struct container *c = container_find(d, id, generation);

	if (!c || tag_len > LIMIT_TAG)
		return c ? -E2BIG : 0;
	if (c->kept)
		return launch_tag(
			d->context->launch, (struct launch_child){id, generation}, tag, tag_len);
	unsigned char *copy = malloc(tag_len + 1);
	if (!copy)
		return -ENOMEM;
	memcpy(copy, tag, tag_len);
	free(c->tag);
	c->tag = copy;
	c->tag_len = tag_len;
	return 0;
}

static bool docker_address(
	void *state, uint64_t id, uint32_t generation, struct driver_address *ret_address)
{
	struct docker *d = state;
	const struct container *c = container_find(d, id, generation);
	bool known = c && (c->known || d->settings.network == DOCKER_NETWORK_HOST);

	*ret_address = known ? c->address : (struct driver_address){0};
	if (known && d->settings.network == DOCKER_NETWORK_HOST)
		ret_address->port = c->port;
	return ret_address->port != 0;
}

static int docker_open_stdin(void *state, uint64_t id, uint32_t generation)
{
	const struct container *c = container_find(state, id, generation);

	return c && c->feed && c->phase == PHASE_RUNNING ? feed_open(c->feed) : -ENXIO;
}

/* ---- open and close ---- */

static void docker_close(void *state)
{
	struct docker *d = state;

	if (!d)
		return;
	launch_listen(d->context->launch, NULL, NULL);
	execs_free(d);
	while (d->first)
		container_free(d->first);
	images_close(d->images);
	engine_close(d->engine);
	places_close(d->places);
	strbuf_done(&d->event);
	sd_event_source_disable_unref(d->work);
	sd_event_source_disable_unref(d->later);
	sd_event_source_disable_unref(d->deadline);
	(void)fd_close(d->proc);
	free(d->lives.lives);
	free(d);
}

static int open_loop(struct docker *d, struct err *err)
{
	sd_event *loop = d->context->loop;

	d->proc = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (d->proc < 0)
		return err_errno(err, -errno, "/proc/self/fd (is /proc mounted?)");
	int r = sd_event_add_defer(loop, &d->work, on_work, d);
	if (r >= 0)
		r = sd_event_source_set_enabled(d->work, SD_EVENT_OFF);
	if (r >= 0)
		r = sd_event_add_time_relative(
			loop, &d->later, CLOCK_MONOTONIC, 0, 10000, on_later, d);
	if (r >= 0)
		r = sd_event_source_set_enabled(d->later, SD_EVENT_OFF);
	return r < 0 ? err_errno(err, r, "event loop") : 0;
}

static int open_engine(struct docker *d, struct err *err)
{
	const struct driver_context *context = d->context;
	const struct engine_setup setup = {
		.loop = context->loop,
		.host = d->settings.host,
		.cert_path = d->settings.cert_path,
		.tls_verify = d->settings.tls_verify,
		.changed = on_changed,
		.userdata = d,
	};

	int r = engine_open(&setup, &d->engine, err);
	if (r < 0)
		return r;
	const struct images_setup images = {
		.engine = d->engine,
		.context = context,
		.cache = d->settings.image_cache,
		.prepared = on_prepared,
		.progress = on_progress,
		.note = on_image_note,
		.userdata = d,
	};
	r = images_open(&images, &d->images, err);
	if (r < 0)
		return r;
	/* The places of a supervisor beside which we run are not ours. */
	return places_open(context->lasts ? context->app_dir : NULL, &d->places, err);
}

static int docker_open(struct driver_context *context, void **ret_state, struct err *err)
{
	struct docker *d = calloc(1, sizeof *d);

	if (!d)
		return err_errno(err, -ENOMEM, "docker driver");
	d->context = context;
	d->proc = -1;
	keeper_name(d->keeper);
	launch_listen(context->launch, &adopt_child_events, d);
	int r = docker_settings_read(&d->settings, err);
	if (r == 0)
		r = open_loop(d, err);
	if (r == 0)
		r = open_engine(d, err);
	if (r < 0) {
		docker_close(d);
		return r;
	}
	*ret_state = d;
	return 0;
}

const struct driver driver_docker = {
	.name = "docker",
	.summary = "containers of Docker or podman, from the stack's image and the slug",
	.caps = DRIVER_NEEDS_SLUG | DRIVER_LIMITS_CPU | DRIVER_ENGINE | DRIVER_LEAVES |
		DRIVER_OWN_ROOT,
	.open = docker_open,
	.prepare = docker_prepare,
	.prepare_stop = docker_prepare_stop,
	.keep = docker_keep,
	.start = docker_start,
	.signal = docker_signal,
	.retag = docker_retag,
	.release = docker_release,
	.adopt = docker_adopt,
	.address = docker_address,
	.usage = docker_usage,
	.open_stdin = docker_open_stdin,
	.exec = docker_exec,
	.exec_kill = docker_exec_kill,
	.finish = docker_finish,
	.close = docker_close,
	.gc = docker_gc,
};
