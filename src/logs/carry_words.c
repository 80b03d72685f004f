#include "logs/carry_private.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/ioctl.h>

static void store(uint64_t *word, uint64_t value)
{
	__atomic_store_n(word, value, __ATOMIC_RELEASE);
}

void carry_set_file(struct carry *c, uint64_t at, uint64_t len)
{
	store(&c->j->file_len, 0);
	store(&c->j->file_start, c->out.start);
	store(&c->j->file_at, at);
	store(&c->j->file_len, len);
}

void carry_set_fill(struct carry *c, uint32_t len, uint32_t n)
{
	c->fill.len = len;
	c->fill.n = n;
	store(&c->j->fill, (uint64_t)len << 32 | (uint64_t)c->fill.files << 16 | n);
}

void carry_set_taking(struct carry *c)
{
	const struct taking *t = &c->taking;

	store(&c->j->taking, (uint64_t)t->done << 44 | (uint64_t)t->base << 17 |
				     (uint64_t)t->emptying << 16 | t->index);
}

void carry_set_done(struct carry *c, uint32_t take, uint32_t done)
{
	__atomic_store_n(&c->j->takes[take].done, done, __ATOMIC_RELEASE);
}

void carry_set_out(struct carry *c)
{
	store(&c->j->out, (uint64_t)c->out.start << 32 | c->out.end);
}

void carry_load(struct carry *c)
{
	uint64_t fill = c->j->fill, taking = c->j->taking, out = c->j->out;

	c->fill = (struct fill){
		.len = (uint32_t)(fill >> 32),
		.files = (uint32_t)fill >> 16,
		.n = (uint16_t)fill,
	};
	c->out = (struct out){.start = (uint32_t)(out >> 32), .end = (uint32_t)out};
	c->taking = (struct taking){
		.done = (uint32_t)(taking >> 44),
		.base = (uint32_t)(taking >> 17) & ((1U << 27) - 1),
		.emptying = taking >> 16 & 1,
		.index = (uint16_t)taking,
	};
}

void carry_set_left(struct carry *c, uint32_t piece, uint32_t start, uint32_t len)
{
	store(&c->j->pieces[piece].left, (uint64_t)start << 32 | len);
}

void carry_set_place(struct carry *c, uint32_t piece, uint64_t dev, uint64_t ino, uint64_t at)
{
	struct piece *p = &c->j->pieces[piece];

	store(&p->at_start, 0);
	store(&p->dev, dev);
	store(&p->ino, ino);
	store(&p->at, at);
	store(&p->at_start, 1 + (p->left >> 32));
}

/* ---- pipes ---- */

uint32_t carry_held(int pipe)
{
	int held = 0;

	return ioctl(pipe, FIONREAD, &held) == 0 && held > 0 ? (uint32_t)held : 0;
}

void carry_empty(const struct carry *c, int pipe)
{
	ssize_t n;

	do
		n = splice(pipe, NULL, c->null, NULL, INT_MAX, SPLICE_F_NONBLOCK);
	while (n > 0 || (n < 0 && errno == EINTR));
}
