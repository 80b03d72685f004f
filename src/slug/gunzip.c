/* gzip (RFC 1952). libarchive's own filter does not check the CRC, and accepts a file with a
 * flipped bit; so this is ours: every member's CRC and size are verified, and anything behind the
 * last member is an error. */
#include "slug/decoder.h"
#include "slug/inflate.h"

#include <errno.h>

#define GZIP_HEADER_CRC 0x02
#define GZIP_EXTRA	0x04
#define GZIP_NAME	0x08
#define GZIP_COMMENT	0x10
#define GZIP_RESERVED	0xe0

struct gunzip {
	struct decoder decoder;
	struct packed *packed;
	struct inflater *inflater;
	bool in_member;
	bool had_member;
	uint32_t crc, size; /* of this member so far; size modulo 2^32, as the trailer has it */
};

static int cut_off(struct err *err)
{
	return err_set(err, -EBADMSG, "the gzip file is cut off");
}

/* Little-endian, 1 to 4 bytes. */
static int get_number(struct gunzip *g, unsigned bytes, uint32_t *ret_value, struct err *err)
{
	uint32_t value = 0;

	for (unsigned i = 0; i < bytes; i++) {
		int c = packed_byte(g->packed, err);
		if (c < 0)
			return c == -ENODATA ? cut_off(err) : c;
		value |= (uint32_t)c << (8 * i);
	}
	*ret_value = value;
	return 0;
}

static int skip_text(struct gunzip *g, struct err *err)
{
	for (;;) {
		int c = packed_byte(g->packed, err);
		if (c < 0)
			return c == -ENODATA ? cut_off(err) : c;
		if (c == 0)
			return 0;
	}
}

static int skip_bytes(struct gunzip *g, uint32_t n, struct err *err)
{
	uint32_t ignored;
	int r = 0;

	while (r == 0 && n-- > 0)
		r = get_number(g, 1, &ignored, err);
	return r;
}

static int member_header(struct gunzip *g, struct err *err)
{
	uint32_t magic = 0, method = 0, flags = 0, extra = 0;
	int r = get_number(g, 2, &magic, err);

	if (r == 0 && magic != 0x8b1f)
		return err_set(err, -EBADMSG, "there is something else behind the gzip data");
	if (r == 0)
		r = get_number(g, 1, &method, err);
	if (r == 0)
		r = get_number(g, 1, &flags, err);
	if (r == 0 && (method != 8 || (flags & GZIP_RESERVED)))
		return err_set(err, -EBADMSG, "the gzip header is damaged");
	if (r == 0)
		r = skip_bytes(g, 6, err); /* time, extra flags, operating system */
	if (r == 0 && (flags & GZIP_EXTRA)) {
		r = get_number(g, 2, &extra, err);
		if (r == 0)
			r = skip_bytes(g, extra, err);
	}
	if (r == 0 && (flags & GZIP_NAME))
		r = skip_text(g, err);
	if (r == 0 && (flags & GZIP_COMMENT))
		r = skip_text(g, err);
	if (r == 0 && (flags & GZIP_HEADER_CRC))
		r = skip_bytes(g, 2, err);
	if (r < 0)
		return r;

	inflater_reset(g->inflater);
	g->in_member = g->had_member = true;
	g->crc = g->size = 0;
	return 0;
}

static int member_trailer(struct gunzip *g, struct err *err)
{
	uint32_t crc = 0, size = 0;
	int r = get_number(g, 4, &crc, err);

	if (r == 0)
		r = get_number(g, 4, &size, err);
	if (r < 0)
		return r;
	if (crc != g->crc)
		return err_set(err, -EBADMSG, "the gzip file is damaged: its CRC does not match");
	if (size != g->size)
		return err_set(
			err, -EBADMSG, "the gzip file is damaged: its length does not match");
	g->in_member = false;
	return 0;
}

static ssize_t gunzip_read(
	struct decoder *decoder, unsigned char *out, size_t size, struct err *err)
{
	struct gunzip *g = (struct gunzip *)decoder;
	struct packed *p = g->packed;

	for (;;) {
		if (!g->in_member) {
			int r = packed_fill(p, err);
			if (r == 0 && !g->had_member)
				return cut_off(err);
			if (r <= 0)
				return r;
			r = member_header(g, err);
			if (r < 0)
				return r;
		}

		int more = packed_fill(p, err);
		if (more < 0)
			return more;
		size_t made = 0;
		int r = inflater_run(g->inflater, &p->next, &p->left, out, size, &made);
		if (r < 0)
			return err_set(err, r, "the gzip file is damaged");
		if (more == 0 && r == 0 && made == 0)
			return cut_off(err);
		g->crc = inflater_crc(g->crc, out, made);
		g->size += (uint32_t)made;
		if (r == 1) {
			r = member_trailer(g, err);
			if (r < 0)
				return r;
		}
		if (made > 0)
			return (ssize_t)made;
	}
}

static void gunzip_free(struct decoder *decoder)
{
	struct gunzip *g = (struct gunzip *)decoder;

	(void)inflater_free(g->inflater);
	free(g);
}

int gunzip_new(struct packed *packed, struct decoder **ret_decoder, struct err *err)
{
	struct gunzip *g = calloc(1, sizeof *g);

	if (!g)
		return err_set(err, -ENOMEM, "out of memory");
	g->decoder = (struct decoder){.read = gunzip_read, .free = gunzip_free};
	g->packed = packed;
	g->inflater = inflater_new();
	if (!g->inflater) {
		free(g);
		return err_set(err, -ENOMEM, "out of memory");
	}
	*ret_decoder = &g->decoder;
	return 0;
}
