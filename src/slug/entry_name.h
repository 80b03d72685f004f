/* Names inside an archive: what is allowed, and their one form. Pure. */
#pragma once

#include "base/limits.h"

#include <stddef.h>

struct entry_name {
	/* Parts joined by single '/', none of them empty, "." or ".."; not absolute, no '/' at the
	 * end. "" is the root of the archive itself. */
	char path[LIMIT_SLUG_PATH + 1];
	size_t len;
	unsigned depth; /* parts */
};

/* Brings `raw` (NULL allowed: libarchive says so for a damaged one) into that form. Returns NULL,
 * or why the name is refused: static text that fits behind "entry 'x': ". */
const char *entry_name_parse(const char *raw, struct entry_name *ret_name);

/* Bytes of path in front of the last part, without the '/'; 0 at the top. */
size_t entry_name_parent(const struct entry_name *name);
/* The last part. */
const char *entry_name_last(const struct entry_name *name);
