/* Writes the entries of an archive below one directory, and nowhere else. Our own, since
 * libarchive's checks names and then opens by path.
 *
 * Names are canonical (slug/entry_name.h). Errors: -EBADMSG = the archive may not have this,
 * -EFBIG = over a limit, else the errno of the system; the text fits behind "entry 'x': ".
 * After an error the writer is only good for writer_free(). */
#pragma once

#include "base/err.h"
#include "slug/entry_name.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

struct writer;

struct writer_limits {
	uint64_t max_bytes;   /* of all files together, as declared: holes count */
	uint64_t max_entries; /* directories that are only implied count too */
	bool shared;	      /* for dynos of other users: what the owner may read, all may */
	/* A root, not a slug: modes stay (but for set-id bits), anything may replace what is there,
	 * also a directory. */
	bool stack;
	bool owners; /* of a stack: as writer_owner() says; else all is ours to read and remove */
};

/* root stays the caller's. */
int writer_new(
	int root, const struct writer_limits *limits, struct writer **ret_writer) HSUP_MUST_CHECK;
struct writer *writer_free(struct writer *w);

uint64_t writer_bytes(const struct writer *w);
uint64_t writer_entries(const struct writer *w);

/* Counts an entry and its bytes, before anything is done for it. */
int writer_count(struct writer *w, uint64_t size, struct err *err) HSUP_MUST_CHECK;

/* Of the entries that follow. */
void writer_owner(struct writer *w, uid_t uid, gid_t gid);
bool writer_keeps_owners(const struct writer *w);
/* Files whose set-id bits went. */
uint64_t writer_stripped(const struct writer *w);

/* Of a layer that says what those below it have no more: removes what has this name; all that is in
 * the directory of this name. Nothing there, or a link on the way to it: nothing is done. */
int writer_remove(struct writer *w, const struct entry_name *name, struct err *err) HSUP_MUST_CHECK;
int writer_empty(struct writer *w, const struct entry_name *name, struct err *err) HSUP_MUST_CHECK;

int writer_directory(struct writer *w, const struct entry_name *name, mode_t mode,
	struct err *err) HSUP_MUST_CHECK;
int writer_symlink(struct writer *w, const struct entry_name *name, const char *target,
	struct err *err) HSUP_MUST_CHECK;
int writer_hardlink(struct writer *w, const struct entry_name *name,
	const struct entry_name *target, struct err *err) HSUP_MUST_CHECK;

/* A regular file: begin, data in any number of pieces, end. */
int writer_file(struct writer *w, const struct entry_name *name, mode_t mode, uint64_t size,
	struct err *err) HSUP_MUST_CHECK;
int writer_data(struct writer *w, const void *data, size_t len, uint64_t offset,
	struct err *err) HSUP_MUST_CHECK;
int writer_end(struct writer *w, const struct timespec *mtime, struct err *err) HSUP_MUST_CHECK;
