#include "drivers/docker/image_tar.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>

#define BLOCK 512

/* POSIX.1-1988 "ustar". */
struct head {
	char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], sum[8], type, link[100];
	char magic[6], version[2], uname[32], gname[32], major[8], minor[8], prefix[155], pad[12];
};
_Static_assert(sizeof(struct head) == BLOCK, "a tar header is a block");

static const char zeros[BLOCK];

/* Octal digits with blanks before, and blanks or NULs behind. -EBADMSG for all else, the binary
 * numbers of what is too large here included. */
static int64_t number(const char *field, size_t size)
{
	size_t i = 0;
	int64_t value = 0;

	while (i < size && field[i] == ' ')
		i++;
	size_t digits = i;
	for (; i < size && field[i] >= '0' && field[i] <= '7'; i++)
		value = value * 8 + (field[i] - '0');
	if (i == digits)
		return -EBADMSG;
	for (; i < size; i++)
		if (field[i] != ' ' && field[i] != '\0')
			return -EBADMSG;
	return value;
}

static unsigned sum_of(const struct head *h)
{
	const unsigned char *bytes = (const unsigned char *)h;
	unsigned sum = 0;

	for (size_t i = 0; i < BLOCK; i++) {
		bool own = i >= offsetof(struct head, sum) && i < offsetof(struct head, type);
		sum += own ? ' ' : bytes[i];
	}
	return sum;
}

static int not_a_file(char type, struct err *err)
{
	switch (type) {
	case '5':
		return err_set(err, -EISDIR, "it is a directory");
	case '2':
		return err_set(err, -ELOOP, "it is a symbolic link");
	default:
		return err_set(err, -EINVAL, "it is no regular file");
	}
}

int image_tar_read(const void *archive, size_t len, struct tar_file *ret_file, struct err *err)
{
	const char *at = archive;
	struct head h;

	if (len > IMAGE_TAR_MAX)
		return err_set(err, -EBADMSG, "it is larger than %zu bytes", IMAGE_TAR_MAX);
	for (;;) {
		if (len < BLOCK || memcmp(at, zeros, BLOCK) == 0)
			return err_set(err, -EBADMSG, "the archive of it holds no file");
		memcpy(&h, at, BLOCK);
		if (memcmp(h.magic, "ustar", 5) != 0 || number(h.sum, sizeof h.sum) != sum_of(&h))
			return err_set(err, -EBADMSG, "what came is no tar archive");
		int64_t size = number(h.size, sizeof h.size);
		at += BLOCK;
		len -= BLOCK;
		if (size < 0 || (uint64_t)size > len)
			return err_set(err, -EBADMSG, "the archive of it is damaged or cut off");
		if (!memchr("xgLK", h.type, 4)) {
			int64_t mode = number(h.mode, sizeof h.mode);
			if (h.type != '0' && h.type != '\0')
				return not_a_file(h.type, err);
			*ret_file = (struct tar_file){.data = at,
				.len = (size_t)size,
				.mode = mode < 0 ? 0644 : (uint32_t)mode & 07777};
			return 0;
		}
		size_t padded = ((size_t)size + BLOCK - 1) / BLOCK * BLOCK;
		if (padded > len)
			padded = len;
		at += padded;
		len -= padded;
	}
}

/* Seven octal digits, or in GNU's way as a binary number. */
static void put_id(char field[8], uint32_t id)
{
	char text[16];

	if (id < 1U << 21) {
		(void)snprintf(text, sizeof text, "%07o", id);
		memcpy(field, text, 8);
		return;
	}
	memset(field, 0, 8);
	field[0] = (char)0x80;
	for (int i = 0; i < 4; i++)
		field[7 - i] = (char)(id >> (8 * i));
}

void image_tar_add(struct strbuf *b, const struct tar_entry *e)
{
	struct head h = {.magic = "ustar", .version = {'0', '0'}};
	char text[16];
	size_t path = strlen(e->path);

	if (path >= sizeof h.name || e->len > IMAGE_TAR_MAX) {
		b->error = -EINVAL;
		return;
	}
	memcpy(h.name, e->path, path);
	h.type = path > 0 && e->path[path - 1] == '/' ? '5' : '0';
	(void)snprintf(text, sizeof text, "%07o", e->mode & 07777);
	memcpy(h.mode, text, sizeof h.mode);
	put_id(h.uid, e->uid);
	put_id(h.gid, e->gid);
	(void)snprintf(text, sizeof text, "%011zo", e->len);
	memcpy(h.size, text, sizeof h.size);
	memcpy(h.mtime, "00000000000", sizeof h.mtime);
	(void)snprintf(text, sizeof text, "%06o", sum_of(&h));
	memcpy(h.sum, text, 7);
	h.sum[7] = ' ';
	(void)strbuf_add(b, &h, sizeof h);
	if (e->len > 0) {
		(void)strbuf_add(b, e->data, e->len);
		(void)strbuf_add(b, zeros, (BLOCK - e->len % BLOCK) % BLOCK);
	}
}

void image_tar_end(struct strbuf *b)
{
	(void)strbuf_add(b, zeros, BLOCK);
	(void)strbuf_add(b, zeros, BLOCK);
}
