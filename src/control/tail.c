#include "control/tail.h"

bool tail_empty(const struct tail *t)
{
	return t->head == t->len && (!t->lost || t->inside);
}

void tail_done(struct tail *t)
{
	free(t->data);
	t->data = NULL;
	t->head = t->len = t->cap = 0;
}

static size_t line_end(const struct tail *t, size_t from)
{
	const char *end = from < t->len ? memchr(t->data + from, '\n', t->len - from) : NULL;

	return end ? (size_t)(end - t->data) + 1 : t->len;
}

/* Of what is to be read, the older half goes; never the rest of a line that was begun. */
static void drop_half(struct tail *t)
{
	size_t start = t->inside ? line_end(t, t->head) : t->head;
	size_t cut = line_end(t, start + (t->len - start) / 2);

	for (size_t at = start; at < cut; at = line_end(t, at))
		t->lost++;
	memmove(t->data + start, t->data + cut, t->len - cut);
	t->len -= cut - start;
}

static int grow(struct tail *t, size_t size)
{
	size_t cap = t->cap ? t->cap : 4096;

	if (t->head) {
		memmove(t->data, t->data + t->head, t->len - t->head);
		t->len -= t->head;
		t->head = 0;
	}
	while (cap < t->len + size)
		cap *= 2;
	if (cap == t->cap)
		return 0;
	char *grown = realloc(t->data, cap);
	if (!grown)
		return -1;
	t->data = grown;
	t->cap = cap;
	return 0;
}

char *tail_room(struct tail *t, size_t size)
{
	while (t->len > t->head && t->len - t->head + size > t->limit) {
		size_t before = t->len;

		drop_half(t);
		/* Only the rest of a begun line is left. */
		if (t->len == before)
			break;
	}
	if (t->len + size > t->cap && grow(t, size) < 0) {
		t->lost++;
		return NULL;
	}
	return t->data + t->len;
}

void tail_added(struct tail *t, size_t size)
{
	t->len += size;
}

size_t tail_read(struct tail *t, char *to, size_t max)
{
	size_t at = 0;

	while (at < max && !tail_empty(t)) {
		if (t->lost && !t->inside) {
			if (max - at < TAIL_GAP_MAX)
				break;
			int n = t->gap(t->lost, to + at, max - at);
			at += n > 0 ? (size_t)n : 0;
			t->lost = 0;
			continue;
		}
		/* With lines lost only the one that was begun is taken: theirs comes next. */
		size_t n = (t->lost ? line_end(t, t->head) : t->len) - t->head;
		n = n < max - at ? n : max - at;
		memcpy(to + at, t->data + t->head, n);
		at += n;
		t->head += n;
		t->inside = to[at - 1] != '\n';
	}
	/* What a burst took is given back. */
	if (t->head == t->len && t->cap > 4096)
		tail_done(t);
	return at;
}
