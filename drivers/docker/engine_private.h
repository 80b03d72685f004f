/* Shared by the files of the engine's client; nobody else includes it. */
#pragma once

#include "drivers/docker/engine.h"

#include <errno.h>
#include <sys/queue.h>

#define ENGINE_USUAL (UINT64_C(30) * 1000000000) /* ns that an answer may take */

enum engine_state {
	ENGINE_ASKED, /* for its version; calls wait */
	ENGINE_UP,
	ENGINE_GONE, /* why: in `why`; calls fail */
};

TAILQ_HEAD(engine_calls, engine_call);

struct engine {
	sd_event *loop;
	struct web *web; /* NULL = closed by a callback */
	void (*changed)(void *userdata, bool up, const struct err *why);
	void *userdata;
	char host[320]; /* as it was given */
	char name[360];
	bool podman, local;

	enum engine_state state;
	unsigned api;
	struct err why;
	bool untold; /* the user has not heard of `state` */

	struct web_call *ping;
	unsigned ping_api;
	bool ping_podman;
	struct strbuf ping_body;
	sd_event_source *again;
	uint64_t pause; /* ns, before the next ping of one that is gone */

	sd_event_source *work;
	struct engine_calls sent, waiting;
	unsigned round; /* of the work on those that wait */
	unsigned busy;	/* a callback is under way: destroyed at its end */
};

void engine_enter(struct engine *e);
void engine_leave(struct engine *e); /* e may be gone */

static inline bool engine_is_closed(const struct engine *e)
{
	return !e->web;
}

/* What is due is done from the loop: `changed`, then the calls that wait. */
void engine_work(struct engine *e);
void engine_state_set(struct engine *e, enum engine_state state);

/* Asks for the version; tells engine_state_set(). */
int engine_ping(struct engine *e, struct err *err) HSUP_MUST_CHECK;
/* Found gone, by a call: text as in web_result. It will be asked again. */
void engine_gone(struct engine *e, int error, const char *text);

/* An error of io/web as one of ours: "no such socket" must not be taken for a 404. */
static inline int engine_code(int error)
{
	return error == -ENOENT ? -ECONNREFUSED : error;
}

/* The state is known: sends it, or answers it with `why`. */
void engine_call_go(struct engine_call *c);
/* Of all calls of the engine, silently. */
void engine_calls_drop(struct engine *e);
unsigned engine_call_round(const struct engine_call *c);

/* ---- pure ---- */

struct engine_host {
	char base[300];	  /* as web_setup */
	char socket[108]; /* "" = none */
	bool tls;
};

/* host: NULL or "" = the usual socket. -EINVAL and err. */
int engine_host_parse(
	const char *host, bool tls, struct engine_host *ret_host, struct err *err) HSUP_MUST_CHECK;

/* "1.41" -> 141; 0 = that is none. */
unsigned engine_api_parse(const char *text);

/* r of a status that is no success, and err with the engine's own word, taken from the body. */
int engine_refused(const struct engine *e, unsigned status, const char *body, size_t len,
	struct err *err) HSUP_MUST_CHECK;
