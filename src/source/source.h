/* A source: where releases come from. The supervisor sees only this.
 *
 * A source hands over submissions (checked documents) and is told what became of each. It is a
 * const struct of functions; control_dir is one, the Heroku API another. Callbacks come from the
 * loop. A source does not log: what should be said comes through `notice`. */
#pragma once

#include "base/err.h"
#include "model/release.h"

#include <systemd/sd-event.h>

struct submission; /* the source's own record of one document, until commit or reject */

enum notice_level {
	NOTICE_INFO,
	NOTICE_WARNING,
	NOTICE_ERROR,
	NOTICE_REFUSED, /* an error too: a submission was not valid, and is no more */
};

struct source_events {
	/* A valid release arrived. The callback owns both: it takes a reference of the release
	 * over, and ends the submission with exactly one of commit(), reject() or drop(), also from
	 * inside the callback. One that is still open at close() is kept by the source and comes
	 * again at the next start. A release without a version has got one from the source: its
	 * number in the history once it is committed. */
	void (*submitted)(void *userdata, struct submission *s, struct release *release);
	/* A line for the operator: what was rejected and why, what was set aside. */
	void (*notice)(void *userdata, enum notice_level level, const char *text);
};

/* One release of the history. */
struct source_version {
	int64_t version;
	uint64_t wall_ns; /* when it was committed */
	bool in_force;
	bool failed;	/* did not come up, and was rolled back: note says why */
	char note[100]; /* as submit() was given it; "" = none */
};

struct source_ops {
	const char *name;

	/* The release in force, read once before start(): 1 and a release (the caller's), 0 = there
	 * is none (a corrupt one was set aside, and noticed), or negative errno. *ret_settled: the
	 * last one that settled, when that is another: what to come back to; else NULL. */
	int (*restore)(void *state, struct release **ret_release, struct release **ret_settled,
		struct err *err);

	/* Begins to deliver submissions; one that already waits is delivered from the loop. */
	int (*start)(void *state, sd_event *loop, const struct source_events *events,
		void *userdata, struct err *err);

	/* Makes it the release in force, durably. On failure the old one still is, and the
	 * submission was rejected with that reason. Ends the submission either way. */
	int (*commit)(void *state, struct submission *s, struct err *err);

	/* Refused after it was found valid (its slug cannot be had, ...): kept as `rejected`, with
	 * the reason in `last_error`. Ends the submission. */
	void (*reject)(void *state, struct submission *s, const char *reason);

	/* Overtaken by a newer one: nothing of it is kept. */
	void (*drop)(void *state, struct submission *s);

	/* The last committed release runs well: it is the one to come back to, also for later
	 * lives of this program. */
	void (*settled)(void *state);

	/* The last committed release failed: the previous one is in force again, durably; the
	 * failed one becomes `rejected` with the reason. -ENOENT when there is no previous one. */
	int (*roll_back)(void *state, const char *reason, struct err *err);

	/* The history, newest first, at most max; how many. NULL: there is none. */
	size_t (*history)(void *state, struct source_version *ret, size_t max);

	/* The document of a version, as it was submitted: the caller's. -ENOENT. NULL: none has. */
	int (*read)(
		void *state, int64_t version, char **ret_text, size_t *ret_len, struct err *err);

	/* A document that comes from the operator directly: 0, and `submitted` was called from
	 * within; -EINVAL with what is wrong with it in *errors, and then nothing of it is kept;
	 * another with err. renumber: it was in force before and gets a version of its own; note:
	 * kept beside it in the history, NULL = none. NULL: cannot be had. */
	int (*submit)(void *state, const char *text, size_t len, bool renumber, const char *note,
		int64_t *ret_version, struct release_errors *errors, struct err *err);

	/* A small text that is kept over all lives of this program, under a key of lower-case
	 * letters; "" = none any more. recall(): 1 and the text, the caller's; 0 none; negative
	 * errno. NULL: nothing is kept. */
	int (*remember)(void *state, const char *key, const char *text, struct err *err);
	int (*recall)(void *state, const char *key, char **ret_text);

	/* The end is near: nothing more is delivered; what arrives waits for the next start. May be
	 * called before start(). Called early, because the kernel takes some 6 ms to let go of a
	 * watched directory, and close() would have to wait for it. */
	void (*quiet)(void *state);

	void (*close)(void *state);
};
