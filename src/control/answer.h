/* What a request is answered with: made by a route, sent by the server. */
#pragma once

#include "base/str.h"
#include "control/request.h"

#include <sys/types.h>

/* A body that many answers may share. Owned by count. */
struct page {
	unsigned refs;
	struct strbuf body;
};

struct page *page_new(size_t limit); /* NULL = out of memory */
struct page *page_ref(struct page *p);
struct page *page_unref(struct page *p); /* NULL allowed; returns NULL */

/* A body that comes bit by bit, as long as the client stays. */
struct stream;
struct stream_ops {
	/* Bytes written, at most max; 0 = nothing now: server_wake() when there is; -1 = the end.
	 */
	ssize_t (*read)(struct stream *s, char *buf, size_t max);
	/* Every LIMIT_CONTROL_BEAT seconds: a sign of life is due. NULL = none is sent. */
	void (*beat)(struct stream *s);
	void (*free)(struct stream *s);
};

struct stream {
	const struct stream_ops *ops;
	bool follows; /* it goes on when all there is was read */

	/* The server's. */
	struct client *client;
	void *connection;
	bool suspended, closing;
	struct stream *next;
	struct stream **here;
};

enum answer_type {
	ANSWER_JSON,
	ANSWER_TEXT,
	ANSWER_NDJSON,
	ANSWER_EVENTS,
	ANSWER_METRICS,
};

struct answer {
	unsigned status;
	enum answer_type type;
	struct page *page;     /* owned; or else: */
	struct stream *stream; /* owned */
	const char *allow;     /* of 405 */
	bool retry;	       /* Retry-After: 1 */
};

/* Frees what is still in it. */
void answer_done(struct answer *a);

/* An empty body to be written to: NULL = out of memory, and the answer says so. */
struct strbuf *answer_body(struct answer *a, unsigned status, enum answer_type type);

/* {"id", "message"}. */
void answer_error(struct answer *a, unsigned status, const char *fmt, ...) HSUP_PRINTF(3, 4);
/* Of a function of supervisor/operate.h, by its code. */
void answer_failed(struct answer *a, int code, const struct err *err);
/* The dynos, or apps, that there are may not all be listed yet: an answer would deny the others. */
void answer_not_known_yet(struct answer *a);
/* The id that goes with a status: "not_found". */
const char *answer_id(unsigned status);
