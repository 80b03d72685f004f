/* The tar stream of a feed, into a directory. */
#pragma once

#include "base/err.h"
#include "slug/feed.h"
#include "slug/writer.h"

#include <stdbool.h>

struct unpack_result {
	uint64_t bytes, entries;
	bool in_app; /* the slug is what lies below "app/" */
};

/* Called often; not 0 ends the unpack with that error. */
typedef int (*unpack_tick_fn)(void *userdata, struct err *err);

/* Reads the feed to its verified end. One refused entry fails the whole; what was written until
 * then is the caller's to remove. Errors as in slug/writer.h. */
int unpack(struct feed *feed, int root, const struct writer_limits *limits, unpack_tick_fn tick,
	void *userdata, struct unpack_result *ret_result, struct err *err) HSUP_MUST_CHECK;
