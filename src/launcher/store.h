/* The pipes that the dynos' output goes through. The read ends are the children's (children.h).
 *
 * Pipes, not FIFOs by name: a name is made and removed for every dyno, which was a fifth of what
 * the launcher does at a stop, and is kept on whatever file system /run happens to be. What a name
 * is for, a pipe has too: /proc/PID/fd/1 opens it again, for the dyno itself (it belongs to the
 * dyno's user, 0600) and for who finds the dyno after us. */
#pragma once

#include "base/err.h"

#include <stdint.h>

/* One pair, for a child's standard output and error. All ends are close-on-exec.
 *
 * Every end is open for reading and writing. The child's, so that it never gets SIGPIPE; ours, so
 * that nobody ever sees a hang-up: the supervisor would be woken by each dyno that ends, twice,
 * just before the launcher tells it the same. */
struct pipes {
	int ends[2];	 /* to read from, non-blocking */
	int own[2];	 /* for the child's 1 and 2 */
	uint64_t ino[2]; /* by which the pipes are known again */
};

#define STORE_SPARES 4

struct store {
	int own;			   /* /proc/self/fd */
	struct pipes spares[STORE_SPARES]; /* that belong to no child yet */
	unsigned n_spares;
};

/* Fails when /proc is not mounted. For this process: after a fork it still opens the parent's. */
int store_open(struct store *ret_store, struct err *err) HSUP_MUST_CHECK;
void store_close(struct store *s);

/* A pair, the caller's: a spare when there is one. 0 or negative errno. */
int store_make(struct store *s, struct pipes *ret_pair) HSUP_MUST_CHECK;

/* Makes the spares that are missing. Not on the way from a dyno's death to its replacement: there
 * the pipes are a tenth of the launcher's time. */
void store_refill(struct store *s);
void store_drop_spares(struct store *s); /* there will be no more starts */
