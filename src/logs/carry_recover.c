#include "logs/carry_private.h"

#define MAGIC	  UINT64_C(0x79727261632d7368)
#define MOST_TAKE (1U << 19)

static bool sound_takes(const struct carry *c, bool same)
{
	const struct taking *t = &c->taking;

	for (uint32_t i = 0; i < c->fill.n; i++)
		if (c->j->takes[i].bytes > MOST_TAKE || c->j->takes[i].done > c->j->takes[i].bytes)
			return false;
	if (c->fill.n == 0 || t->index == NO_TAKE)
		return true;
	if (t->index >= c->fill.n || t->done > c->j->takes[t->index].bytes)
		return false;
	if (!same || t->emptying)
		return true;
	uint32_t held = carry_held(c->h);
	return held >= t->base && held - t->base <= c->j->takes[t->index].bytes - t->done;
}

static bool sound_out(const struct carry *c, bool same)
{
	const struct out *o = &c->out;

	if (c->fill.len == 0)
		return true;
	if (o->start > o->end || o->end > c->fill.len)
		return false;
	uint32_t most = (o->start == o->end ? c->fill.len : o->end) - o->start;
	return (!same || carry_held(c->o) <= most) &&
	       (c->j->file_len == 0 || c->j->file_start != o->start ||
		       c->j->file_len <= c->fill.len - o->start);
}

/* The take on its way through H that is gone may be done or not: taken once more, it would take
 * what came after it. */
static void forget_h(struct carry *c)
{
	struct taking *t = &c->taking;

	if (c->fill.n == 0 || t->index == NO_TAKE || t->emptying)
		return;
	carry_set_done(c, t->index, c->j->takes[t->index].bytes);
	*t = (struct taking){.index = NO_TAKE};
	carry_set_taking(c);
}

static void recover_h(struct carry *c)
{
	struct taking *t = &c->taking;

	if (c->fill.n == 0)
		t->index = NO_TAKE;
	if (!t->emptying && t->index != NO_TAKE)
		t->done += carry_held(c->h) - t->base;
	t->base = 0;
	t->emptying = true;
	carry_set_taking(c);
	carry_empty(c, c->h);
	t->emptying = false;
	carry_set_taking(c);
}

static void recover_o(struct carry *c)
{
	uint32_t held = carry_held(c->o);

	if (c->fill.len == 0)
		carry_empty(c, c->o);
	else if (c->out.start == c->out.end)
		c->out.end += held;
	else
		c->out.start = c->out.end - held;
	carry_set_out(c);
}

static void start_fresh(struct carry *c, uint64_t h_ino, uint64_t o_ino)
{
	__atomic_store_n(&c->j->magic, 0, __ATOMIC_RELEASE);
	carry_empty(c, c->h);
	carry_empty(c, c->o);
	c->fill.files = 0;
	carry_set_fill(c, 0, 0);
	c->taking = (struct taking){.index = NO_TAKE};
	c->out = (struct out){0};
	carry_set_taking(c);
	carry_set_out(c);
	carry_set_file(c, 0, 0);
	c->j->layout = CARRY_LAYOUT;
	c->j->size = sizeof *c->j;
	c->j->h_ino = h_ino;
	c->j->o_ino = o_ino;
	__atomic_store_n(&c->j->magic, MAGIC, __ATOMIC_RELEASE);
}

void carry_recover(struct carry *c, bool is_new, uint64_t h_ino, uint64_t o_ino)
{
	bool same = c->j->h_ino == h_ino && c->j->o_ino == o_ino;

	carry_load(c);
	is_new = is_new || c->j->magic == 0;
	if (is_new)
		;
	else if (c->j->magic != MAGIC || c->j->layout != CARRY_LAYOUT || c->j->size != sizeof *c->j)
		c->refused = "it is another version's";
	else if (c->fill.len > CARRY_BYTES || c->fill.n > CARRY_TAKES || !sound_takes(c, same) ||
		 !carry_files_sound(c) || !sound_out(c, same))
		c->refused = "it is damaged";
	if (is_new || c->refused) {
		start_fresh(c, h_ino, o_ino);
		return;
	}
	if (!same) {
		forget_h(c);
		c->out.end = c->out.start;
		carry_set_out(c);
		carry_empty(c, c->h);
		carry_empty(c, c->o);
		__atomic_store_n(&c->j->h_ino, h_ino, __ATOMIC_RELEASE);
		__atomic_store_n(&c->j->o_ino, o_ino, __ATOMIC_RELEASE);
	}
	recover_h(c);
	recover_o(c);
	carry_files_recover(c);
	if (!carry_owes(c))
		carry_set_fill(c, c->fill.len, 0);
}
