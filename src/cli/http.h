/* HTTP to a running hsup, over its Unix socket. By libcurl, loaded when the first call is made: no
 * command that calls nobody pays for it (10 ms). */
#pragma once

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>

struct http;

struct http_call {
	/* Set before http_begin(); must outlive the call. */
	const char *socket, *method, *path;
	const char *body; /* NULL = none */
	size_t body_len;
	/* What comes of an answer that is no error, piece by piece; other than 0 ends the call.
	 * NULL: it is collected. */
	int (*data)(void *userdata, const char *data, size_t len);
	void *userdata;
	bool endless;	     /* a stream: no time-out */
	unsigned timeout_ms; /* 0 = the usual */

	/* Of the answer. */
	bool begun;	      /* its head is here */
	bool done;	      /* all of it, or it failed: see http_result() */
	struct strbuf answer; /* collected: all, or what an error says */
	long status;
	int code; /* CURLcode */
	void *easy, *headers;
	struct http *http;
	struct http_call *next; /* of those under way */
};

int http_open(struct http **ret_http, struct err *err) HSUP_MUST_CHECK;
struct http *http_free(struct http *h); /* after http_end() of every call; NULL allowed */

/* 0, or negative errno with err; then http_end() is not needed. */
int http_begin(struct http *h, struct http_call *c, struct err *err) HSUP_MUST_CHECK;

/* Goes on with all calls, after something has come or at most timeout_ms. fd: a descriptor to wait
 * for as well, -1 = none; returns 1 when it is readable, else 0. */
int http_step(struct http *h, int fd, int timeout_ms);

/* 0 for a success, or negative errno and one line: -ENOENT (no socket), -ECONNREFUSED, -EACCES,
 * -ETIMEDOUT, -EPIPE (lost), -EPROTO (no hsup of our kind); what the other side has refused:
 * -ESRCH (404), -EPERM (401, 403), -EAGAIN (409), -EINVAL (422), -EREMOTEIO. */
int http_result(const struct http_call *c, struct err *err);

/* Gives it up when it is under way, and frees what was collected. */
void http_end(struct http *h, struct http_call *c);

/* The whole of it: begin, wait, result. http_end() is the caller's, after 0 and after a failure. */
int http_do(struct http *h, struct http_call *c, struct err *err) HSUP_MUST_CHECK;
