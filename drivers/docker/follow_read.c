#include "drivers/docker/follow_private.h"

#include "base/clock.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

/* A stamp is asked for from a little earlier on: podman leaves out the messages of just that time,
 * and reads the number as a double. What is too old is left out here. */
#define ASKED_EARLIER (UINT64_C(1000000))

static int on_data(void *userdata, const char *data, size_t len)
{
	struct follow *f = userdata;

	f->silent = 0;
	for (unsigned i = 0; i < f->n_pipes; i++)
		if (follow_pipe_waits(&f->pipes[i]) >= FOLLOW_BATCH && !follow_write(f)) {
			f->paused = true;
			return -EAGAIN;
		}
	int r = follow_bytes(f, data, len);
	if (r == 0)
		r = sd_event_source_set_enabled(f->flush, SD_EVENT_ONESHOT);
	return r;
}

/* What waits comes again in the next reading. */
void follow_read_end(struct follow *f)
{
	(void)follow_write(f);
	for (unsigned i = 0; i < f->n_pipes; i++) {
		follow_pipe_drop(&f->pipes[i]);
		(void)sd_event_source_set_enabled(f->pipes[i].writable, SD_EVENT_OFF);
	}
	(void)sd_event_source_set_enabled(f->flush, SD_EVENT_OFF);
	engine_cancel(TAKE_PTR(f->call));
	f->reading = f->paused = false;
}

static void on_done(void *userdata, int r, HSUP_UNUSED unsigned status, const struct err *err)
{
	struct follow *f = userdata;
	struct err why = {0};

	f->call = NULL;
	f->paused = false;
	if (f->err.code < 0) {
		why = f->err;
		r = why.code;
	} else if (r < 0 && err) {
		why = *err;
	} else if (r == 0 && (f->parser.begun || f->parser.n_head > 0)) {
		r = err_set(&why, -ECONNRESET,
			"log of container %s: it ends in the middle of a frame", f->container);
	}
	follow_read_done(f, r, &why);
}

int follow_read(struct follow *f, bool follows, struct err *err)
{
	struct place_stream *s = f->setup.place->streams;
	uint64_t out = place_mark(&s[0]).since, error = place_mark(&s[1]).since,
		 since = out < error ? out : error;
	char path[512], from[64] = "";

	since = since > ASKED_EARLIER ? since - ASKED_EARLIER : 0;
	if (since > 0)
		(void)snprintf(from, sizeof from, "&since=%" PRIu64 ".%09" PRIu64,
			since / NSEC_PER_SEC, since % NSEC_PER_SEC);
	if (snprintf(path, sizeof path,
		    "/containers/%s/logs?follow=%d&stdout=1&stderr=1&timestamps=1%s", f->container,
		    follows, from) >= (int)sizeof path)
		return err_set(err, -ENAMETOOLONG, "log of container %s", f->container);
	follow_rewind(f);
	int r = engine_stream(f->setup.engine,
		&(struct engine_stream){
			.method = "GET", .path = path, .data = on_data, .done = on_done},
		f, &f->call, err);
	f->reading = r >= 0;
	f->silent = 0;
	return r < 0 ? r : 0;
}
