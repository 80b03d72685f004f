#include "logs/ring_private.h"

#include <errno.h>

#define RING_BYTES_MIN ((size_t)4 * RING_CHUNK) /* a line of LIMIT_LINE fits */
#define PIECE_MIN      100 /* of a line at the end of a chunk: a name fits (LIMIT_NAME) */

_Static_assert(LIMIT_NAME + 1 < PIECE_MIN && LIMIT_NAME < RING_NAME, "a name lies in one piece");
_Static_assert(LIMIT_FOLLOWERS <= 64, "a bit for each");

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
	if (e == 0 && !rings_more_buckets(r))
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
