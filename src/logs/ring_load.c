/* What an earlier life of the supervisor left in the file, whatever may have happened to it since.
 */
#include "logs/ring_private.h"

#define NUMBER_MAX (UINT64_MAX / 2)

struct found {
	uint64_t number;
	uint32_t chunk, owner;
};

static int compare(const void *a, const void *b)
{
	const struct found *x = a, *y = b;

	return x->number < y->number ? -1 : x->number > y->number;
}

static void load_entry(struct rings *r, uint32_t i)
{
	struct ring_entry e = r->file.entries[i];

	e.name[sizeof e.name - 1] = '\0';
	if (e.stream == STREAM_SYSTEM ? e.name[0] != '\0'
				      : !ring_name_valid(e.name, strlen(e.name)))
		return;
	if (e.stream != STREAM_OUT && e.stream != STREAM_ERR && e.stream != STREAM_SYSTEM)
		return;
	(void)rings_insert(r, i, e.name, (enum log_stream)e.stream, e.color);
}

/* Whether what comes next can be put behind what is there. */
static bool ends_well(const struct rings *r, uint32_t chunk, uint32_t used)
{
	const char *data = ring_file_chunk(&r->file, chunk);
	struct ring_record is;
	size_t at = 0, last;

	while (at < used)
		if (!ring_record_at(data, used, at, &is, &at))
			return false;
	return used == 0 || ring_record_before(data, used, &last);
}

static void load_chunks(struct rings *r, const struct found *found, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct ring *ring = r->by_entry[found[i].owner];

		if (!ring_push(ring, found[i].chunk)) {
			r->file.table[found[i].chunk].owner = 0;
			rings_spare(r, found[i].chunk);
			continue;
		}
		ring_touch(ring);
		r->number = found[i].number;
	}
	for (size_t i = 0; i < r->n_entries; i++) {
		struct ring *ring = r->by_entry[i];

		if (!ring || ring->n == 0)
			continue;
		ring->max = ring->n;
		uint32_t used = r->file.table[ring->newest].used;
		if (used < RING_CHUNK && ends_well(r, ring->newest, used))
			ring->used = used;
	}
}

void rings_load(struct rings *r)
{
	const struct ring_header *h = r->file.header;
	uint32_t entries = h->used_entries, chunks = h->used_chunks;
	_cleanup_free_ struct found *found = calloc(chunks + (size_t)1, sizeof *found);
	size_t n = 0;

	if (!found)
		return;
	for (uint32_t i = 0; i < entries; i++)
		load_entry(r, i);
	for (uint32_t i = 0; i < chunks; i++) {
		struct ring_chunk c = r->file.table[i];

		if (c.owner == 0 || c.owner > r->n_entries || !r->by_entry[c.owner - 1] ||
			c.used > RING_CHUNK || c.number == 0 || c.number > NUMBER_MAX) {
			/* Or else it would be of whoever gets that entry. */
			r->file.table[i].owner = 0;
			rings_spare(r, i);
			continue;
		}
		found[n++] = (struct found){c.number, i, c.owner - 1};
	}
	qsort(found, n, sizeof *found, compare);
	load_chunks(r, found, n);
}
