#include "cli/await.h"

#include "base/clock.h"
#include "cli/sse.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#define ASK_AGAIN   (1000 * NSEC_PER_MSEC) /* when events tell nothing */
#define RETRY_AFTER (100 * NSEC_PER_MSEC)
#define LOST_AFTER  (10 * NSEC_PER_SEC) /* a supervisor that was killed is back long before */

struct stream {
	struct watch *watch;
	struct app *app;
	struct http_call call;
	struct sse sse;
	char path[64];
	uint64_t next;	   /* the first event that was not seen; 0 = from now on */
	uint64_t retry_at; /* 0 = it runs */
	uint64_t lost_at;  /* since when nobody answers; 0 = somebody does */
	bool begun;
};

struct watch {
	struct await *a;
	struct stream *streams;
	size_t n;
	bool dirty;
	int code; /* AWAIT_GO_ON, or what a callback said */
};

static int on_event(void *userdata, const char *kind, const char *id, const char *data)
{
	struct stream *s = userdata;
	struct await *a = s->watch->a;
	unsigned long long number = strtoull(id, NULL, 10);

	if (number > 0)
		s->next = number + 1;
	s->watch->dirty = true;
	if (!a->event || s->watch->code != AWAIT_GO_ON)
		return 0;
	_cleanup_json_ json_t *json = json_loads(data, 0, NULL);
	/* It may come while another call is waited for that is to say nothing. */
	bool quiet = a->reach->quiet;
	a->reach->quiet = false;
	s->watch->code = a->event(a->userdata, s->app, kind, json);
	a->reach->quiet = quiet;
	return 0;
}

static int on_bytes(void *userdata, const char *data, size_t len)
{
	struct stream *s = userdata;

	return sse_feed(&s->sse, data, len);
}

static void begin(struct stream *s)
{
	struct err err;

	if (s->next)
		(void)snprintf(s->path, sizeof s->path, "/v1/events?from=%" PRIu64, s->next);
	else
		(void)snprintf(s->path, sizeof s->path, "/v1/events");
	s->call = (struct http_call){
		.socket = s->app->socket,
		.method = "GET",
		.path = s->path,
		.data = on_bytes,
		.userdata = s,
		.endless = true,
	};
	s->begun = false;
	s->retry_at = 0;
	if (!s->app->socket || http_begin(s->watch->a->reach->http, &s->call, &err) < 0) {
		s->call.done = true;
		s->call.code = -1;
		s->retry_at = UINT64_MAX;
	}
}

/* A stream that has ended is begun anew: hsup was replaced, or it has ended. */
static int ended(struct stream *s, uint64_t now)
{
	struct await *a = s->watch->a;
	struct err err = {0};
	int r = http_result(&s->call, &err);

	http_end(a->reach->http, &s->call);
	sse_done(&s->sse);
	/* Too many followers, or no right to follow: we can still ask. */
	bool answered = r == 0 || s->call.status > 0;
	s->lost_at = answered ? 0 : s->lost_at ? s->lost_at : now;
	s->retry_at = now + (r == 0 || !answered ? RETRY_AFTER : ASK_AGAIN);
	s->watch->dirty = true;
	if (answered || a->patient || now - s->lost_at < LOST_AFTER)
		return AWAIT_GO_ON;
	return ask_error(a->reach, EXIT_REFUSED, "%s%shsup has ended meanwhile: %s",
		s->app->name ? s->app->name : "", s->app->name ? ": " : "", err.text);
}

static int tend(struct watch *w, uint64_t now)
{
	int code = AWAIT_GO_ON;

	for (struct stream *s = w->streams; s < w->streams + w->n && code == AWAIT_GO_ON; s++) {
		if (s->retry_at == UINT64_MAX)
			continue;
		if (s->retry_at && now >= s->retry_at)
			begin(s);
		if (s->retry_at)
			continue;
		if (s->call.done) {
			code = ended(s, now);
		} else if (s->call.begun && !s->begun) {
			/* From here on nothing is missed: what was before is looked at now. */
			s->begun = true;
			s->lost_at = 0;
			w->dirty = true;
		}
	}
	return code;
}

static int turn(struct watch *w, uint64_t *looked, uint64_t end)
{
	struct await *a = w->a;
	uint64_t now = clock_now();
	int code = tend(w, now);

	if (code == AWAIT_GO_ON)
		code = w->code;
	if (code != AWAIT_GO_ON)
		return code;
	uint64_t gap = (uint64_t)a->gap_ms * NSEC_PER_MSEC;
	if ((w->dirty && now >= *looked + gap) || now >= *looked + ASK_AGAIN) {
		w->dirty = false;
		*looked = now;
		code = a->changed(a->userdata);
		if (code != AWAIT_GO_ON)
			return code;
		now = clock_now();
	}
	if (now >= end)
		return AWAIT_LATE;
	uint64_t until = w->dirty ? *looked + gap : *looked + ASK_AGAIN;
	for (struct stream *s = w->streams; s < w->streams + w->n; s++)
		if (s->retry_at && s->retry_at < until)
			until = s->retry_at;
	until = until < end ? until : end;
	int ms = until > now ? (int)((until - now) / NSEC_PER_MSEC) + 1 : 0;
	(void)http_step(a->reach->http, -1, ms);
	return w->code;
}

int await(struct await *a)
{
	struct reach *r = a->reach;
	struct watch w = {.a = a, .dirty = true, .code = AWAIT_GO_ON};
	uint64_t end = a->timeout ? clock_now() + a->timeout * NSEC_PER_SEC : UINT64_MAX;
	uint64_t looked = 0;
	int code = AWAIT_GO_ON;

	w.streams = calloc(r->n_apps + 1, sizeof *w.streams);
	if (!w.streams)
		return ask_error(r, EXIT_REFUSED, "out of memory");
	for_each_app(r, app)
	{
		struct stream *s = &w.streams[w.n++];

		s->watch = &w;
		s->app = app;
		s->next = a->from ? a->from[app - r->apps] : 0;
		s->sse = (struct sse){.event = on_event, .userdata = s};
		begin(s);
	}
	while (code == AWAIT_GO_ON)
		code = turn(&w, &looked, end);
	for (struct stream *s = w.streams; s < w.streams + w.n; s++) {
		if (s->retry_at == 0)
			http_end(r->http, &s->call);
		sse_done(&s->sse);
	}
	free(w.streams);
	return code;
}
