/* Where a slug comes from, as the operator wrote it. */
#pragma once

#include "base/err.h"

#include <stdbool.h>

struct source {
	bool is_url;	 /* http or https; else a path */
	char *where;	 /* the path (decoded when it was file://) or the URL; ours */
	char shown[200]; /* for messages: printable, without user, password and query */
};

/* -EINVAL with a text for another scheme, a file:// with a host, a damaged %-escape. */
int source_parse(const char *text, struct source *ret_source, struct err *err) HSUP_MUST_CHECK;
void source_done(struct source *s);

#define _cleanup_source_ HSUP_CLEANUP(source_done)
