/* One pipe that is followed: looked at without taking, then taken. */
#pragma once

#include "logs/router.h"

#include <sys/queue.h>

TAILQ_HEAD(tap_list, tap);

struct tap {
	TAILQ_ENTRY(tap) all, link, handed_link;
	struct tap_list *in; /* of the router's lists, by `link`: ready, watched, hot; NULL */
	bool listed;	     /* in its handed list */
	bool mute;	     /* it got more and epoll did not tell */
	bool finishing;	     /* its dyno has ended */
	bool drop;	     /* lines that the sink cannot take do not make it wait */
	bool hot;	     /* looked at by the clock, not told of by epoll */
	unsigned quick;	     /* looks that found something soon after the one before */
	unsigned idle;	     /* hot: looks that found nothing */
	uint64_t looked_at;
	int fd;
	unsigned capacity; /* of the pipe; 0 = unknown */
	bool no_more;	   /* room for it */
	uint64_t dev, ino; /* the pipe, for whoever comes after us */
	unsigned color;
	enum log_stream stream;
	struct log_file *file; /* of its type; NULL = none */
	struct ring *ring;     /* NULL = none yet */
	size_t ring_bytes;     /* of it */
	size_t handed;	       /* bytes that the sink holds and the pipe too */
	size_t rest;	       /* looked at and left: no whole line */
	size_t owed;	       /* finishing: bytes that are still to go, those handed included */
	void (*done)(void *userdata);
	void *userdata;
	char name[];
};

/* Takes fd. NULL = out of memory (fd is then still the caller's). */
struct tap *tap_new(const char *name, unsigned color, enum log_stream stream, int fd);
void tap_free(struct tap *t);

/* Into a list instead of the one it is in; NULL = into none. */
void tap_move(struct tap *t, struct tap_list *to);

/* Bytes in the pipe. */
size_t tap_held(const struct tap *t);

/* Copies what the pipe holds (at most size bytes, or what fits into scratch) to data and leaves it
 * there. Bytes, 0 for none. */
size_t tap_look(const struct tap *t, const int scratch[2], char *data, size_t size);

/* Whether a pipe that held len bytes when it was looked at, and no whole line, may have no room
 * for more. False when more has come since. */
bool tap_may_be_full(const struct tap *t, size_t len);

/* Gives a pipe that fills fast more room, as far as the kernel lets us; and takes it back. */
void tap_grow(struct tap *t);
void tap_shrink(struct tap *t);

/* Takes the handed bytes out of the pipe; data is scrap. */
void tap_take(struct tap *t, char *data, size_t size);

/* They have been taken. */
void tap_taken(struct tap *t);
