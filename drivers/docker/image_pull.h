/* What an engine says while it pulls an image: a JSON object per line. */
#pragma once

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

#define PULL_LAYERS 128 /* counted; an image has 127 at most */
#define PULL_LINE   ((size_t)64 << 10)

struct pull_layer {
	uint64_t key; /* of its id */
	uint64_t done, total;
};

struct pull {
	struct strbuf line; /* begun; its limit is PULL_LINE */
	bool skip;	    /* to the end of the line: it is too long */
	struct pull_layer layers[PULL_LAYERS];
	unsigned n_layers;
	struct err failed; /* code 0 = nothing of the kind was said */
};

void pull_init(struct pull *p);
void pull_done(struct pull *p);
/* What came; lines that are no JSON or say nothing are passed over. */
void pull_add(struct pull *p, const char *data, size_t len);
/* What was there without a newline at its end. */
void pull_end(struct pull *p);
/* Of the layers whose size is known; -1 = none is. */
int pull_percent(const struct pull *p);
