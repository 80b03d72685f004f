/* Shared by the files of io/web; nobody else includes it.
 *
 * libcurl must not be called back from inside its callbacks, and the callbacks of the user may call
 * everything. So while `busy` (libcurl, or a callback of the user, is further up the stack) what is
 * asked is only noted in `todo`, and done from the loop by web_work(). */
#pragma once

#include "io/curl.h"
#include "io/web.h"

#include <stdbool.h>

struct transfer;

struct transfer_kind {
	/* libcurl has come to its end. May call the user, as its last deed. */
	void (*ended)(struct transfer *t, CURLcode code);
	void (*resume)(struct transfer *t);
	void (*destroy)(struct transfer *t); /* what is its own, and the memory of t */
};

enum transfer_todo {
	TODO_ADD = 1,	 /* to the multi handle */
	TODO_RESUME = 2, /* the user takes (or has) bytes again */
	TODO_FREE = 4,
};

/* The first member of a call and of a pipe. */
struct transfer {
	const struct transfer_kind *kind;
	struct web *web;
	CURL *easy;
	struct transfer *prev, *next; /* of web->transfers */
	struct transfer *todo_next;
	unsigned todo; /* enum transfer_todo; not 0 = it is on web->todo */
	bool added;    /* to the multi handle */
	bool over;     /* the user has had, or is having, its last callback */
	char text[CURL_ERROR_SIZE];
};

struct web {
	sd_event *loop;
	CURLM *multi;
	sd_event_source *timer; /* of libcurl */
	sd_event_source *work;
	struct transfer *transfers;
	struct transfer *todo, **todo_end; /* in the order in which it was asked for */
	unsigned n_transfers, connections;
	unsigned busy;
	bool closed; /* by a callback: destroyed when nobody is busy with it */
	char *base, *socket, *ca, *cert, *key;
	bool unverified;
};

/* Around everything that may call the user. After web_leave() w may be gone. */
void web_enter(struct web *w);
void web_leave(struct web *w);

/* Does what is in todo. Within web_enter(). */
void web_work(struct web *w);

/* Makes the easy handle with what all transfers have in common, and puts t on the web's list.
 * -ENOMEM: nothing was done. */
int transfer_init(struct transfer *t, struct web *w, const struct transfer_kind *kind,
	const char *path, struct err *err) HSUP_MUST_CHECK;
/* Starts it: from the loop when the web is busy. 0 or -ENOMEM: t is as it was. */
int transfer_start(struct transfer *t, struct err *err) HSUP_MUST_CHECK;
/* No callback of libcurl follows. */
void transfer_detach(struct transfer *t);
void transfer_later(struct transfer *t, unsigned todo);
void transfer_done(
	struct transfer *t); /* for destroy(): takes it out of all, and ends its handle */
void transfer_free(struct transfer *t); /* at once if it may be, else from the loop; NULL allowed */

/* The user has given it up: nothing of it is told any more. */
static inline bool transfer_is_mute(const struct transfer *t)
{
	return t->over || t->web->closed || (t->todo & TODO_FREE);
}

/* The error of web_result, and its line in ret_text (of t, or static). */
int web_error(const struct transfer *t, CURLcode code, const char **ret_text);

/* ---- the answer to a pipe's request; pure ---- */

#define WEB_HEAD_MAX 16384
#define WEB_TEXT_MAX 1000 /* of the body of a refusal */

struct web_head {
	size_t len; /* with the empty line */
	unsigned status;
	bool chunked;
	long long body; /* Content-Length, -1 = not said */
};

/* 0 = it is whole; -EAGAIN = more is needed; -EPROTO = this is no HTTP, or longer than
 * WEB_HEAD_MAX. */
int web_head_parse(const char *data, size_t len, struct web_head *ret_head) HSUP_MUST_CHECK;
/* What is there of the body, as text; true = no more of it is wanted. */
bool web_head_body(
	const struct web_head *h, const char *data, size_t len, char ret_text[WEB_TEXT_MAX + 1]);
