/* The engine's multiplexed stream: frames of (stream, length, payload), as attach and logs of a
 * container without a TTY give them (docker-engine-api, ContainerAttach: "Stream format"). Frames
 * are not lines, and what comes from the network splits them anywhere. Pure. */
#pragma once

#include "base/mem.h"

#include <stdbool.h>
#include <stdint.h>

enum stream_which {
	STREAM_IN = 0, /* written to stdout, too, says the format */
	STREAM_STDOUT = 1,
	STREAM_STDERR = 2,
	STREAM_SYSTEM_ERROR = 3, /* the engine's own word, of newer ones */
};

/* No engine sends more in one: 16 KiB lines with their stamp. What says more is not this format. */
#define STREAM_FRAME_MAX (1U << 24)

struct stream_parser {
	unsigned char head[8];
	unsigned n_head;
	enum stream_which which;
	uint32_t left; /* of the payload */
	bool begun;    /* a frame's payload is being given */
};

struct stream_piece {
	enum stream_which which;
	const char *data;
	size_t len;
	bool first; /* the frame begins with it */
	bool last;  /* and ends with it; a frame may be empty (len 0, first and last) */
};

/* The next piece of a frame in data. Bytes used of data (> 0 when len > 0); ret_piece->data is NULL
 * when they were only a part of a head. -EBADMSG: this is no such stream. Zero-initialise p. */
ssize_t stream_next(struct stream_parser *p, const char *data, size_t len,
	struct stream_piece *ret_piece) HSUP_MUST_CHECK;

/* "2026-11-22T00:03:31.017633024Z " in front of a message of logs?timestamps=1, with any offset and
 * up to nine digits: nanoseconds since 1970. The stamp's length with its blank, or 0 = that is
 * none; -EAGAIN = len is too short to tell. */
ssize_t stream_stamp(const char *data, size_t len, uint64_t *ret_ns) HSUP_MUST_CHECK;
