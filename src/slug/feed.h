/* Reads, hashes and unpacks in a thread of its own, while the caller parses and writes: the two
 * halves cost about the same. Blocks travel through a small ring. */
#pragma once

#include "base/err.h"
#include "slug/digest.h"

#include <stdint.h>
#include <sys/types.h>

struct feed;

/* fd stays the caller's. The thread exists from here on, but touches nothing before feed_start():
 * the sandbox must be closed first, and afterwards no thread can be made. */
int feed_open(int fd, struct feed **ret_feed, struct err *err) HSUP_MUST_CHECK;
/* Ends the thread, wherever it is. NULL allowed; returns NULL. */
struct feed *feed_close(struct feed *f);

void feed_start(struct feed *f);

/* The next block of the tar stream, valid until the next call: its length; 0 at the verified end;
 * -EIO when the thread failed (feed_error() says why). */
ssize_t feed_read(struct feed *f, const void **ret_block) HSUP_MUST_CHECK;

/* 0, or what made the thread fail, with its text. */
int feed_error(const struct feed *f, struct err *err);

uint64_t feed_packed(const struct feed *f); /* bytes read so far; any time */

/* Zero bytes at the very end of the stream that was read: the end mark of a tar is 1024 of them. */
uint64_t feed_zeros(const struct feed *f);

/* The digest of all that was read; after feed_read() gave 0. */
int feed_digest(struct feed *f, char ret_hex[DIGEST_HEX + 1]) HSUP_MUST_CHECK;

/* The tar itself is hashed, too: before feed_start(). -ENOMEM. */
int feed_hash_plain(struct feed *f) HSUP_MUST_CHECK;
int feed_plain_digest(struct feed *f, char ret_hex[DIGEST_HEX + 1]) HSUP_MUST_CHECK;
