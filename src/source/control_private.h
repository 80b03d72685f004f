/* The control directory from inside.
 *
 *     new ----claim----> .hsup/claim-7 --valid--> submission --commit--> loaded, releases/v7.json
 *                              |                      |                     |          |
 *                              +-----> rejected, last_error <---------------+--roll_back  settled()
 *                                                                                       v
 *                                                                        .hsup/settled
 *
 * .hsup/claim-N    submitted, not yet decided upon; the higher N is the newer one. What is newer is
 *                  decided by the order of arrival alone: no time stamp of a file is ever looked
 * at, so a clock that is set back changes nothing. .hsup/settled    the bytes of the last release
 * that ran well: what roll_back() goes back to. The release in force has settled when both are
 * equal, so one rename moves from the old state to the new one, and a crash leaves one of them.
 * .hsup/history    the history's copy on its way (made before `loaded`, so that a full disk shows
 *                  before anything has changed)
 * .hsup/lock       flock()ed as long as we live; the holder's pid for people */
#pragma once

#include "source/control_dir.h"

#include <dirent.h>
#include <sys/queue.h>
#include <sys/types.h>

#define CLAIMS_MAX  16 /* waiting for their writers; an older one is dropped, and said */
#define NOTICES_MAX 4  /* before start() */

struct submission {
	LIST_ENTRY(submission) link;
	uint64_t claim; /* its file, .hsup/claim-N */
	int64_t version;
	char *text; /* as it was checked: what is committed whatever became of the file */
	size_t len;
	char note[100]; /* for the history; "" = none */
};

struct control_notice {
	enum notice_level level;
	char *text;
};

struct control_dir {
	char *path;
	unsigned flags;
	int dir, scratch, lock; /* -1 = away, or not held */
	char *in_force;		/* the bytes of `loaded`; NULL = none */
	size_t in_force_len;
	int64_t version; /* of those bytes; 0 = not known */
	bool settled;	 /* .hsup/settled has, or had, the same bytes */

	uint64_t last_claim;
	uint64_t last_leftover; /* claims up to this one are of an earlier life */
	uint64_t claims[CLAIMS_MAX];
	unsigned n_claims; /* oldest first */
	LIST_HEAD(, submission) submissions;

	sd_event *loop; /* NULL until start() */
	const struct source_events *events;
	void *userdata;
	sd_event_source *io, *deliver;
	int inotify, wd_dir, wd_scratch, wd_above; /* -1 = not watched */
	struct control_notice notices[NOTICES_MAX];
	unsigned n_notices;
};

/* ---- control_dir.c ---- */

/* Opens the directory and what is in it, and takes the lock when the flags say so. */
int control_enter(struct control_dir *c, struct err *err) HSUP_MUST_CHECK;
/* Opens .hsup (made when it is not there) and takes the lock. */
int control_hold(struct control_dir *c, struct err *err) HSUP_MUST_CHECK;
void control_leave(struct control_dir *c);
/* Makes .hsup again when somebody removed it. -ENOENT when the whole directory is gone. */
int control_ready(struct control_dir *c, struct err *err) HSUP_MUST_CHECK;
void control_notice(struct control_dir *c, enum notice_level level, const char *fmt, ...)
	HSUP_PRINTF(3, 4);

/* ---- control_files.c ---- */

char *control_claim_name(uint64_t number, char ret_name[32]);
/* Moves a claim aside as `rejected`, or writes text when it cannot (text may be NULL), and reason
 * (lines) to `last_error`. */
void control_reject_claim(
	struct control_dir *c, uint64_t claim, const char *text, size_t len, const char *reason);
void control_reject_text(struct control_dir *c, const char *text, size_t len, const char *reason);

/* Whether the file has exactly these bytes. */
bool control_has_bytes(int dir, const char *name, const char *text, size_t len);

/* The history. Highest version, 0 = none. */
int64_t control_last_version(struct control_dir *c);
/* The version whose bytes these are, 0 = none. */
int64_t control_find_version(struct control_dir *c, const char *text, size_t len);
int control_stage_history(struct control_dir *c, const char *text, size_t len) HSUP_MUST_CHECK;
/* Gives what was staged its name and forgets the lowest versions above LIMIT_HISTORY. */
int control_add_history(struct control_dir *c, int64_t version, const char *note) HSUP_MUST_CHECK;
#define CONTROL_FAILED "failed: "
DIR *control_open_history(struct control_dir *c); /* NULL = none */
void control_write_note(struct control_dir *c, int64_t version, const char *note);
/* The version that a name in releases/ stands for, 0 = another file. */
int64_t control_version_of(const char *name);

/* ---- control_history.c: the source_ops that read it, and what else is kept ---- */

size_t control_history(void *state, struct source_version *ret, size_t max);
int control_read(void *state, int64_t version, char **ret_text, size_t *ret_len, struct err *err);
int control_submit(void *state, const char *text, size_t len, bool renumber, const char *note,
	int64_t *ret_version, struct release_errors *errors, struct err *err);
int control_remember(void *state, const char *key, const char *text, struct err *err);
int control_recall(void *state, const char *key, char **ret_text);

/* ---- control_commit.c: the source_ops that change the release in force ---- */

int control_restore(
	void *state, struct release **ret_release, struct release **ret_settled, struct err *err);
int control_commit(void *state, struct submission *s, struct err *err);
void control_reject(void *state, struct submission *s, const char *reason);
void control_drop(void *state, struct submission *s);
void control_settled(void *state);
int control_roll_back(void *state, const char *reason, struct err *err);
/* Writes the release in force into a directory that was made anew. */
void control_rewrite(struct control_dir *c);
void control_submission_free(struct submission *s);

/* ---- control_claim.c ---- */

enum claim_when {
	CLAIM_CLOSED,  /* a writer closed it, it was moved there, or we look for ourselves */
	CLAIM_CREATED, /* a name appeared: a writer may be about to begin */
};

/* Takes `new` if it is there and nobody writes to it. */
void control_claim_new(struct control_dir *c, enum claim_when when);
/* What an earlier life left in .hsup. */
void control_claim_leftovers(struct control_dir *c);
/* A writer closed .hsup/<name>. */
void control_claim_closed(struct control_dir *c, const char *name);
/* The claim is decided upon: its file goes, unless somebody writes to it again. True when he does:
 * it is a new claim then. */
bool control_claim_end(struct control_dir *c, uint64_t claim, bool keep_file);
/* Somebody has the file behind fd open for writing (as far as can be known). */
bool control_has_writer(int fd);
/* For reading; never waits for a FIFO, never follows a link. -1 and errno; EINVAL: no file. */
int control_open_regular(int dir, const char *name);
void control_forget_claim(struct control_dir *c, unsigned at);	  /* of the list */
void control_remove_claim(struct control_dir *c, uint64_t claim); /* its file */

/* ---- control_deliver.c ---- */

/* Hands over the newest claim that is complete and valid. */
void control_deliver(struct control_dir *c);

/* A version that nothing in the history nor on its way has. */
int64_t control_next_version(struct control_dir *c);

/* A checked document, which is the claim of that number, to the supervisor. Takes text; -ENOMEM:
 * release is still the caller's. note may be NULL. */
int control_hand_over(struct control_dir *c, uint64_t number, char *text, size_t len,
	const char *note, struct release *release) HSUP_MUST_CHECK;

/* ---- control_watch.c ---- */

int control_watch_start(struct control_dir *c, struct err *err) HSUP_MUST_CHECK;
void control_watch_quiet(struct control_dir *c);
void control_watch_stop(struct control_dir *c);
/* Looks for everything, as after an overflow. */
void control_rescan(struct control_dir *c);
