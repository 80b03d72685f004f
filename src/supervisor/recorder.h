/* What the supervisor lately saw and decided: a ring of a fixed size, in memory.
 *
 * It serves two readers: whoever follows the events of the control API (those kinds that are
 * public), and whoever wants to know what led here: USR1, `hsup diag`, a crash. Ids count up and
 * are unique in time, over restarts of the supervisor too; what was before a restart is gone. */
#pragma once

#include "base/limits.h"
#include "model/exit.h"

#include <stdbool.h>
#include <stdint.h>

/* X(NAME, "name", public) */
#define RECORD_KINDS(X)                                                                            \
	X(STATE, "dyno.state", true)		/* .name .from .to .cause .exit .text: why */      \
	X(EXIT, "dyno.exit", true)		/* .name .exit .text */                            \
	X(ERROR, "dyno.error", true)		/* .name .text: "Error R12 (Exit timeout)" ... */  \
	X(HEALTH, "dyno.health", true)		/* .name .to: enum health, .text */                \
	X(SUBMITTED, "release.submitted", true) /* .release */                                     \
	X(REFUSED, "release.refused", true)	/* .release (0 = none) .text */                    \
	X(COMMITTED, "release.committed", true) /* .release: in force, about to be rolled out */   \
	X(SETTLED, "release.settled", true)	/* .release: all of it runs as wanted */           \
	X(ROLLED_BACK, "release.rolled-back", true) /* .release: that failed; .text: why */        \
	X(SCALED, "formation.scaled", true)	    /* .name: the type, .text: "1 -> 3" */         \
	X(OPERATOR, "operator", true)		    /* .name: of what, .text: who did what */      \
	X(SUPERVISOR, "supervisor", true)	    /* .text: started, stopping ... */             \
	X(SIGNALLED, "dyno.signal", false) /* .name .text: which signal it was sent, or why not */ \
	X(LAUNCHER, "launcher", false)	   /* .text: what it said */

enum record_kind {
#define X(name, text, is_public) RECORD_##name,
	RECORD_KINDS(X)
#undef X
		RECORD_KIND_MAX,
};

struct record {
	uint64_t id; /* from 1; 0 = an empty place */
	uint64_t wall_ns;
	int64_t release; /* version; 0 = of none */
	struct dyno_exit exit;
	uint32_t generation;
	unsigned char kind, from, to, cause; /* enum dyno_state, enum dyno_event */
	char name[LIMIT_NAME + 1];
	char text[127]; /* both end at their first NUL */
};

struct recorder;

/* first_id: of the first record, above all that an earlier supervisor gave. NULL = out of memory.
 */
struct recorder *recorder_new(uint64_t first_id);
struct recorder *recorder_free(struct recorder *r);

/* Adds a copy: id and wall_ns are set here. Then tells the followers. */
void recorder_add(struct recorder *r, const struct record *record);

/* The oldest record with an id of at least `from`; NULL = there is none yet. Valid until the next
 * call. */
const struct record *recorder_from(struct recorder *r, uint64_t from);
uint64_t recorder_first(const struct recorder *r); /* id of the oldest; that of the next if none */
uint64_t recorder_next(const struct recorder *r);  /* the id that the next will have */

bool record_public(const struct record *record);
const char *record_kind_text(enum record_kind kind);

/* Called after each record that is added; one at most. It must not add any. */
void recorder_listen(struct recorder *r, void (*added)(void *userdata), void *userdata);

/* All of it, oldest first, a line each, to a descriptor: calls write(2) only, for a program that
 * is dying. */
void recorder_dump(const struct recorder *r, int fd);
