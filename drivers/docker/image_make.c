/* One image that is being made: waiting for the engine, its end. What is
 * between: image_base.c, image_fill.c, image_put.c. */
#include "base/clock.h"
#include "drivers/docker/image_private.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#define ENGINE_PATIENCE (30 * NSEC_PER_SEC)
#define ENGINE_LOOK	(100 * NSEC_PER_MSEC)
#define SAY_EVERY	(2 * NSEC_PER_SEC)
#define MAKES_MAX	8 /* given up ones that still wait for their answers included */
#define REMOVE_PATIENCE (30 * NSEC_PER_SEC)

static void go(struct make *m);

/* ---- its end ---- */

static void drop_work(struct make *m)
{
	engine_cancel(TAKE_PTR(m->call));
	m->timer = sd_event_source_disable_unref(m->timer);
	m->pack = image_pack_free(m->pack);
	pull_done(&m->pull);
	strbuf_done(&m->archive);
	strbuf_done(&m->passwd);
	strbuf_done(&m->group);
	free(TAKE_PTR(m->stack_id));
	image_done(&m->image);
	m->must_answer = false;
	m->sent = 0;
	m->packed = 0;
}

void make_free(struct make *m)
{
	drop_work(m);
	TAILQ_REMOVE(&m->owner->makes, m, link);
	free(m->slug_path);
	free(m);
}

static void remove_container(struct make *m)
{
	if (m->container[0])
		images_remove_container(m->owner, m->container);
	m->container[0] = '\0';
}

static void finish(struct make *m)
{
	struct images *i = m->owner;
	uint64_t handle = m->handle;
	bool stopped = m->stopped;
	const struct err result = m->result;

	make_free(m);
	if (!stopped)
		i->setup.prepared(i->setup.userdata, handle, result.code, &result);
}

static void on_removed(
	void *userdata, int r, unsigned status, json_t *answer, const struct err *err)
{
	struct make *m = userdata;

	(void)status;
	(void)answer;
	(void)err;
	m->call = NULL;
	if (r < 0 && r != -ENOENT)
		remove_container(m);
	finish(m);
}

/* Who is told that it is made may end at once: what it was made in goes before. */
void make_end(struct make *m, int r, const struct err *err)
{
	char path[IMAGE_NAME_SIZE + 40];

	m->result = r < 0 ? *err : (struct err){0};
	if (r < 0)
		(void)err_wrap(&m->result, "image of %.120s: %s", m->reference, m->doing);
	m->result.code = r;
	drop_work(m);
	if (!m->container[0]) {
		finish(m);
		return;
	}
	(void)snprintf(path, sizeof path, "/containers/%s?force=1&v=1", m->container);
	const struct engine_request request = {
		.method = "DELETE", .path = path, .timeout = REMOVE_PATIENCE};
	m->must_answer = true;
	if (engine_ask(m->owner->setup.engine, &request, on_removed, m, &m->call, NULL) < 0)
		on_removed(m, -EIO, 0, NULL, NULL);
}

void make_stop(struct make *m)
{
	const struct err err = {.code = -ECANCELED};

	m->stopped = true;
	/* What the engine makes after it was asked for has to be removed after it was made. */
	if (!m->must_answer)
		make_end(m, -ECANCELED, &err);
}

bool make_engine_went(int r, unsigned status)
{
	return r == -ECONNREFUSED || r == -ECONNRESET || r == -EPIPE ||
	       (r == -ENOENT && status == 0);
}

void make_failed(struct make *m, int r, unsigned status, const struct err *err)
{
	struct err copy = *err;

	if (!m->stopped && !m->again && make_engine_went(r, status)) {
		m->again = true;
		remove_container(m);
		drop_work(m);
		go(m);
		return;
	}
	if (strstr(copy.text, "no space left on device") ||
		strstr(copy.text, "disk quota exceeded"))
		(void)err_set(&copy, -ENOSPC,
			"%.200s: make room where the engine keeps its images (docker system prune)",
			err->text);
	make_end(m, copy.code < 0 ? copy.code : r, &copy);
}

void make_fail(struct make *m, int r, const char *what)
{
	struct err err;

	(void)err_set(&err, r, "%s", what);
	make_end(m, r, &err);
}

void make_say(struct make *m, bool first, const char *fmt, ...)
{
	const struct images_setup *s = &m->owner->setup;
	uint64_t now = clock_now();
	char text[300];
	va_list ap;

	if (!first && now - m->said < SAY_EVERY)
		return;
	m->said = now;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	s->progress(s->userdata, m->handle, text);
}

bool make_ask(struct make *m, const char *doing, const struct engine_request *request,
	engine_answer_fn *answer)
{
	struct err err = {0};

	m->doing = doing;
	int r = engine_ask(m->owner->setup.engine, request, answer, m, &m->call, &err);
	if (r < 0)
		make_end(m, r, &err);
	return r == 0;
}

bool make_stream(struct make *m, const char *doing, const struct engine_stream *stream)
{
	struct err err = {0};

	m->doing = doing;
	int r = engine_stream(m->owner->setup.engine, stream, m, &m->call, &err);
	if (r < 0)
		make_end(m, r, &err);
	return r == 0;
}

/* ---- its beginning ---- */

static int on_look(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct make *m = userdata;
	struct engine *e = m->owner->setup.engine;
	struct err err;

	(void)usec;
	if (engine_is_up(e)) {
		m->timer = sd_event_source_disable_unref(m->timer);
		make_inspect(m);
	} else if (clock_now() >= m->patience) {
		(void)err_set(&err, -ETIMEDOUT, "%s has not answered for %llu s", engine_name(e),
			(unsigned long long)(ENGINE_PATIENCE / NSEC_PER_SEC));
		make_end(m, -ETIMEDOUT, &err);
	} else if (sd_event_source_set_time_relative(source, ENGINE_LOOK / NSEC_PER_USEC) < 0 ||
		   sd_event_source_set_enabled(source, SD_EVENT_ONESHOT) < 0) {
		(void)err_set(&err, -EIO, "cannot wait for the engine");
		make_end(m, -EIO, &err);
	}
	return 0;
}

/* From the loop: the first answer may come no sooner. */
static void go(struct make *m)
{
	struct err err;

	m->doing = "waiting for the engine";
	m->patience = clock_now() + ENGINE_PATIENCE;
	m->pulled = false;
	int r = sd_event_add_time_relative(
		m->owner->setup.context->loop, &m->timer, CLOCK_MONOTONIC, 0, 10000, on_look, m);
	if (r < 0) {
		(void)err_errno(&err, r, "cannot wait for the engine");
		make_end(m, r, &err);
	}
}

int make_begin(struct images *i, uint64_t handle, const char *app, const struct release *release,
	struct err *err)
{
	char reference[IMAGE_REFERENCE_SIZE];
	unsigned n = 0;
	struct make *m;

	if (!release->stack)
		return err_set(err, -EINVAL,
			"Stack: none is given, and it says which image dynos run on: a stack such "
			"as \"heroku-24\", or the name of an image");
	int r = image_of_stack(release->stack, reference, sizeof reference, err);
	if (r < 0)
		return r;
	TAILQ_FOREACH(m, &i->makes, link)
	n++;
	if (n >= MAKES_MAX)
		return err_set(err, -EBUSY, "%u images are being made already", n);
	m = calloc(1, sizeof *m);
	if (!m || (release->slug_path && !(m->slug_path = strdup(release->slug_path)))) {
		free(m);
		return err_set(err, -ENOMEM, "out of memory");
	}
	m->owner = i;
	m->handle = handle;
	(void)snprintf(m->reference, sizeof m->reference, "%s", reference);
	(void)snprintf(m->digest, sizeof m->digest, "%s",
		release->slug_digest ? release->slug_digest : "");
	image_repository(app ? app : "", m->repository, sizeof m->repository);
	TAILQ_INSERT_TAIL(&i->makes, m, link);
	go(m);
	return 0;
}
