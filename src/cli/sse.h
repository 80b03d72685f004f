/* Server-sent events out of a stream of bytes. */
#pragma once

#include "base/str.h"

#include <stdbool.h>

#define SSE_BYTES ((size_t)64 << 10) /* one event; a longer one is passed over */

struct sse {
	struct strbuf line, data;
	char kind[64], id[32];
	bool skip;
	/* kind "message" when the stream does not say. Other than 0 is returned by sse_feed(). */
	int (*event)(void *userdata, const char *kind, const char *id, const char *data);
	void *userdata;
};

int sse_feed(struct sse *s, const char *bytes, size_t len);
void sse_done(struct sse *s);
