#include "slug/decoder.h"

#include <archive.h>
#include <errno.h>

enum packing packing_of(const unsigned char *head, size_t len)
{
	static const struct {
		enum packing packing;
		const char *magic;
		size_t len;
	} known[] = {
		{PACKING_GZIP, "\x1f\x8b", 2},
		{PACKING_ZSTD, "\x28\xb5\x2f\xfd", 4},
		{PACKING_XZ,
			"\xfd"
			"7zXZ\0",
			6},
		{PACKING_BZIP2, "BZh", 3},
	};

	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		if (len >= known[i].len && memcmp(head, known[i].magic, known[i].len) == 0)
			return known[i].packing;
	}
	return PACKING_TAR;
}

struct plain {
	struct decoder decoder;
	struct packed *packed;
};

static ssize_t plain_read(struct decoder *decoder, unsigned char *out, size_t size, struct err *err)
{
	struct packed *p = ((struct plain *)decoder)->packed;
	int r = packed_fill(p, err);

	if (r <= 0)
		return r;
	size_t n = p->left < size ? p->left : size;
	memcpy(out, p->next, n);
	p->next += n;
	p->left -= n;
	return (ssize_t)n;
}

static void plain_free(struct decoder *decoder)
{
	free(decoder);
}

static int plain_new(struct packed *packed, struct decoder **ret_decoder, struct err *err)
{
	struct plain *d = calloc(1, sizeof *d);

	if (!d)
		return err_set(err, -ENOMEM, "out of memory");
	*d = (struct plain){.decoder = {.read = plain_read, .free = plain_free}, .packed = packed};
	*ret_decoder = &d->decoder;
	return 0;
}

/* zstd, xz and bzip2: libarchive's read filters under its "raw" format, so that the stream can be
 * drained to its end, where their check sums are, whatever the tar reader thinks the end is. */
struct filter {
	struct decoder decoder;
	struct packed *packed;
	struct archive *archive;
	bool begun;
	struct err failed; /* of reading the file, told through libarchive */
};

static la_ssize_t filter_input(struct archive *a, void *userdata, const void **ret_data)
{
	struct filter *f = userdata;
	struct packed *p = f->packed;
	int r = packed_fill(p, &f->failed);

	if (r < 0) {
		archive_set_error(a, -r, "%s", f->failed.text);
		return -1;
	}
	*ret_data = p->next;
	la_ssize_t n = (la_ssize_t)p->left;
	p->next += p->left;
	p->left = 0;
	return n;
}

static int damaged(struct filter *f, struct err *err)
{
	const char *text = archive_error_string(f->archive);

	if (f->failed.code) {
		if (err)
			*err = f->failed;
		return f->failed.code;
	}
	return err_set(err, archive_errno(f->archive) == ENOMEM ? -ENOMEM : -EBADMSG,
		"the packed file is damaged or cut off: %s", text ? text : "no reason given");
}

static int filter_begin(struct filter *f, struct err *err)
{
	struct archive_entry *entry;

	f->begun = true;
	if (archive_read_open(f->archive, f, NULL, filter_input, NULL) != ARCHIVE_OK ||
		archive_read_next_header(f->archive, &entry) != ARCHIVE_OK)
		return damaged(f, err);
	return 0;
}

static ssize_t filter_read(
	struct decoder *decoder, unsigned char *out, size_t size, struct err *err)
{
	struct filter *f = (struct filter *)decoder;
	int r = f->begun ? 0 : filter_begin(f, err);

	if (r < 0)
		return r;
	la_ssize_t n = archive_read_data(f->archive, out, size);
	if (n < 0)
		return damaged(f, err);
	if (n > 0)
		return (ssize_t)n;

	r = packed_fill(f->packed, err);
	if (r < 0)
		return r;
	/* Position -1 is the file itself: bytes that the filter has used. */
	if (r > 0 ||
		(uint64_t)archive_filter_bytes(f->archive, -1) != atomic_load(&f->packed->done))
		return err_set(err, -EBADMSG, "there is something else behind the packed data");
	return 0;
}

static void filter_free(struct decoder *decoder)
{
	struct filter *f = (struct filter *)decoder;

	(void)archive_read_free(f->archive);
	free(f);
}

int filter_new(
	enum packing packing, struct packed *packed, struct decoder **ret_decoder, struct err *err)
{
	struct filter *f = calloc(1, sizeof *f);
	int r = ARCHIVE_OK;

	if (!f)
		return err_set(err, -ENOMEM, "out of memory");
	f->decoder = (struct decoder){.read = filter_read, .free = filter_free};
	f->packed = packed;
	f->archive = archive_read_new();
	if (!f->archive) {
		filter_free(&f->decoder);
		return err_set(err, -ENOMEM, "out of memory");
	}
	if (packing == PACKING_ZSTD)
		r = archive_read_support_filter_zstd(f->archive);
	else if (packing == PACKING_XZ)
		r = archive_read_support_filter_xz(f->archive);
	else
		r = archive_read_support_filter_bzip2(f->archive);
	/* ARCHIVE_WARN here would mean that an external program does the work. */
	if (r != ARCHIVE_OK || archive_read_support_format_raw(f->archive) != ARCHIVE_OK) {
		filter_free(&f->decoder);
		return err_set(err, -EOPNOTSUPP, "this libarchive cannot unpack the file");
	}
	*ret_decoder = &f->decoder;
	return 0;
}

int decoder_new(
	enum packing packing, struct packed *packed, struct decoder **ret_decoder, struct err *err)
{
	switch (packing) {
	case PACKING_TAR:
		return plain_new(packed, ret_decoder, err);
	case PACKING_GZIP:
		return gunzip_new(packed, ret_decoder, err);
	case PACKING_ZSTD:
	case PACKING_XZ:
	case PACKING_BZIP2:
		return filter_new(packing, packed, ret_decoder, err);
	}
	return err_set(err, -EINVAL, "unknown packing");
}
