/* Is the engine there, and which version do both speak? */
#include "drivers/docker/engine_private.h"

#include "base/clock.h"

#include <errno.h>
#include <stdio.h>

#define PING_TIME   (10 * NSEC_PER_SEC) /* it accepts long before it answers: 8 s were seen */
#define PAUSE_FIRST (100 * NSEC_PER_MSEC)
#define PAUSE_LAST  (5 * NSEC_PER_SEC)
#define SLACK	    10000 /* us */

static int on_again(sd_event_source *source, uint64_t usec, void *userdata);

static int arm(struct engine *e)
{
	if (!e->again)
		return sd_event_add_time_relative(e->loop, &e->again, CLOCK_MONOTONIC,
			e->pause / NSEC_PER_USEC, SLACK, on_again, e);
	int r = sd_event_source_set_time_relative(e->again, e->pause / NSEC_PER_USEC);
	return r < 0 ? r : sd_event_source_set_enabled(e->again, SD_EVENT_ONESHOT);
}

static void find_gone(struct engine *e, int error, const char *text)
{
	(void)err_set(&e->why, engine_code(error), "%s: %s", e->name, text);
	(void)arm(e);
	if (e->state != ENGINE_GONE)
		engine_state_set(e, ENGINE_GONE);
}

static void no_answer(struct engine *e, int error, const char *text)
{
	e->pause = e->pause ? e->pause * 2 : PAUSE_FIRST;
	if (e->pause > PAUSE_LAST)
		e->pause = PAUSE_LAST;
	find_gone(e, error, text);
}

void engine_gone(struct engine *e, int error, const char *text)
{
	/* Of many calls that break together the first has said it. */
	if (e->state != ENGINE_UP)
		return;
	e->pause = PAUSE_FIRST;
	find_gone(e, error, text);
}

static void up(struct engine *e, unsigned api)
{
	e->api = api;
	e->podman = e->ping_podman;
	(void)snprintf(
		e->name, sizeof e->name, "%s at %s", e->podman ? "podman" : "docker", e->host);
	e->why = (struct err){0};
	e->pause = 0;
	engine_state_set(e, ENGINE_UP);
}

static void failed(struct engine *e, const struct web_result *result)
{
	char text[400];
	struct err err;

	if (result->error) {
		no_answer(e, result->error, result->text);
		return;
	}
	int r = engine_refused(e, result->status, e->ping_body.data, e->ping_body.len, &err);
	(void)snprintf(text, sizeof text, "is not well: %.380s", err.text);
	no_answer(e, r, text);
}

static int on_data(void *userdata, const char *data, size_t len)
{
	struct engine *e = userdata;

	return strbuf_add(&e->ping_body, data, len);
}

/* ---- the oldest it takes: only its /version says it ---- */

static void on_version(void *userdata, const struct web_result *result)
{
	struct engine *e = userdata;

	e->ping = NULL;
	if (result->error || result->status != 200) {
		failed(e, result);
		return;
	}
	json_t *o =
		json_loadb(e->ping_body.data ? e->ping_body.data : "", e->ping_body.len, 0, NULL);
	unsigned oldest = engine_api_parse(json_text_of(o, "MinAPIVersion"));
	json_decref(o);
	up(e, oldest > ENGINE_API_NEWEST ? oldest : ENGINE_API_NEWEST);
}

static const struct web_events version_events = {
	.data = on_data,
	.done = on_version,
};

static int ask(struct engine *e, const char *path, const struct web_events *events, struct err *err)
{
	struct web_order order = {
		.method = "GET",
		.path = path,
		.timeout = PING_TIME,
		.events = events,
		.userdata = e,
	};

	strbuf_reset(&e->ping_body);
	return web_send(e->web, &order, &e->ping, err);
}

/* ---- /_ping ---- */

static void on_head(void *userdata, unsigned status)
{
	struct engine *e = userdata;

	(void)status;
	e->ping_api = engine_api_parse(web_header(e->ping, "Api-Version"));
	e->ping_podman = *web_header(e->ping, "Libpod-Api-Version");
}

static void on_ping(void *userdata, const struct web_result *result)
{
	struct engine *e = userdata;
	char text[200];
	struct err err;

	e->ping = NULL;
	if (result->error || result->status != 200) {
		failed(e, result);
	} else if (e->ping_api == 0) {
		no_answer(e, -EPROTO, "what answers there is no container engine");
	} else if (e->ping_api < ENGINE_API_OLDEST) {
		(void)snprintf(text, sizeof text, "speaks API %u.%u; hsup needs %u.%u or later",
			e->ping_api / 100, e->ping_api % 100, ENGINE_API_OLDEST / 100,
			ENGINE_API_OLDEST % 100);
		no_answer(e, -EPROTONOSUPPORT, text);
	} else if (e->ping_api <= ENGINE_API_NEWEST) {
		up(e, e->ping_api);
	} else {
		int r = ask(e, "/version", &version_events, &err);
		if (r < 0)
			no_answer(e, r, err.text);
	}
}

static const struct web_events ping_events = {
	.head = on_head,
	.data = on_data,
	.done = on_ping,
};

int engine_ping(struct engine *e, struct err *err)
{
	e->ping_api = 0;
	e->ping_podman = false;
	return ask(e, "/_ping", &ping_events, err);
}

static int on_again(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct engine *e = userdata;
	struct err err;

	(void)source;
	(void)usec;
	int r = engine_ping(e, &err);
	if (r < 0)
		no_answer(e, r, err.text);
	return 0;
}
