/* Just enough of tar: the one file that an engine's archive holds, and small archives for it. The
 * engine's answer is not trusted: whoever made the stack's image has a say in it. Pure. */
#pragma once

#include "base/err.h"
#include "base/str.h"

#include <stdint.h>

/* What an archive of one file may hold in all; image_tar_read() takes no more. */
#define IMAGE_TAR_MAX ((size_t)1 << 20)

struct tar_file {
	const char *data; /* within the archive; not terminated */
	size_t len;
	uint32_t mode;
};

/* The first entry that is not only about others (pax and GNU headers are passed over). -EBADMSG:
 * it is no tar, or cut off; -EISDIR, -ELOOP (a symbolic link), -EINVAL: it is no regular file; err
 * says what. */
int image_tar_read(const void *archive, size_t len, struct tar_file *ret_file,
	struct err *err) HSUP_MUST_CHECK;

/* Appends an entry. path: relative, under 100 bytes; that of a directory ends with "/", and data is
 * NULL. Failures are remembered by b. */
struct tar_entry {
	const char *path;
	uint32_t mode, uid, gid;
	const char *data;
	size_t len;
};
void image_tar_add(struct strbuf *b, const struct tar_entry *entry);
void image_tar_end(struct strbuf *b);
