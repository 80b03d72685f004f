/* Where the dynos' output goes through: FIFOs in a directory of this launcher's own below the
 * runtime directory, which several launchers may share. The read ends are the children's
 * (children.h); this is the names. */
#pragma once

#include "base/err.h"
#include "wire/proto.h"

/* One pair of FIFOs, for a child's standard output and error (0600), "<number>.out" and
 * "<number>.err". All ends are close-on-exec.
 *
 * Every end is open for reading and writing. The child's, so that it never gets SIGPIPE; ours, so
 * that nobody ever sees a hang-up: the supervisor would be woken by each dyno that ends, twice,
 * just before the launcher tells it the same. */
struct fifos {
	uint64_t number; /* from 1 on, never used twice */
	int ends[2];	 /* to read from, non-blocking */
	int own[2];	 /* for the child's 1 and 2 */
};

#define STORE_SPARES 4

struct store {
	int runtime;			   /* the shared directory */
	int own;			   /* this launcher's, locked for life */
	char name[40];			   /* of the latter, below the former */
	uint64_t last;			   /* number given */
	struct fifos spares[STORE_SPARES]; /* that belong to no child yet */
	unsigned n_spares;
};

/* Makes both, and removes what dead launchers have left behind. The runtime directory must be ours
 * and not writable by everyone. */
int store_open(struct store *ret_store, const char *runtime_dir, struct err *err) HSUP_MUST_CHECK;
void store_close(struct store *s); /* removes our own directory with all that is in it */

/* A pair, the caller's: a spare when there is one. 0 or negative errno; nothing is left behind on
 * failure. */
int store_make(struct store *s, struct fifos *ret_pair) HSUP_MUST_CHECK;
void store_remove(const struct store *s, uint64_t number); /* the names; 0 = none */

/* Makes the spares that are missing. Not on the way from a dyno's death to its replacement: there
 * the FIFOs are a tenth of the launcher's time. */
void store_refill(struct store *s);
void store_drop_spares(struct store *s); /* there will be no more starts */
