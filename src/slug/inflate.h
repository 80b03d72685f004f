/* Raw deflate (RFC 1951) behind one face: ISA-L when the build has it, else zlib. */
#pragma once

#include "base/mem.h"

#include <stddef.h>
#include <stdint.h>

struct inflater;

struct inflater *inflater_new(void); /* NULL: out of memory */
struct inflater *inflater_free(struct inflater *i);
void inflater_reset(struct inflater *i); /* for the next member */

/* Takes from *in, gives to out. Returns 0 (give it more input or output), 1 at the end of the
 * deflate data, -EBADMSG when damaged, -ENOMEM. At the end *in may lie up to 8 bytes in front of
 * where this call began: bytes that were taken too early are given back. */
int inflater_run(struct inflater *i, const unsigned char **in, size_t *in_len, unsigned char *out,
	size_t out_size, size_t *ret_made) HSUP_MUST_CHECK;

/* CRC-32 of gzip; starts with 0. */
uint32_t inflater_crc(uint32_t crc, const unsigned char *data, size_t len);
