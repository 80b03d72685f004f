/* SHA-256 of a packed slug. */
#pragma once

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

#define DIGEST_HEX 64

struct digest;

int digest_new(struct digest **ret_digest) HSUP_MUST_CHECK;
struct digest *digest_free(struct digest *d);
int digest_add(struct digest *d, const void *data, size_t len) HSUP_MUST_CHECK;
/* Lower-case hex, terminated. The digest is spent. */
int digest_hex(struct digest *d, char ret_hex[DIGEST_HEX + 1]) HSUP_MUST_CHECK;

/* Of a whole file, from its start; the offset of fd is not moved. */
int digest_of_fd(int fd, char ret_hex[DIGEST_HEX + 1]) HSUP_MUST_CHECK;

/* "SHA256:<64 hex digits>", any case. 0 or -EINVAL. */
int digest_parse(const char *checksum, char ret_hex[DIGEST_HEX + 1]) HSUP_MUST_CHECK;
