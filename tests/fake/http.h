/* A server on the test's own loop that says what it is told to, right or wrong. */
#pragma once

#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

enum fake_then {
	FAKE_KEEP,  /* the next request may come */
	FAKE_CLOSE, /* when all was sent */
	FAKE_RESET, /* likewise, in a way that the other side cannot take for an end */
	FAKE_HOLD,  /* nothing more by itself */
	FAKE_ECHO,  /* what comes is sent back, and an end answered with one */
};

struct fake_route {
	const char *path; /* of the request, its beginning; NULL ends the table */
	const char *answer;
	enum fake_then then;
	bool early; /* at the head: before the body is there */
	size_t len; /* of the answer; 0 = strlen */
};

struct fake_http {
	sd_event *loop;
	int listener;
	uint16_t port; /* of TCP */
	sd_event_source *source;
	const struct fake_route *routes; /* may be changed at any time */
	struct fake_conn *conns;
	unsigned n_accepted, n_open, n_requests;
	bool eof;	     /* the other side of some connection has ended its direction */
	struct strbuf heads; /* all of them */
	struct strbuf bodies;
};

/* path NULL: TCP on a free port of 127.0.0.1. What cannot be made fails the test. */
void fake_http_start(
	struct fake_http *f, sd_event *loop, const char *path, const struct fake_route *routes);
void fake_http_stop(struct fake_http *f); /* connections, too */
/* On the connection that had the last request. */
void fake_http_send(struct fake_http *f, const char *data, size_t len);
void fake_http_close(struct fake_http *f);

/* Runs the loop until *n >= want: false = not within 10 s. */
bool fake_until(sd_event *loop, const unsigned *n, unsigned want);
/* Everything that is due, without waiting. */
void fake_settle(sd_event *loop);
