#include "logs/ring_private.h"

#include "base/hash.h"

#include <errno.h>

#define RING_BYTES_MIN ((size_t)4 * RING_CHUNK) /* a line of LIMIT_LINE fits */
#define PIECE_MIN      100 /* of a line at the end of a chunk: a name fits (LIMIT_NAME) */

_Static_assert(LIMIT_NAME + 1 < PIECE_MIN && LIMIT_NAME < RING_NAME, "a name lies in one piece");
_Static_assert(LIMIT_FOLLOWERS <= 64, "a bit for each");

/* ---- names ---- */

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

static bool more_buckets(struct rings *r)
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
	if (entry >= r->n_buckets && !more_buckets(r))
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

static void set_bytes(struct ring *ring, unsigned color, size_t bytes)
{
	if (bytes > LIMIT_RING_BYTES)
		bytes = LIMIT_RING_BYTES;
	if (bytes > 0 && bytes < RING_BYTES_MIN)
		bytes = RING_BYTES_MIN;
	ring->max = (uint32_t)(bytes / RING_CHUNK);
	if (ring->color != color)
		ring->rings->file.entries[ring->entry].color = ring->color = color;
}

struct ring *rings_ring(
	struct rings *r, const char *procid, enum log_stream stream, unsigned color, size_t bytes)
{
	if (!r || (stream != STREAM_OUT && stream != STREAM_ERR) ||
		!ring_name_valid(procid, strlen(procid)))
		return NULL;
	struct ring *ring = rings_find(r, procid, stream);
	if (!ring)
		return NULL;
	set_bytes(ring, color, bytes);
	ring->refs++;
	return ring;
}

struct ring *ring_unref(struct ring *ring)
{
	if (ring)
		ring->refs--;
	return NULL;
}

/* ---- adding ---- */

static void put_piece(
	struct ring *ring, uint64_t wall_ns, const char *text, size_t len, unsigned flags)
{
	struct ring_file *f = &ring->rings->file;
	char *at = ring_file_chunk(f, ring->newest) + ring->used;
	struct ring_record head = {
		.wall_ns = wall_ns, .len = (uint16_t)len, .flags = (uint16_t)flags};
	uint16_t size = (uint16_t)(RECORD_OVERHEAD + len);

	memcpy(at, &head, sizeof head);
	memcpy(at + sizeof head, text, len);
	memcpy(at + sizeof head + len, &size, sizeof size);
	ring->used += size;
	__atomic_store_n(&f->table[ring->newest].used, ring->used, __ATOMIC_RELEASE);
}

static void keep(struct ring *ring, uint64_t wall_ns, const char *text, size_t len, unsigned flags)
{
	if (ring->rings->newest != ring)
		ring_touch(ring);
	for (;;) {
		size_t room = RING_CHUNK - ring->used;

		if (room < RECORD_OVERHEAD + (len < PIECE_MIN ? len : PIECE_MIN)) {
			if (!ring_next_chunk(ring))
				return;
			room = RING_CHUNK;
		}
		size_t piece = room - RECORD_OVERHEAD;
		if (piece >= len) {
			put_piece(ring, wall_ns, text, len, flags);
			return;
		}
		put_piece(ring, wall_ns, text, piece, flags | RECORD_MORE);
		flags |= RECORD_CONTINUES;
		text += piece;
		len -= piece;
	}
}

void ring_add(
	struct ring *ring, uint64_t wall_ns, const char *text, size_t len, enum ring_flags flags)
{
	if (!ring)
		return;
	if (ring->rings->following) {
		const struct log_line line = {
			.wall_ns = wall_ns,
			.source = "app",
			.procid = ring->name,
			.color = ring->color,
			.stream = ring->stream,
			.text = text,
			.len = len,
			.whole = flags & RING_WHOLE,
			.partial = flags & RING_PARTIAL,
		};
		ring_tell(ring, &line);
	}
	keep(ring, wall_ns, text, len < RING_LINE_MAX ? len : RING_LINE_MAX, flags);
}

bool ring_split_name(const char **text, size_t *len, const char **ret_name, size_t *ret_len)
{
	if (*len == 0)
		return false;
	size_t n = (unsigned char)(*text)[0];
	if (n >= *len || !ring_name_valid(*text + 1, n))
		return false;
	*ret_name = *text + 1;
	*ret_len = n;
	*text += 1 + n;
	*len -= 1 + n;
	return true;
}

static void add_own(struct rings *r, const struct log_line *line)
{
	char data[1 + LIMIT_NAME + RING_LINE_MAX];
	size_t name = strlen(line->procid), len = line->len;

	if (r->following)
		ring_tell_own(r, line);
	struct ring *ring = rings_find(r, "", STREAM_SYSTEM);
	if (!ring || !ring_name_valid(line->procid, name))
		return;
	set_bytes(ring, 0, LIMIT_RING_SYSTEM);
	if (len > RING_LINE_MAX - name - 1)
		len = RING_LINE_MAX - name - 1;
	data[0] = (char)name;
	memcpy(data + 1, line->procid, name);
	memcpy(data + 1 + name, line->text, len);
	keep(ring, line->wall_ns, data, 1 + name + len, 0);
}

void rings_add(struct rings *r, const struct log_line *line, size_t bytes)
{
	if (!r)
		return;
	if (line->stream == STREAM_SYSTEM) {
		add_own(r, line);
		return;
	}
	struct ring *ring = r->newest;
	if (!ring || ring->stream != line->stream || strcmp(ring->name, line->procid) != 0) {
		if (!ring_name_valid(line->procid, strlen(line->procid)))
			return;
		ring = rings_find(r, line->procid, line->stream);
	}
	if (!ring)
		return;
	set_bytes(ring, line->color, bytes);
	ring_add(ring, line->wall_ns, line->text, line->len,
		(line->whole ? RING_WHOLE : 0) | (line->partial ? RING_PARTIAL : 0));
}

/* ---- the whole ---- */

int rings_open_shape(const char *path, uint32_t max_entries, uint32_t max_chunks,
	struct rings **ret_rings, struct err *err)
{
	struct rings *r = calloc(1, sizeof *r);

	if (!r)
		return err_errno(err, -ENOMEM, "log rings");
	r->file.fd = -1;
	TAILQ_INIT(&r->lately);
	int e = ring_file_open(path, max_entries, max_chunks, &r->file, &r->refused, err);
	if (e == 0 && !more_buckets(r))
		e = err_errno(err, -ENOMEM, "log rings");
	if (e < 0) {
		rings_free(r);
		return e;
	}
	rings_load(r);
	*ret_rings = r;
	return 0;
}

int rings_open(const char *path, struct rings **ret_rings, struct err *err)
{
	return rings_open_shape(
		path, LIMIT_RINGS, (uint32_t)(LIMIT_RINGS_BYTES / RING_CHUNK), ret_rings, err);
}

struct rings *rings_free(struct rings *r)
{
	if (!r)
		return NULL;
	for (size_t i = 0; i < r->n_entries; i++)
		if (r->by_entry[i]) {
			free(r->by_entry[i]->chunks);
			free(r->by_entry[i]);
		}
	for (size_t i = 0; i < LIMIT_FOLLOWERS; i++)
		free(r->followers[i]);
	free(r->by_entry);
	free(r->buckets);
	free(r->spare);
	ring_file_close(&r->file);
	free(r);
	return NULL;
}

const char *rings_refused(const struct rings *r)
{
	return r->refused.code ? r->refused.text : NULL;
}

const char *rings_trouble(struct rings *r)
{
	if (!r->trouble.code || r->trouble_told)
		return NULL;
	r->trouble_told = true;
	return r->trouble.text;
}
