/* The slugs of one app: fetched and unpacked by hsup-slug, cached by checksum, shared by dynos and
 * releases.
 *
 * They live in <state dir>/apps/<app key>/slugs/<digest>/. */
#pragma once

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

struct slugs;
struct slug_job;

/* The app's folder is named after app_path (the control directory; NULL: "run") and a hash of where
 * it lies. As root the folder of the slugs belongs to user "hsup-slug", or to 65534 when there is
 * none: whom the helper becomes; shared: not as root, but for dynos of other users. Several
 * supervisors may share a folder (`start` and `run`): what an earlier life left is removed, and
 * slugs_keep() removes, only while nobody else is there. progress_bar: the helper draws a bar on
 * standard error when that is a terminal. */
struct slugs *slugs_open(sd_event *loop, const char *state_dir, const char *app_path,
	const char *helper, bool shared, bool progress_bar, struct err *err);
struct slugs *slugs_close(struct slugs *s); /* cancels what is being prepared */

/* ns: how long a helper may say nothing; how long one slug may take in all, from when its turn
 * came; the pause before the second attempt, twice that before the next. For tests: the defaults
 * are fit for everybody else. */
struct slug_patience {
	uint64_t silence, total, pause;
};
void slugs_set_patience(struct slugs *s, const struct slug_patience *patience);

struct slug_result {
	int error;	    /* 0, or negative errno as in wire/job.h */
	const char *text;   /* of the error: one line */
	const char *digest; /* hex */
	const char *path;   /* absolute, unpacked */
	bool cached;
	uint64_t packed, unpacked, entries, took_ns;
};

typedef void slug_done_fn(void *userdata, const struct slug_result *result);

/* Makes a slug ready. base: what a relative path is relative to (NULL: the working directory).
 * A local slug that does not exist is the error -ENOENT. expected_digest: as known from an
 * earlier life (may be NULL): when that is unpacked already nothing is fetched. The answer comes
 * from the loop, and with it *ret_job is gone. LIMIT_HELPERS at once, further ones wait in their
 * order; -EBUSY when LIMIT_JOBS wait. */
int slugs_prepare(struct slugs *s, const char *source, const char *base, const char *checksum,
	const char *expected_digest, slug_done_fn *done, void *userdata, struct slug_job **ret_job,
	struct err *err) HSUP_MUST_CHECK;

/* Notes of which slug the release in force is made, so that a later life needs not fetch it again
 * (its URL may have expired, the network may be away). source, checksum as given to
 * slugs_prepare(). */
void slugs_remember(struct slugs *s, const char *source, const char *checksum, const char *digest);
/* Of the last (which = 0) or the one before it (1). False when that was not noted, or was of
 * another source. */
bool slugs_recall(const struct slugs *s, unsigned which, const char *source, const char *checksum,
	char ret_digest[65]);

/* No answer follows; what was begun is removed, soon. NULL allowed; returns NULL. */
struct slug_job *slugs_cancel(struct slugs *s, struct slug_job *j);

/* Removes every slug but these (digests, NULL allowed): in the background of a calm moment, by
 * rename to a trash name first. */
void slugs_keep(struct slugs *s, const char *current, const char *previous);
