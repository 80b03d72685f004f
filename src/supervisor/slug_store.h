/* The folder of one app's slugs, and what is thrown away from it.
 *
 * Whoever uses the folder holds a shared lock on it. Several may (`start` and `run`); only who
 * holds it alone may take something away. */
#pragma once

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#define SLUG_DIGEST_SIZE 65 /* hex, terminated */

struct slug_store {
	sd_event *loop;
	char *helper;	   /* path of hsup-slug */
	char *path;	   /* of the folder, absolute */
	int dir;	   /* the same, open; holds the lock */
	uint32_t uid, gid; /* whom it belongs to; UINT32_MAX = us */
	bool busy;	   /* the owner's: a job runs, nothing is to be removed beside it */
	struct worker *remover;
	sd_event_source *calm;
};

/* As slugs_open(). s is zeroed; on failure it is as after slug_store_close(). Throws away what an
 * earlier life left. */
int slug_store_open(struct slug_store *s, sd_event *loop, const char *state_dir,
	const char *app_path, const char *helper, bool shared, struct err *err) HSUP_MUST_CHECK;
void slug_store_close(struct slug_store *s);

bool slug_store_is_digest(const char *name);
bool slug_store_has(const struct slug_store *s, const char *digest);

/* Both rename at once and remove later, and do nothing when somebody else uses the folder. */
void slug_store_drop_leftovers(struct slug_store *s);
void slug_store_keep(struct slug_store *s, const char *current, const char *previous);

/* A file beside the folder, which the slugs' user cannot write: which digests the last two keys
 * (any numbers) stand for, the last one first (which = 0). Best effort: what is not noted is
 * fetched again. */
void slug_store_note(const struct slug_store *s, uint64_t key, const char *digest);
bool slug_store_noted(const struct slug_store *s, unsigned which, uint64_t key,
	char ret_digest[SLUG_DIGEST_SIZE]);
