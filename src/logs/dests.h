/* Where lines go beside the main sink. */
#pragma once

#include "logs/file.h"
#include "logs/file_keeper.h"
#include "logs/lines.h"
#include "logs/ring.h"

struct router;
struct tap;

#define ROUTER_EXTRAS 4

/* A sink that makes nobody wait: what it cannot take is dropped, counted, and told there. */
struct extra {
	struct router *owner;
	struct sink *sink;
	bool stalled;
	uint64_t dropped, since; /* since it went well; wall clock */
	uint64_t dropped_all;
};

void dests_init(struct router *r);
void dests_done(struct router *r);

/* A tap that has come, or goes. */
void dests_tap(struct tap *t);
void dests_untap(struct router *r, struct tap *t);

/* How many of the lines have room (t NULL = of no dyno); 0 = not before dests_flush(). */
size_t dests_fit(struct router *r, const struct tap *t, const struct log_lines *lines);
void dests_put(struct router *r, struct tap *t, const struct log_lines *lines);
void dests_flush(struct router *r);

/* "Error L10 (output buffer overflow): N messages dropped since ...", in text. */
#define L10_BYTES 160
struct log_line dests_l10(uint64_t n, uint64_t since, char text[L10_BYTES]);

/* As struct sink's `lines`, for any sink. */
size_t sink_lines(struct sink *s, const struct log_lines *lines);
