#include "logs/carry_private.h"

#include <errno.h>
#include <fcntl.h>

size_t carry_space(const struct carry *c)
{
	/* A published fill is read by a successor as it is; without one it may grow. */
	return c->fill.len > 0 && carry_survives(c) ? 0 : CARRY_BYTES - c->len;
}

char *carry_room(struct carry *c, size_t need)
{
	return need > carry_space(c) ? NULL : c->j->buffer + c->len;
}

void carry_added(struct carry *c, const char *end)
{
	c->len = (uint32_t)(end - c->j->buffer);
}

void carry_will_take(struct carry *c, uint64_t dev, uint64_t ino, size_t bytes)
{
	c->j->takes[c->n++] = (struct take){.dev = dev, .ino = ino, .bytes = (uint32_t)bytes};
}

void carry_publish(struct carry *c)
{
	if (c->fill.len > 0 && !carry_survives(c))
		c->fill.len = c->len;
	if (c->fill.len > 0 || (c->len == 0 && c->n == 0 && c->n_pieces == 0))
		return;
	/* None of these counts while the fill is empty. */
	c->out = (struct out){0};
	carry_set_out(c);
	carry_set_file(c, 0, 0);
	if (c->n) {
		c->taking.index = NO_TAKE;
		carry_set_taking(c);
		c->next = 0;
	}
	c->fill.files = c->n_pieces;
	carry_set_fill(c, c->len, c->n ? c->n : c->fill.n);
	c->n = c->n_pieces = 0;
}

static bool is_done(const struct carry *c, uint32_t i)
{
	return c->j->takes[i].done == c->j->takes[i].bytes;
}

bool carry_owes(const struct carry *c)
{
	for (uint32_t i = 0; i < c->fill.n; i++)
		if (!is_done(c, i) &&
			(i != c->taking.index || c->taking.done < c->j->takes[i].bytes))
			return true;
	return false;
}

static void begin_take(struct carry *c, uint32_t i)
{
	struct taking *t = &c->taking;

	if (t->index == i)
		return;
	/* One that an earlier supervisor began, and whose pipe did not come yet. */
	if (t->index != NO_TAKE && !is_done(c, t->index))
		carry_set_done(c, t->index, t->done);
	t->index = (uint16_t)i;
	t->done = c->j->takes[i].done;
	carry_set_taking(c);
}

static void take(struct carry *c, uint32_t i, int fd)
{
	uint32_t bytes = c->j->takes[i].bytes;
	struct taking *t = &c->taking;

	begin_take(c, i);
	while (t->done < bytes) {
		ssize_t n = splice(
			fd, NULL, c->h, NULL, bytes - t->done, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);

		if (n < 0 && errno == EINTR)
			continue;
		if (n > 0) {
			/* Not stored: H says it. */
			t->done += (uint32_t)n;
			t->base += (uint32_t)n;
			continue;
		}
		/* Somebody else has read from this pipe. */
		if (t->base == 0)
			break;
		t->emptying = true;
		carry_set_taking(c);
		carry_empty(c, c->h);
		t->base = 0;
		t->emptying = false;
		carry_set_taking(c);
	}
	carry_set_done(c, i, bytes);
}

void carry_take(struct carry *c, int fd)
{
	take(c, c->next++, fd);
	if (c->next == c->fill.n)
		carry_set_fill(c, c->fill.len, 0);
}

void carry_adopt(struct carry *c, uint64_t dev, uint64_t ino, int fd)
{
	for (uint32_t i = 0; i < c->fill.n; i++)
		if (!is_done(c, i) && c->j->takes[i].dev == dev && c->j->takes[i].ino == ino)
			take(c, i, fd);
}

void carry_adopted(struct carry *c)
{
	if (c->fill.n)
		carry_set_fill(c, c->fill.len, 0);
}
