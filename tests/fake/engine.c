#include "fake/engine.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

struct engine_call {
	struct engine *engine;
	sd_event_source *source;
	struct engine_stream stream;
	void *userdata;
	bool follows;
	uint64_t since, given;
	size_t next; /* message */
	char *frame;
	size_t len, at, offered; /* offered: what was refused is given again, all of it */
};

static unsigned any(struct engine *e, unsigned below)
{
	e->seed = e->seed * 1103515245U + 12345;
	return (e->seed >> 8) % below;
}

static void end(struct engine_call *c, int r)
{
	struct err err = {0};

	if (r < 0)
		(void)err_errno(&err, r, "fake");
	c->engine->call = NULL;
	(void)sd_event_source_disable_unref(c->source);
	c->stream.done(c->userdata, r, r < 0 ? 0 : 200, &err);
	free(c->frame);
	free(c);
}

static void make_frame(struct engine_call *c, const struct fake_message *m)
{
	char stamp[80];
	time_t seconds = (time_t)(m->stamp / 1000000000);
	struct tm tm;
	size_t n = strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", gmtime_r(&seconds, &tm));

	n += (size_t)snprintf(
		stamp + n, sizeof stamp - n, ".%09" PRIu64 "Z ", m->stamp % 1000000000);
	uint32_t len = (uint32_t)(n + m->len);
	c->frame = realloc(c->frame, 8 + len);
	memcpy(c->frame,
		(unsigned char[]){(unsigned char)m->which, 0, 0, 0, (unsigned char)(len >> 24),
			(unsigned char)(len >> 16), (unsigned char)(len >> 8), (unsigned char)len},
		8);
	memcpy(c->frame + 8, stamp, n);
	memcpy(c->frame + 8 + n, m->text, m->len);
	c->len = 8 + len;
	c->at = 0;
}

static bool next_frame(struct engine_call *c)
{
	struct engine *e = c->engine;

	if (e->raw) {
		if (c->next++ > 0)
			return false;
		c->frame = realloc(c->frame, e->raw_len);
		memcpy(c->frame, e->raw, e->raw_len);
		c->len = e->raw_len;
		c->at = 0;
		return true;
	}
	size_t n = c->follows && e->ended ? e->n_messages - e->drops_tail : e->n_messages;
	while (c->next < n && e->messages[c->next].stamp < c->since)
		c->next++;
	if (c->next >= n)
		return false;
	make_frame(c, &e->messages[c->next++]);
	return true;
}

/* Returns false when the call is over, or waits. */
static bool give(struct engine_call *c)
{
	struct engine *e = c->engine;
	uint64_t most = e->breaks > 0 ? e->breaks - c->given : UINT64_MAX;

	if (c->at == c->len && !next_frame(c)) {
		if (!c->follows || e->ended || e->raw)
			end(c, 0);
		else
			(void)sd_event_source_set_enabled(c->source, SD_EVENT_OFF);
		return false;
	}
	size_t n = c->offered > 0 ? c->offered : 1 + any(e, e->piece > 0 ? e->piece : 1U << 20);
	n = n < c->len - c->at ? n : c->len - c->at;
	n = n < most ? n : (size_t)most;
	if (n == 0) {
		end(c, -ECONNRESET);
		return false;
	}
	/* In memory of exactly its size, so that a sanitizer sees every byte read behind it. */
	char *copy = malloc(n);
	memcpy(copy, c->frame + c->at, n);
	int r = c->stream.data(c->userdata, copy, n);
	free(copy);
	if (r == -EAGAIN) {
		e->pauses++;
		c->offered = n;
		(void)sd_event_source_set_enabled(c->source, SD_EVENT_OFF);
		return false;
	}
	if (r < 0) {
		end(c, -ECANCELED);
		return false;
	}
	c->offered = 0;
	c->at += n;
	c->given += n;
	e->given += n;
	return true;
}

static int on_turn(sd_event_source *source, void *userdata)
{
	struct engine_call *c = userdata;

	if (c->engine->hangs)
		return sd_event_source_set_enabled(source, SD_EVENT_OFF);
	if (c->engine->refuses < 0) {
		end(c, c->engine->refuses);
		return 0;
	}
	for (unsigned i = 0; i < 8; i++)
		if (!give(c))
			return 0;
	/* Behind the others: one that stays ready is always the first. */
	return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

int engine_stream(struct engine *e, const struct engine_stream *stream, void *userdata,
	struct engine_call **ret_call, struct err *err)
{
	struct engine_call *c = calloc(1, sizeof *c);
	const char *since = strstr(stream->path, "&since=");
	uint64_t seconds = 0, ns = 0;

	e->calls++;
	if (e->down || e->call) {
		free(c);
		return err_errno(err, e->down ? -ECONNREFUSED : -EBUSY, "fake");
	}
	if (since && sscanf(since, "&since=%" SCNu64 ".%09" SCNu64, &seconds, &ns) != 2)
		abort();
	c->engine = e;
	c->stream = *stream;
	c->userdata = userdata;
	c->follows = e->follows = strstr(stream->path, "?follow=1") != NULL;
	c->since = e->since = seconds * 1000000000 + ns;
	int r = sd_event_add_defer(e->loop, &c->source, on_turn, c);
	if (r < 0)
		abort();
	(void)sd_event_source_set_enabled(c->source, SD_EVENT_ONESHOT);
	*ret_call = e->call = c;
	return 0;
}

void engine_resume(struct engine_call *c)
{
	(void)sd_event_source_set_enabled(c->source, SD_EVENT_ONESHOT);
}

void engine_cancel(struct engine_call *c)
{
	if (!c)
		return;
	c->engine->cancelled++;
	c->engine->call = NULL;
	(void)sd_event_source_disable_unref(c->source);
	free(c->frame);
	free(c);
}

bool engine_is_up(const struct engine *e)
{
	return !e->down;
}

void fake_engine_wake(struct engine *e)
{
	if (e->call)
		(void)sd_event_source_set_enabled(e->call->source, SD_EVENT_ONESHOT);
}
