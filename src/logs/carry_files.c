#include "logs/carry_private.h"

#include "base/fd.h"
#include "base/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

_Static_assert(CARRY_BYTES > PATH_MAX + 8 * LIMIT_LINE, "a few lines and their file's name fit");

/* ---- in ---- */

size_t carry_files_space(const struct carry *c, size_t n)
{
	if (c->fill.files || c->n_pieces + n > CARRY_PIECES)
		return 0;
	return c->n_pieces ? CARRY_BYTES - c->files_len : CARRY_BYTES;
}

/* Behind the name, which stands before the first line. */
static bool begin_piece(struct carry *c, const char *path, void *owner)
{
	size_t name = strlen(path) + 1;

	if (c->n_pieces == CARRY_PIECES || name > PATH_MAX || name > CARRY_BYTES - c->files_len)
		return false;
	uint32_t at = c->files_len;
	memcpy(c->j->files + at, path, name);
	c->files_len += (uint32_t)name;
	c->owners[c->n_pieces] = owner;
	c->j->pieces[c->n_pieces] =
		(struct piece){.path = at, .left = (uint64_t)c->files_len << 32};
	c->n_pieces++;
	return true;
}

char *carry_file_room(struct carry *c, const char *path, void *owner, size_t *ret_space)
{
	if (c->fill.files)
		return NULL;
	if (c->n_pieces == 0)
		c->files_len = 0;
	if (!(c->n_pieces && c->owners[c->n_pieces - 1] == owner) && !begin_piece(c, path, owner))
		return NULL;
	*ret_space = CARRY_BYTES - c->files_len;
	return c->j->files + c->files_len;
}

void carry_file_added(struct carry *c, const char *end)
{
	struct piece *p = &c->j->pieces[c->n_pieces - 1];
	uint32_t start = (uint32_t)(p->left >> 32), at = (uint32_t)(end - c->j->files);

	p->left = (uint64_t)start << 32 | (at - start);
	c->files_len = at;
}

/* ---- out ---- */

static uint32_t start_of(const struct piece *p)
{
	return (uint32_t)(p->left >> 32);
}

static uint32_t len_of(const struct piece *p)
{
	return (uint32_t)p->left;
}

void carry_files_out(
	struct carry *c, void (*out)(void *owner, struct carry *c, const char *data, size_t len))
{
	uint32_t n = c->fill.files ? c->fill.files : c->n_pieces;

	for (c->piece = 0; c->piece < n; c->piece++) {
		const struct piece *p = &c->j->pieces[c->piece];

		if (len_of(p))
			out(c->owners[c->piece], c, c->j->files + start_of(p), len_of(p));
	}
	c->n_pieces = 0;
	if (!c->fill.files)
		return;
	c->fill.files = 0;
	carry_set_fill(c, c->fill.len, c->fill.n);
}

void carry_file_note(struct carry *c, uint64_t dev, uint64_t ino, uint64_t at)
{
	carry_set_place(c, c->piece, dev, ino, at);
}

void carry_file_wrote(struct carry *c, size_t bytes)
{
	const struct piece *p = &c->j->pieces[c->piece];

	carry_set_left(c, c->piece, start_of(p) + (uint32_t)bytes, len_of(p) - (uint32_t)bytes);
}

/* ---- what an earlier supervisor left ---- */

bool carry_files_sound(const struct carry *c)
{
	if (c->fill.files > CARRY_PIECES)
		return false;
	for (uint32_t i = 0; i < c->fill.files; i++) {
		const struct piece *p = &c->j->pieces[i];

		if (p->path >= CARRY_BYTES || start_of(p) > CARRY_BYTES ||
			len_of(p) > CARRY_BYTES - start_of(p) ||
			!memchr(c->j->files + p->path, '\0', CARRY_BYTES - p->path))
			return false;
	}
	return true;
}

static void recover_piece(struct carry *c, const struct piece *p)
{
	struct stat st;

	_cleanup_close_ int fd = open(c->j->files + p->path,
		O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0640);
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return;
	const char *data = c->j->files + start_of(p);
	if (p->at_start == 1 + (uint64_t)start_of(p) && p->dev == st.st_dev && p->ino == st.st_ino)
		carry_file_wrote(c, carry_same(fd, p->at, data, len_of(p)));
	while (len_of(p)) {
		if (fstat(fd, &st) < 0)
			return;
		carry_file_note(c, st.st_dev, st.st_ino, (uint64_t)st.st_size);
		ssize_t n = write(fd, c->j->files + start_of(p), len_of(p));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return;
		carry_file_wrote(c, (size_t)n);
	}
}

void carry_files_recover(struct carry *c)
{
	if (!c->fill.files)
		return;
	for (c->piece = 0; c->piece < c->fill.files; c->piece++)
		if (len_of(&c->j->pieces[c->piece]))
			recover_piece(c, &c->j->pieces[c->piece]);
	c->fill.files = 0;
	carry_set_fill(c, c->fill.len, c->fill.n);
}
