/* One request, as pure data: what is asked, by whom. Made from the raw target of the request line,
 * so that what is taken of it does not depend on the library. */
#pragma once

#include "base/err.h"
#include "base/limits.h"
#include "supervisor/operate.h"

#include <stdbool.h>

enum role {
	ROLE_NONE,
	ROLE_WATCH,
	ROLE_OPERATE,
};

struct param {
	const char *name, *value;
};

#define REQUEST_SEGMENTS 8

struct request {
	const char *method;
	/* "/v1/dynos/web.1/stdin": "v1", "dynos", "web.1", "stdin", each decoded by itself. */
	const char *segments[REQUEST_SEGMENTS];
	size_t n_segments;
	struct param params[LIMIT_CONTROL_PARAMS];
	size_t n_params;
	const char *body; /* NULL = none */
	size_t body_len;
	const char *last_event_id; /* the header; NULL = none */
	enum role role;
	struct asker asker;
	char *text; /* owned: what segments and params point into */
	size_t text_size;
};

/* Fills segments, params and text. -EINVAL: it cannot be read; -ENOENT: a path that nothing can be
 * at; -E2BIG: above a limit; -ENOMEM. End it with request_done(), also on failure. */
int request_parse(struct request *r, const char *target, struct err *err) HSUP_MUST_CHECK;
void request_done(struct request *r);
/* Its parameters alone, for what outlives it: end it with request_done(). */
int request_copy(const struct request *r, struct request *ret, struct err *err) HSUP_MUST_CHECK;

/* The value of a parameter that may be given once; NULL = not given. */
const char *request_param(const struct request *r, const char *name);
