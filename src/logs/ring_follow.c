#include "logs/ring_private.h"

#include <fnmatch.h>

struct ring_follower {
	struct rings *rings;
	const struct ring_query *query;
	void (*line)(void *userdata, const struct log_line *line);
	void *userdata;
	unsigned bit;
};

static bool name_fits(const char *pattern, const char *procid)
{
	const char *dot = strchr(procid, '.');
	char type[LIMIT_NAME + 1];

	if (fnmatch(pattern, procid, 0) == 0)
		return true;
	if (strchr(pattern, '.') || !dot || (size_t)(dot - procid) > LIMIT_NAME)
		return false;
	memcpy(type, procid, (size_t)(dot - procid));
	type[dot - procid] = '\0';
	return fnmatch(pattern, type, 0) == 0;
}

bool ring_query_fits(const struct ring_query *q, const char *procid, enum log_stream stream)
{
	if (q->streams && !(q->streams & 1U << stream))
		return false;
	for (size_t i = 0; i < q->n_names; i++)
		if (name_fits(q->names[i], procid))
			return true;
	return q->n_names == 0;
}

static void tell(struct rings *r, uint64_t whom, const struct log_line *line)
{
	for (; whom; whom &= whom - 1) {
		/* It may have gone with the one before. */
		const struct ring_follower *f = r->followers[__builtin_ctzll(whom)];

		if (f)
			f->line(f->userdata, line);
	}
}

static uint64_t who_follows(const struct rings *r, const char *procid, enum log_stream stream)
{
	uint64_t who = 0;

	for (unsigned i = 0; i < LIMIT_FOLLOWERS; i++)
		if (r->followers[i] && ring_query_fits(r->followers[i]->query, procid, stream))
			who |= UINT64_C(1) << i;
	return who;
}

void ring_tell(struct ring *ring, const struct log_line *line)
{
	struct rings *r = ring->rings;

	if (ring->epoch != r->epoch) {
		ring->followed = who_follows(r, ring->name, ring->stream);
		ring->epoch = r->epoch;
	}
	tell(r, ring->followed, line);
}

void ring_tell_own(struct rings *r, const struct log_line *line)
{
	tell(r, who_follows(r, line->procid, line->stream), line);
}

struct ring_follower *rings_follow(struct rings *r, const struct ring_query *query,
	void (*line)(void *userdata, const struct log_line *line), void *userdata)
{
	unsigned bit = 0;

	while (bit < LIMIT_FOLLOWERS && r->followers[bit])
		bit++;
	if (bit == LIMIT_FOLLOWERS)
		return NULL;
	struct ring_follower *f = malloc(sizeof *f);
	if (!f)
		return NULL;
	*f = (struct ring_follower){r, query, line, userdata, bit};
	r->followers[bit] = f;
	r->following |= UINT64_C(1) << bit;
	r->epoch++;
	return f;
}

void rings_unfollow(struct ring_follower *f)
{
	if (!f)
		return;
	f->rings->followers[f->bit] = NULL;
	f->rings->following &= ~(UINT64_C(1) << f->bit);
	f->rings->epoch++;
	free(f);
}
