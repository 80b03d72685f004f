/* The packed bytes of a slug on their way to the decoder: read from a file, hashed, counted. Every
 * byte is read exactly once, so the digest is of the very bytes that were unpacked. */
#pragma once

#include "base/err.h"
#include "slug/digest.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define PACKED_BUFFER  ((size_t)128 << 10)
#define PACKED_HISTORY 16

struct packed {
	int fd; /* the caller's */
	struct digest *digest;
	_Atomic uint64_t done; /* bytes read; for the progress, from another thread */
	const unsigned char *next;
	size_t left;
	/* In front of the data: the end of the block before, so that bytes which a decoder took
	 * too many of can be given back by moving `next`. */
	unsigned char buffer[PACKED_HISTORY + PACKED_BUFFER];
};

int packed_new(int fd, struct packed **ret_packed, struct err *err) HSUP_MUST_CHECK;
struct packed *packed_free(struct packed *p);

/* When nothing is left, reads more. 1 = there is some, 0 = end of file, or negative errno. */
int packed_fill(struct packed *p, struct err *err) HSUP_MUST_CHECK;
/* One byte: 0..255, -ENODATA at the end of the file, or negative errno. */
int packed_byte(struct packed *p, struct err *err) HSUP_MUST_CHECK;
