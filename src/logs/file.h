/* A log file of our own: opened, written, rotated, and opened again when somebody moved it away.
 *
 * Rotation: FILE is renamed to FILE.20261121T080000.123456Z (its time, in UTC), which is one step:
 * a kill leaves either the old state or the new one. A thread of low priority then packs it to
 * FILE.20261121T080000.123456Z.zst and removes the oldest (file_keeper.h). Never in the middle of a
 * line, but for a line longer than max_bytes a file is never larger than that.
 *
 * What cannot be written (the disk is full, the folder is gone) is dropped and counted; each second
 * it is tried again, and the file itself says what it lacks:
 *
 *     ... hsup[logs]: Error L10 (output buffer overflow): 12 messages dropped since 2026-11-21T...
 */
#pragma once

#include "base/err.h"
#include "logs/carry.h"
#include "logs/format.h"

#include <sys/queue.h>

struct file_keeper;

struct log_file {
	TAILQ_ENTRY(log_file) link;
	unsigned refs;
	char *path; /* owned */
	struct format format;
	uint64_t max_bytes, max_age; /* 0 = never */
	unsigned keep;
	bool compress;
	mode_t mode;
	uid_t uid; /* (uid_t)-1: who we are */
	gid_t gid;
	bool all; /* what is not any dyno's goes here as well */

	/* private */
	struct file_keeper *keeper;
	int fd; /* -1 = not open */
	uint64_t dev, ino, size;
	uint64_t born;	    /* wall clock; of the file */
	uint64_t looked_at; /* whether it is still where it was */
	uint64_t last_name; /* microseconds, of the last rotated one */
	int trouble;	    /* negative errno; 0 = all is well */
	uint64_t retry_at;
	uint64_t dropped, dropped_since; /* since it went well; wall clock */
	uint64_t dropped_all;
	void (*say)(void *userdata, const char *text);
	void *userdata;
};

TAILQ_HEAD(log_files, log_file);

/* path (absolute) is copied. keeper (may be NULL) and app outlive it. say: of trouble and of its
 * end; must not come back in. NULL = out of memory. */
struct log_file *log_file_new(const char *path, const struct log_options *o, const char *app,
	struct file_keeper *keeper, void (*say)(void *userdata, const char *text), void *userdata);
/* From now on; a file that is there already keeps its owner and mode. */
void log_file_configure(struct log_file *f, const struct log_options *o);

struct log_file *log_file_free(struct log_file *f);

/* "user", "user:group", by name or number. */
int log_file_owner(
	const char *text, uid_t *ret_uid, gid_t *ret_gid, struct err *err) HSUP_MUST_CHECK;

/* Opens it if it is not; what is wrong is said and kept. 0 or negative errno. */
int log_file_open(struct log_file *f);

/* Opens it anew at the next write. */
void log_file_reopen(struct log_file *f);

/* Looks whether it is still where it was, and rotates it when its time has come. True: it is to be
 * looked at again although nothing may be written to it. */
bool log_file_tick(struct log_file *f);

/* For carry_files_out(): whole lines. */
void log_file_out(void *file, struct carry *c, const char *data, size_t len);

/* ---- inside ---- */

/* Moves it aside; the next write makes a new one. */
int log_file_rotate(struct log_file *f);
void log_file_trouble(struct log_file *f, int code, const char *what);
