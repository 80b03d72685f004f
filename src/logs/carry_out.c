#include "logs/carry_private.h"

#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What others may write to a file of ours while we write once, or are being replaced. */
#define OTHERS_BYTES (64 << 10)

static void put_out(struct carry *c, size_t bytes)
{
	c->out.start = c->out.end = c->out.start + (uint32_t)bytes;
	carry_set_out(c);
}

/* ---- a regular file ---- */

static void note_write(struct carry *c, const struct outlet *to, size_t len)
{
	struct stat st;
	off_t at = lseek(to->fd, 0, SEEK_CUR);

	if ((fcntl(to->fd, F_GETFL) & O_APPEND) && fstat(to->fd, &st) == 0)
		at = st.st_size;
	if (at >= 0)
		carry_set_file(c, (uint64_t)at, len);
}

size_t carry_same(int file, uint64_t at, const char *data, size_t len)
{
	size_t same = 0;
	char got[4096];

	while (same < len) {
		size_t want = len - same < sizeof got ? len - same : sizeof got, i = 0;
		ssize_t n = pread(file, got, want, (off_t)(at + same));

		while (n > 0 && i < (size_t)n && got[i] == data[same + i])
			i++;
		same += i;
		if (n <= 0 || i < (size_t)n)
			break;
	}
	return same;
}

/* The first place behind the next end of a line, or behind what can be looked at at once. */
static uint64_t next_line(int file, uint64_t at)
{
	char got[4096];
	ssize_t n = pread(file, got, sizeof got, (off_t)at);
	const char *end = n > 0 ? memchr(got, '\n', (size_t)n) : NULL;

	return end ? at + (uint64_t)(end + 1 - got) : n > 0 ? at + (uint64_t)n : UINT64_MAX;
}

/* How much of our data is in the file. The launcher writes lines there, too: between our look at
 * where the end is and our write, so that ours begin behind them; and after a kill in the midst of
 * our write, so that the line that was torn is to be written anew, not to be gone on with. */
static size_t find_written(int file, uint64_t noted, const char *data, size_t len)
{
	struct stat st;

	if (fstat(file, &st) < 0)
		return 0;
	for (uint64_t at = noted; at < (uint64_t)st.st_size && at - noted < OTHERS_BYTES;
		at = next_line(file, at)) {
		size_t same = carry_same(file, at, data, len);

		if (same == len || at + same == (uint64_t)st.st_size)
			return same;
		const char *end = memrchr(data, '\n', same);
		if (end)
			return (size_t)(end + 1 - data);
	}
	return 0;
}

/* How much of a write that may have happened is there. */
static size_t written(const struct carry *c, const struct outlet *to)
{
	size_t len = c->j->file_len;
	off_t at = (off_t)c->j->file_at;
	char path[40];

	(void)snprintf(path, sizeof path, "/proc/self/fd/%d", to->fd);
	_cleanup_close_ int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return lseek(to->fd, 0, SEEK_CUR) == at + (off_t)len ? len : 0;
	return find_written(fd, (uint64_t)at, c->j->buffer + c->out.start, len);
}

void carry_resume(struct carry *c, const struct outlet *to)
{
	if (c->fill.len > 0 && c->out.start == c->out.end && to->regular && c->j->file_len > 0 &&
		c->j->file_start == c->out.start)
		put_out(c, written(c, to));
}

/* ---- out ---- */

static int write_out(struct carry *c, const struct outlet *to)
{
	const char *data = c->j->buffer + c->out.start;
	size_t len = outlet_piece(to, data, c->fill.len - c->out.start);

	if (to->regular && carry_survives(c))
		note_write(c, to, len);
	ssize_t n = outlet_write(to, data, len);
	if (n < 0)
		return -errno;
	put_out(c, (size_t)n);
	return 0;
}

static void fill_o(struct carry *c, const struct outlet *to)
{
	struct out *o = &c->out;

	while (o->end < c->fill.len) {
		const char *data = c->j->buffer + o->end;
		ssize_t n = write(c->o, data, outlet_piece(to, data, c->fill.len - o->end));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		o->end += (uint32_t)n;
	}
	carry_set_out(c);
}

static int splice_out(struct carry *c, const struct outlet *to)
{
	struct out *o = &c->out;

	if (o->start == o->end)
		fill_o(c, to);
	if (o->start == o->end)
		return write_out(c, to);
	ssize_t n = outlet_splice(to, c->o, o->end - o->start);
	if (n < 0 && errno == EINVAL) {
		c->no_splice = true;
		o->end = o->start;
		carry_set_out(c);
		carry_empty(c, c->o);
		return 0;
	}
	if (n < 0 && (errno != EAGAIN || carry_held(c->o)))
		return -errno;
	/* Nothing came of an O that holds nothing: somebody else has read from it. */
	o->start = n > 0 ? o->start + (uint32_t)n : o->end;
	carry_set_out(c);
	return 0;
}

int carry_out(struct carry *c, const struct outlet *to)
{
	int r = 0;

	carry_publish(c);
	while (r == 0 && c->out.start < c->fill.len) {
		/* A sink of another kind than the earlier supervisor's may have to go on with O. */
		if ((carry_survives(c) && to->fed && !c->no_splice) || c->out.start < c->out.end)
			r = splice_out(c, to);
		else
			r = write_out(c, to);
		if (r == -EINTR)
			r = 0;
	}
	if (r == -EAGAIN)
		return r;
	carry_set_fill(c, 0, c->fill.n);
	if (r < 0 && carry_survives(c))
		carry_empty(c, c->o);
	c->len = 0;
	return r;
}
