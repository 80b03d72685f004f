/* HTTP/1.1 to one server, on the event loop: libcurl, opened when the first server is.
 *
 * Every call has a time-out but those that are asked to have none, and no proxy of the
 * environment's is used. Nothing is tried again here, but for one thing: when a connection that was
 * kept turns out to be dead, before a byte of an answer, the call goes by a new one. All callbacks
 * come from the loop, never from inside a call of this header, and any of them may call it, also
 * web_cancel() of its own call and web_close(). */
#pragma once

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

struct web;
struct web_call;

struct web_setup {
	const char
		*base; /* "http://localhost", "https://engine:2376": without a slash at the end */
	const char *socket;	     /* path of a Unix socket; NULL = by the name in base */
	const char *ca, *cert, *key; /* PEM files for https; NULL = the system's, none, none */
	bool unverified;	     /* https: whoever answers is believed */
	unsigned connections;	     /* kept open between calls; 0 = 8 */
};

/* setup is copied. 0; -EOPNOTSUPP (no libcurl), -ENOMEM with err. Connects to nobody yet. */
int web_open(sd_event *loop, const struct web_setup *setup, struct web **ret_web,
	struct err *err) HSUP_MUST_CHECK;
/* Every call is cancelled: no callback follows. NULL allowed; returns NULL. */
struct web *web_close(struct web *w);

struct web_result {
	int error;	  /* 0 = a whole answer came, with whatever status; else negative errno:
			   * -ECONNREFUSED, -ENOENT (no such socket), -EACCES, -ETIMEDOUT, -EHOSTUNREACH,
			   * -EKEYREJECTED (TLS), -ECONNRESET (it ended in the middle), -EPROTO (this is
			   * no HTTP), -ECANCELED (a callback said so), -ENOMEM */
	unsigned status;  /* 0 = none came */
	const char *text; /* of the error: one line; "" */
};

struct web_events {
	/* The head of the answer is there: web_header() may be asked. NULL = not of interest. */
	void (*head)(void *userdata, unsigned status);
	/* Bytes of the answer. 0 = taken; -EAGAIN = none of these are, nor what follows: they come
	 * again after web_resume(); another negative errno ends the call (-ECANCELED). NULL = they
	 * go nowhere. */
	int (*data)(void *userdata, const char *data, size_t len);
	/* The next bytes of the request: how many, 0 = that was all, -EAGAIN = none yet: asked
	 * again after web_resume(); another negative errno ends the call. Sent in chunks. NULL =
	 * the order's own body. */
	ssize_t (*body)(void *userdata, char *data, size_t size);
	/* Once, at the end; the call is gone with it. */
	void (*done)(void *userdata, const struct web_result *result);
};

struct web_order {
	const char *method, *path;  /* "/v1.41/containers/json?all=1" */
	const char *const *headers; /* "Name: value", NULL-terminated; NULL = none of ours */
	const char *body;	    /* copied; NULL = none, or by events->body */
	size_t body_len;
	uint64_t timeout;		 /* ns for all of it; 0 = none */
	uint64_t silence;		 /* ns without a byte either way; 0 = none */
	size_t buffer;			 /* bytes read at once; 0 = 16 KiB */
	const struct web_events *events; /* not copied */
	void *userdata;
};

/* All but events and userdata is copied. 0 or negative errno and err: no callback follows. */
int web_send(struct web *w, const struct web_order *order, struct web_call **ret_call,
	struct err *err) HSUP_MUST_CHECK;
void web_resume(struct web_call *c); /* data or body may go on */
void web_cancel(struct web_call *c); /* no callback follows; NULL allowed */
/* From head() on: the value of a header of the answer, "" = it has none of that name. Valid until
 * the callback returns. */
const char *web_header(struct web_call *c, const char *name);

/* ---- a connection that becomes a pipe both ways (101, or 200 of older servers) ---- */

struct web_pipe;

struct web_pipe_events {
	void (*opened)(void *userdata);
	/* As data() above. */
	int (*data)(void *userdata, const char *data, size_t len);
	/* What could not be sent at once has been. */
	void (*writable)(void *userdata);
	/* It is over: the other side has ended it (error 0), could not be opened (the status that
	 * came instead, the body's first 1000 bytes as text), or broke. The pipe is gone with it.
	 */
	void (*closed)(void *userdata, const struct web_result *result);
};

/* Sends the request with "Connection: Upgrade", "Upgrade: tcp" and no body. timeout: until it is
 * opened, ns. */
int web_pipe_open(struct web *w, const char *method, const char *path, uint64_t timeout,
	const struct web_pipe_events *events, void *userdata, struct web_pipe **ret_pipe,
	struct err *err) HSUP_MUST_CHECK;
/* How many bytes were taken (perhaps none; when not all: `writable` follows, behind `opened`), or
 * negative errno. */
ssize_t web_pipe_send(struct web_pipe *p, const char *data, size_t len);
/* Nothing more comes from us, behind what was taken; what comes from the other side goes on. Over
 * TLS it takes a libcurl that uses OpenSSL 3, else -EOPNOTSUPP: then only closing is left. */
int web_pipe_shut(struct web_pipe *p);
void web_pipe_resume(struct web_pipe *p);
struct web_pipe *web_pipe_close(struct web_pipe *p); /* no callback follows; NULL allowed */
