/* The engine's stream in pieces: what is read of it does not depend on where it is cut, and no
 * piece lies outside what was given. The first byte says how it is cut. */
#include "drivers/docker/stream.h"

#include <errno.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
	uint64_t bytes, frames, sum;
	bool refused;
};

static void demand(bool holds)
{
	if (!holds)
		__builtin_trap();
}

static void see(struct seen *s, const struct stream_piece *piece)
{
	for (size_t i = 0; i < piece->len; i++)
		s->sum = s->sum * 31 + (unsigned char)piece->data[i] + (unsigned)piece->which;
	s->bytes += piece->len;
	s->frames += piece->last;
}

static struct seen read_cut(const char *data, size_t size, size_t step)
{
	struct stream_parser p = {0};
	struct seen s = {0};
	bool open = false;

	for (size_t at = 0; at < size;) {
		size_t len = step - at % step < size - at ? step - at % step : size - at;
		struct stream_piece piece;
		ssize_t n = stream_next(&p, data + at, len, &piece);

		if (n < 0) {
			demand(n == -EBADMSG);
			s.refused = true;
			break;
		}
		demand(n > 0 && (size_t)n <= len);
		if (piece.data) {
			demand(piece.data >= data + at && piece.data + piece.len <= data + at + n);
			demand(piece.first == !open);
			open = !piece.last;
			see(&s, &piece);
		}
		at += (size_t)n;
	}
	return s;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t ns = 0, shorter = 0;

	if (size < 2)
		return 0;
	const char *text = (const char *)data + 1;
	struct seen whole = read_cut(text, size - 1, size),
		    cut = read_cut(text, size - 1, data[0] + 1U);
	demand(whole.bytes == cut.bytes && whole.frames == cut.frames && whole.sum == cut.sum &&
		whole.refused == cut.refused);

	ssize_t n = stream_stamp(text, size - 1, &ns);
	demand(n == 0 || n == -EAGAIN || (n >= 21 && (size_t)n <= size - 1));
	demand(n != -EAGAIN || size - 1 < 36);
	if (n > 0) {
		demand(text[n - 1] == ' ');
		demand(stream_stamp(text, (size_t)n, &shorter) == n && shorter == ns);
		demand(stream_stamp(text, (size_t)n - 1, &shorter) == -EAGAIN);
	}
	return 0;
}
