#include "drivers/docker/follow_private.h"

#include <errno.h>

/* dockerd stamps a message before it takes the lock of the log file, so of the two streams a later
 * message may have the earlier stamp; by no more than this. */
#define DISORDER (UINT64_C(60) * 1000000000)

static unsigned index_of(enum stream_which which)
{
	return which == STREAM_STDERR ? 1 : 0;
}

void follow_rewind(struct follow *f)
{
	for (unsigned i = 0; i < 2; i++) {
		struct place_mark mark = place_mark(&f->setup.place->streams[i]);

		f->positions[i] = (struct follow_position){
			.at = mark.at,
			.have = f->setup.place->streams[i].written,
			.max = mark.since,
			.counting = mark.since == 0,
		};
	}
	f->parser = (struct stream_parser){0};
	f->n_stamp = 0;
	f->stamped = f->skips = false;
	f->err = (struct err){0};
}

/* ---- marks ---- */

/* The clock was set back: no stamp tells what is behind this message, until they are higher than
 * all before. So a reading that begins meanwhile begins at the beginning, and this is exact. What
 * it cannot help: while nobody follows, or in a follow that was asked from a stamp on, the engine
 * gives nothing with stamps below that one, so what the container writes until its clock is there
 * again is lost. */
static void clock_went_back(struct follow *f, unsigned i)
{
	f->positions[i].wants = false;
	if (place_mark(&f->setup.place->streams[i]).since > 0)
		place_set_mark(&f->setup.place->streams[i], (struct place_mark){0});
}

/* A stream that is silent for long would have all of the other read again with every reading. All
 * it has said is older than `stamp` less DISORDER: what it may say later is not. */
static void mark_silent(struct follow *f, unsigned i, uint64_t stamp)
{
	struct place_stream *s = &f->setup.place->streams[i];
	struct follow_position *pos = &f->positions[i];
	uint64_t since = stamp > DISORDER ? stamp - DISORDER : 0;

	if (pos->wants || pos->at != s->written || since <= pos->max ||
		since < place_mark(s).since + DISORDER)
		return;
	place_set_mark(s, (struct place_mark){.since = since, .at = pos->at});
	pos->max = since;
	pos->counting = true;
}

void follow_marks(struct follow *f)
{
	for (unsigned i = 0; i < 2; i++) {
		struct follow_position *pos = &f->positions[i];

		if (!pos->wants || pos->want.at > f->setup.place->streams[i].written)
			continue;
		place_set_mark(&f->setup.place->streams[i], pos->want);
		pos->wants = false;
		mark_silent(f, !i, pos->want.since);
	}
}

/* ---- messages ---- */

static void begin_message(struct follow *f, unsigned i, uint64_t stamp)
{
	struct follow_position *pos = &f->positions[i];
	struct place_mark mark = place_mark(&f->setup.place->streams[i]);

	f->stamped = true;
	f->skips = !pos->counting && stamp < mark.since;
	if (f->skips)
		return;
	if (!pos->counting && stamp > mark.since)
		/* The marked message is gone (the engine has turned its log over), or was only a
		 * time: no byte was behind it. */
		pos->at = pos->have;
	pos->counting = true;
	if (pos->at < pos->have) {
		pos->max = stamp > pos->max ? stamp : pos->max;
	} else if (stamp > pos->max) {
		pos->max = stamp;
		/* One that still waits goes first: else a slow reader would never get any. */
		if (!pos->wants)
			pos->want = (struct place_mark){.since = stamp, .at = pos->at};
		pos->wants = true;
	} else if (stamp < pos->max) {
		clock_went_back(f, i);
	}
}

static int add_payload(struct follow *f, unsigned i, const char *data, size_t len)
{
	struct follow_position *pos = &f->positions[i];
	uint64_t known = pos->have > pos->at ? pos->have - pos->at : 0;

	if (f->skips)
		return 0;
	if (known < len) {
		int r = follow_pipe_add(
			&f->pipes[f->n_pipes > 1 ? i : 0], i, data + known, len - (size_t)known);

		if (r < 0)
			return err_errno(&f->err, r, "log of container %s", f->container);
		pos->have += len - known;
	}
	pos->at += len;
	return 0;
}

/* Bytes of the piece that were the stamp's; all of them and not stamped: there is more to come. */
static ssize_t take_stamp(struct follow *f, const struct stream_piece *piece)
{
	char text[sizeof f->stamp];
	const char *data = piece->data;
	size_t before = f->n_stamp, len = piece->len;
	uint64_t stamp;

	if (before > 0) {
		len = len < sizeof text - before ? len : sizeof text - before;
		memcpy(text, f->stamp, before);
		memcpy(text + before, data, len);
		data = text;
		len += before;
	}
	ssize_t n = stream_stamp(data, len, &stamp);
	if (n == 0 || (n < 0 && (piece->last || len >= sizeof f->stamp)))
		return err_set(&f->err, -EBADMSG,
			"log of container %s: a message without the time that was asked for",
			f->container);
	if (n < 0) {
		memcpy(f->stamp, data, len);
		f->n_stamp = len;
		return (ssize_t)piece->len;
	}
	begin_message(f, index_of(piece->which), stamp);
	return n - (ssize_t)before;
}

static int take_piece(struct follow *f, const struct stream_piece *piece)
{
	ssize_t n = 0;

	if (piece->which == STREAM_SYSTEM_ERROR) {
		bool line = piece->len > 0 && piece->data[piece->len - 1] == '\n';
		char text[300];

		return err_set(&f->err, -EIO, "log of container %s: the engine says: %s",
			f->container,
			str_printable(piece->data, piece->len - line, text, sizeof text));
	}
	if (piece->first) {
		f->n_stamp = 0;
		f->stamped = false;
	}
	if (piece->len == 0)
		return 0;
	if (!f->stamped)
		n = take_stamp(f, piece);
	if (n < 0)
		return (int)n;
	return add_payload(f, index_of(piece->which), piece->data + n, piece->len - (size_t)n);
}

int follow_bytes(struct follow *f, const char *data, size_t len)
{
	while (len > 0) {
		struct stream_piece piece;
		ssize_t n = stream_next(&f->parser, data, len, &piece);

		if (n < 0)
			return err_set(&f->err, (int)n,
				"log of container %s: what the engine sends is no stream of frames",
				f->container);
		int r = piece.data ? take_piece(f, &piece) : 0;
		if (r < 0)
			return r;
		data += n;
		len -= (size_t)n;
	}
	return 0;
}
