/* What the files of this room share. */
#pragma once

#include "base/clock.h"
#include "control/answer.h"
#include "control/view.h"
#include "supervisor/supervisor.h"

struct control {
	struct supervisor *s;
	const struct options *options;
	const char *socket;	  /* where it listens, for who asks; NULL = it does not */
	uint64_t wall_minus_mono; /* ns: control_wall() */

	/* The body of GET /v1/dynos, as long as it is true. */
	struct page *dynos;
	uint64_t dynos_id;    /* recorder_next() it was made at */
	uint64_t dynos_until; /* CLOCK_MONOTONIC ns: ages and use of memory go on */

	struct stream *streams; /* all that are being sent */
	size_t n_streams;
	struct server *server;
};

/* When something happened that has a CLOCK_MONOTONIC time; 0 for 0. The same for the same, unless
 * the clock was set. */
uint64_t control_wall(struct control *c, uint64_t mono);

/* ---- routes.c ---- */

enum body_kind {
	BODY_NONE,  /* what comes is read and forgotten */
	BODY_WORDS, /* LIMIT_CONTROL_WORDS */
	BODY_WHOLE, /* LIMIT_CONTROL_BODY */
};

typedef void (*route_fn)(struct control *c, const struct request *r, struct answer *a);

struct route {
	const char *method;
	const char *path;   /* "/v1/releases/{version}"; "*" as method: any */
	enum role role;	    /* at least */
	const char *params; /* of its query, by blanks; "" = none */
	enum body_kind body;
	route_fn answer;
};

const struct route *route_at(size_t index); /* NULL behind the last */

/* The route of a request: NULL = none, and then the answer says why. */
const struct route *route_find(const struct request *r, struct answer *a);
/* The bytes of a body that it takes. */
size_t route_body_limit(const struct route *route);
/* Answers a request whose path and query were parsed, and whose role is known. */
void route_answer(struct control *c, const struct request *r, struct answer *a);

/* ---- streams: of the routes, sent by the server ---- */

/* Counts it; false: there are too many, and the answer says so. */
bool stream_admit(struct control *c, struct answer *a);
void stream_wake(struct control *c, struct stream *s);

/* ---- the routes: dynos.c, app.c, ... ---- */

void get_health(struct control *c, const struct request *r, struct answer *a);
void get_status(struct control *c, const struct request *r, struct answer *a);
void post_control_stop(struct control *c, const struct request *r, struct answer *a);
void get_app(struct control *c, const struct request *r, struct answer *a);
void get_apps(struct control *c, const struct request *r, struct answer *a);
void get_dynos(struct control *c, const struct request *r, struct answer *a);
void post_start(struct control *c, const struct request *r, struct answer *a);
void post_stop(struct control *c, const struct request *r, struct answer *a);
void post_restart(struct control *c, const struct request *r, struct answer *a);
void post_roll(struct control *c, const struct request *r, struct answer *a);
void post_signal(struct control *c, const struct request *r, struct answer *a);
void post_stdin(struct control *c, const struct request *r, struct answer *a);
void post_scale(struct control *c, const struct request *r, struct answer *a);
void get_releases(struct control *c, const struct request *r, struct answer *a);
void get_release(struct control *c, const struct request *r, struct answer *a);
void post_release(struct control *c, const struct request *r, struct answer *a);
void post_rollback(struct control *c, const struct request *r, struct answer *a);
void post_abort(struct control *c, const struct request *r, struct answer *a);
void post_reopen(struct control *c, const struct request *r, struct answer *a);
void get_config(struct control *c, const struct request *r, struct answer *a);
void get_logs(struct control *c, const struct request *r, struct answer *a);
void get_events(struct control *c, const struct request *r, struct answer *a);
void post_shutdown(struct control *c, const struct request *r, struct answer *a);
void post_reopen(struct control *c, const struct request *r, struct answer *a);
void get_diag(struct control *c, const struct request *r, struct answer *a);
void get_metrics(struct control *c, const struct request *r, struct answer *a);

/* ---- events.c: tells the streams of what is recorded ---- */
void events_open(struct control *c);
void events_close(struct control *c);

/* ---- dynos.c, for the others ---- */
void view_dyno(struct control *c, struct strbuf *b, const struct dyno_view *v, uint64_t now);
const char *health_text(enum health h);
/* Whether each pattern means anything; else the answer says which does not. */
bool check_names(struct control *c, char *const *names, size_t n, struct answer *a);
bool fits_one_of(const struct dyno *d, char *const *names, size_t n); /* of none: yes */
/* The parameters `name`; how many. */
size_t request_names(const struct request *r, char *ret_names[LIMIT_CONTROL_PARAMS]);
