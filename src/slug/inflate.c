#include "slug/inflate.h"

#include <errno.h>

#if HAVE_ISAL

#include <isa-l/crc.h>
#include <isa-l/igzip_lib.h>

struct inflater {
	struct inflate_state state;
};

struct inflater *inflater_new(void)
{
	struct inflater *i = malloc(sizeof *i);

	if (i)
		isal_inflate_init(&i->state);
	return i;
}

struct inflater *inflater_free(struct inflater *i)
{
	free(i);
	return NULL;
}

void inflater_reset(struct inflater *i)
{
	isal_inflate_reset(&i->state);
}

int inflater_run(struct inflater *i, const unsigned char **in, size_t *in_len, unsigned char *out,
	size_t out_size, size_t *ret_made)
{
	struct inflate_state *s = &i->state;

	/* The library does not write through next_in; its type lacks the const. */
	memcpy(&s->next_in, in, sizeof s->next_in);
	s->avail_in = (uint32_t)*in_len;
	s->next_out = out;
	s->avail_out = (uint32_t)out_size;
	if (isal_inflate(s) != ISAL_DECOMP_OK)
		return -EBADMSG;

	*in += *in_len - s->avail_in;
	*in_len = s->avail_in;
	*ret_made = out_size - s->avail_out;
	if (s->block_state != ISAL_BLOCK_FINISH)
		return 0;
	/* Whole bytes still in its bit buffer belong to what follows the deflate data. */
	size_t early = s->read_in_length > 0 ? (size_t)s->read_in_length / 8 : 0;
	*in -= early;
	*in_len += early;
	return 1;
}

uint32_t inflater_crc(uint32_t crc, const unsigned char *data, size_t len)
{
	return crc32_gzip_refl(crc, data, len);
}

#else

#define ZLIB_CONST
#include <zlib.h>

struct inflater {
	z_stream stream;
};

struct inflater *inflater_new(void)
{
	struct inflater *i = calloc(1, sizeof *i);

	if (i && inflateInit2(&i->stream, -MAX_WBITS) != Z_OK) {
		free(i);
		i = NULL;
	}
	return i;
}

struct inflater *inflater_free(struct inflater *i)
{
	if (i) {
		(void)inflateEnd(&i->stream);
		free(i);
	}
	return NULL;
}

void inflater_reset(struct inflater *i)
{
	(void)inflateReset(&i->stream);
}

int inflater_run(struct inflater *i, const unsigned char **in, size_t *in_len, unsigned char *out,
	size_t out_size, size_t *ret_made)
{
	z_stream *s = &i->stream;

	s->next_in = *in;
	s->avail_in = (uInt)*in_len;
	s->next_out = out;
	s->avail_out = (uInt)out_size;
	int r = inflate(s, Z_NO_FLUSH);
	/* Z_BUF_ERROR: no progress was possible, which more input or output cures. */
	if (r == Z_MEM_ERROR)
		return -ENOMEM;
	if (r != Z_OK && r != Z_STREAM_END && r != Z_BUF_ERROR)
		return -EBADMSG;

	*in = s->next_in;
	*in_len = s->avail_in;
	*ret_made = out_size - s->avail_out;
	return r == Z_STREAM_END;
}

uint32_t inflater_crc(uint32_t crc, const unsigned char *data, size_t len)
{
	return (uint32_t)crc32_z(crc, data, len);
}

#endif
