/* From packed bytes to the tar stream. One of three, chosen by content. */
#pragma once

#include "base/err.h"
#include "slug/packed.h"

#include <stddef.h>
#include <sys/types.h>

/* A decoder. It has verified all that its format lets it verify (CRC, sizes, end marks) and found
 * the packed file used up when read() gives 0. */
struct decoder {
	/* Bytes put into out (at least one), 0 at the end, or negative errno (-EBADMSG: damaged).
	 */
	ssize_t (*read)(struct decoder *d, unsigned char *out, size_t size, struct err *err);
	void (*free)(struct decoder *d);
};

enum packing {
	PACKING_TAR,
	PACKING_GZIP,
	PACKING_ZSTD,
	PACKING_XZ,
	PACKING_BZIP2,
};

/* By the first bytes of a file. */
enum packing packing_of(const unsigned char *head, size_t len);

/* `packed` stays the caller's and must live as long. */
int decoder_new(enum packing packing, struct packed *packed, struct decoder **ret_decoder,
	struct err *err) HSUP_MUST_CHECK;

/* The parts of decoder_new(). */
int gunzip_new(
	struct packed *packed, struct decoder **ret_decoder, struct err *err) HSUP_MUST_CHECK;
int filter_new(enum packing packing, struct packed *packed, struct decoder **ret_decoder,
	struct err *err) HSUP_MUST_CHECK;
