/* The directory of the rings: which name has which. */
#include "logs/ring_private.h"

#include "base/hash.h"

#include <errno.h>

/* Of a release, or from a file that may be damaged: nothing of it may steer a terminal. */
bool ring_name_valid(const char *name, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (name[i] <= ' ' || name[i] > '~')
			return false;
	return len > 0 && len <= LIMIT_NAME;
}

static uint64_t hash_of(const char *name, enum log_stream stream)
{
	return hash_u64(hash_str(HASH_INIT, name), stream);
}

static struct ring **bucket_of(struct rings *r, const char *name, enum log_stream stream)
{
	return &r->buckets[hash_of(name, stream) & (r->n_buckets - 1)];
}

static struct ring *look_up(struct rings *r, const char *name, enum log_stream stream)
{
	struct ring *ring = *bucket_of(r, name, stream);

	while (ring && (ring->stream != stream || strcmp(ring->name, name) != 0))
		ring = ring->same;
	return ring;
}

bool rings_more_buckets(struct rings *r)
{
	size_t n = r->n_buckets ? 2 * r->n_buckets : 64;
	struct ring **buckets = calloc(n, sizeof(struct ring *));

	if (!buckets)
		return false;
	free(r->buckets);
	r->buckets = buckets;
	r->n_buckets = n;
	for (size_t i = 0; i < r->n_entries; i++) {
		struct ring *ring = r->by_entry[i];

		if (!ring)
			continue;
		struct ring **to = bucket_of(r, ring->name, ring->stream);
		ring->same = *to;
		*to = ring;
	}
	return true;
}

struct ring *rings_insert(
	struct rings *r, uint32_t entry, const char *name, enum log_stream stream, unsigned color)
{
	size_t size = strlen(name) + 1;

	if (look_up(r, name, stream))
		return NULL;
	if (entry >= r->n_buckets && !rings_more_buckets(r))
		return NULL;
	if (mem_grow(&r->by_entry, &r->cap_entries, entry + 1, r->file.header->max_entries,
		    sizeof(struct ring *)) < 0)
		return NULL;
	struct ring *ring = calloc(1, sizeof *ring + size);
	if (!ring)
		return NULL;
	ring->rings = r;
	ring->entry = entry;
	ring->stream = stream;
	ring->color = color;
	ring->used = RING_CHUNK;
	ring->epoch = r->epoch - 1;
	memcpy(ring->name, name, size);
	struct ring **to = bucket_of(r, name, stream);
	ring->same = *to;
	*to = ring;
	r->by_entry[entry] = ring;
	if (r->n_entries <= entry)
		r->n_entries = entry + 1;
	return ring;
}

static void forget(struct ring *ring)
{
	struct rings *r = ring->rings;
	struct ring **at = bucket_of(r, ring->name, ring->stream);

	ring_drop(ring);
	while (*at != ring)
		at = &(*at)->same;
	*at = ring->same;
	__atomic_store_n(&r->file.entries[ring->entry].stream, 0, __ATOMIC_RELEASE);
	r->by_entry[ring->entry] = NULL;
	if (r->newest == ring)
		r->newest = NULL;
	free(ring->chunks);
	free(ring);
}

/* When it wrote last, as far as who has given all of its chunks still knows. */
static uint64_t last_number(const struct ring *ring)
{
	if (ring->n == 0)
		return 0;
	return ring->rings->file.table[ring->newest].number;
}

/* An entry of the directory that is free, or is freed now: of the one that nobody holds and that
 * has been silent for longest. */
static int find_entry(struct rings *r, uint32_t *ret_entry)
{
	struct ring_header *h = r->file.header;
	struct ring *oldest = NULL;

	if (h->used_entries < h->max_entries) {
		int e = ring_file_grow_entries(&r->file);

		if (e == 0)
			*ret_entry = h->used_entries;
		return e;
	}
	for (uint32_t i = 0; i < r->n_entries; i++) {
		struct ring *ring = r->by_entry[i];

		if (!ring) {
			*ret_entry = i;
			return 0;
		}
		if (ring->refs == 0 && (!oldest || last_number(ring) < last_number(oldest)))
			oldest = ring;
	}
	if (!oldest)
		return -ENOSPC;
	*ret_entry = oldest->entry;
	forget(oldest);
	return 0;
}

struct ring *rings_find(struct rings *r, const char *name, enum log_stream stream)
{
	struct ring *ring = look_up(r, name, stream);
	uint32_t entry = 0;

	if (ring)
		return ring;
	if (find_entry(r, &entry) < 0)
		return NULL;
	ring = rings_insert(r, entry, name, stream, 0);
	if (!ring)
		return NULL;
	struct ring_entry *e = &r->file.entries[entry];
	*e = (struct ring_entry){0};
	memcpy(e->name, name, strlen(name) + 1);
	__atomic_store_n(&e->stream, stream, __ATOMIC_RELEASE);
	if (entry == r->file.header->used_entries)
		__atomic_store_n(&r->file.header->used_entries, entry + 1, __ATOMIC_RELEASE);
	return ring;
}
