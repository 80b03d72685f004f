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

/* What of the archive is to be done. A layer is read twice: what it hides is of the layers below
 * it only, wherever in the archive it says so. */
enum unpack_as {
	UNPACK_ROOT,  /* a root by itself */
	UNPACK_HIDES, /* a layer: what it hides is removed, nothing is written */
	UNPACK_LAYER, /* a layer: all the rest of it */
};

struct unpack_stack {
	struct writer *writer;
	enum unpack_as as;
	uint64_t dropped; /* device nodes, FIFOs, sockets: counted up */
	/* Of UNPACK_ROOT: the first entry whose owner no dyno could have. Of a layer it ends all.
	 */
	struct err owner;
};

/* For a stack. An archive without entries is a layer all the same. */
int unpack_stack(struct feed *feed, struct unpack_stack *stack, unpack_tick_fn tick, void *userdata,
	struct err *err) HSUP_MUST_CHECK;
