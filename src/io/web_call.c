#include "base/clock.h"
#include "io/web_private.h"

#include <errno.h>
#include <stdio.h>

#define BUFFER	      16384L
#define HEAD_MAX      ((size_t)64 << 10) /* bytes of all header lines */
#define SILENCE_SLACK 10000		 /* us */

struct web_call {
	struct transfer t;
	const struct web_events *events;
	void *userdata;
	struct curl_slist *headers;
	size_t head_len;
	bool begun;		/* the head was told */
	bool refused;		/* by its status */
	bool no_data, no_body;	/* the user has said -EAGAIN */
	int failed;		/* why a callback ended it, 0 = none did */
	uint64_t silence, last; /* ns */
	sd_event_source *silent;
};

static const struct transfer_kind call_kind;

static struct web_call *call_of(struct transfer *t)
{
	return (struct web_call *)t;
}

static void destroy(struct transfer *t)
{
	struct web_call *c = call_of(t);

	transfer_done(t);
	curl->slist_free_all(c->headers);
	(void)sd_event_source_disable_unref(c->silent);
	free(c);
}

static void end(struct web_call *c, int error, const char *text)
{
	long status = 0;

	c->silent = sd_event_source_disable_unref(c->silent);
	transfer_detach(&c->t);
	(void)curl->getinfo(c->t.easy, CURLINFO_RESPONSE_CODE, &status);
	c->t.over = true;
	c->events->done(c->userdata,
		&(struct web_result){.error = error, .status = (unsigned)status, .text = text});
	transfer_free(&c->t);
}

static void ended(struct transfer *t, CURLcode code)
{
	struct web_call *c = call_of(t);
	const char *text = "";
	int error = web_error(t, code, &text);

	if (c->failed == -EPROTO)
		end(c, -EPROTO, "the head of the answer is too long");
	else if (c->failed)
		end(c, -ECANCELED, "given up");
	else
		end(c, error, text);
}

/* ---- libcurl's callbacks ---- */

static bool ends_head(const char *line, size_t len)
{
	return len > 0 && len <= 2 && (line[0] == '\r' || line[0] == '\n');
}

static size_t on_header(char *line, size_t size, size_t n, void *userdata)
{
	struct web_call *c = userdata;
	size_t len = size * n;
	long status = 0;

	if (transfer_is_mute(&c->t))
		return 0;
	c->last = clock_now();
	c->head_len += len;
	if (c->head_len > HEAD_MAX) {
		c->failed = -EPROTO;
		return 0;
	}
	if (c->begun || !ends_head(line, len))
		return len;
	(void)curl->getinfo(c->t.easy, CURLINFO_RESPONSE_CODE, &status);
	/* Another head follows an interim one. */
	if (status < 200 && status != 101)
		return len;
	c->begun = true;
	/* libcurl would wait for the rest of a body that nobody wants any more. */
	c->refused = status >= 300;
	if (c->refused && c->no_body)
		transfer_later(&c->t, TODO_RESUME);
	if (c->events->head)
		c->events->head(c->userdata, (unsigned)status);
	return transfer_is_mute(&c->t) ? 0 : len;
}

static size_t on_data(char *data, size_t size, size_t n, void *userdata)
{
	struct web_call *c = userdata;

	if (transfer_is_mute(&c->t))
		return 0;
	c->last = clock_now();
	if (!c->events->data)
		return size * n;
	int r = c->events->data(c->userdata, data, size * n);
	if (transfer_is_mute(&c->t))
		return 0;
	if (r == -EAGAIN) {
		c->no_data = true;
		return CURL_WRITEFUNC_PAUSE;
	}
	if (r < 0)
		c->failed = r;
	return r < 0 ? 0 : size * n;
}

static size_t on_body(char *data, size_t size, size_t n, void *userdata)
{
	struct web_call *c = userdata;

	if (transfer_is_mute(&c->t))
		return CURL_READFUNC_ABORT;
	if (c->refused)
		return 0;
	c->last = clock_now();
	ssize_t got = c->events->body(c->userdata, data, size * n);
	if (transfer_is_mute(&c->t))
		return CURL_READFUNC_ABORT;
	if (got == -EAGAIN) {
		c->no_body = true;
		return CURL_READFUNC_PAUSE;
	}
	if (got < 0 || (size_t)got > size * n) {
		c->failed = got < 0 ? (int)got : -EINVAL;
		return CURL_READFUNC_ABORT;
	}
	return (size_t)got;
}

static void resume(struct transfer *t)
{
	struct web_call *c = call_of(t);

	if (!t->added || (!c->no_data && !c->no_body))
		return;
	c->no_data = c->no_body = false;
	c->last = clock_now();
	/* What was held back is given out in there; when that fails nobody else ends the call. */
	CURLcode code = curl->pause(t->easy, CURLPAUSE_CONT);
	if (code != CURLE_OK && !transfer_is_mute(t))
		ended(t, code);
}

static int on_silent(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct web_call *c = userdata;
	struct web *w = c->t.web;
	uint64_t now = clock_now();
	char text[80];

	(void)usec;
	if (transfer_is_mute(&c->t))
		return 0;
	/* The silence is ours. */
	if (c->no_data || c->no_body)
		c->last = now;
	if (now < c->last + c->silence) {
		uint64_t left = c->last + c->silence - now;

		(void)sd_event_source_set_time_relative(source, left / NSEC_PER_USEC + 1);
		(void)sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
		return 0;
	}
	(void)snprintf(text, sizeof text, "nothing came for %.1f s",
		(double)c->silence / (double)NSEC_PER_SEC);
	web_enter(w);
	end(c, -ETIMEDOUT, text);
	web_leave(w);
	return 0;
}

/* ---- the user's side ---- */

static int set_headers(struct web_call *c, const struct web_order *o)
{
	bool typed = false;
	struct curl_slist *list = curl->slist_append(NULL, "Expect:");

	for (size_t i = 0; list && o->headers && o->headers[i]; i++) {
		struct curl_slist *longer = curl->slist_append(list, o->headers[i]);

		typed |= strncasecmp(o->headers[i], "Content-Type:", 13) == 0;
		c->headers = list;
		if (!longer)
			return -ENOMEM;
		list = longer;
	}
	c->headers = list;
	/* libcurl would call it a form. */
	if (!list || (!typed && !curl->slist_append(list, "Content-Type:")))
		return -ENOMEM;
	return curl->setopt(c->t.easy, CURLOPT_HTTPHEADER, list) == CURLE_OK ? 0 : -ENOMEM;
}

static CURLcode set_body(struct web_call *c, const struct web_order *o)
{
	CURL *e = c->t.easy;
	CURLcode r = CURLE_OK;

	if (strcmp(o->method, "HEAD") == 0)
		return curl->setopt(e, CURLOPT_NOBODY, 1L);
	if (c->events->body) {
		/* What has been read cannot be read again for a connection that was dead. */
		r |= curl->setopt(e, CURLOPT_FRESH_CONNECT, 1L);
		r |= curl->setopt(e, CURLOPT_UPLOAD, 1L);
		r |= curl->setopt(e, CURLOPT_READFUNCTION, on_body);
		r |= curl->setopt(e, CURLOPT_READDATA, c);
	} else if (o->body || strcmp(o->method, "POST") == 0 || strcmp(o->method, "PUT") == 0) {
		r |= curl->setopt(e, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)o->body_len);
		r |= curl->setopt(e, CURLOPT_COPYPOSTFIELDS, o->body ? o->body : "");
	}
	return r | curl->setopt(e, CURLOPT_CUSTOMREQUEST, o->method);
}

static int set_up(struct web_call *c, const struct web_order *o)
{
	CURL *e = c->t.easy;
	uint64_t ms = (o->timeout + NSEC_PER_MSEC - 1) / NSEC_PER_MSEC;

	CURLcode r = set_body(c, o);
	r |= curl->setopt(e, CURLOPT_TIMEOUT_MS, (long)ms);
	r |= curl->setopt(e, CURLOPT_BUFFERSIZE, o->buffer ? (long)o->buffer : BUFFER);
	r |= curl->setopt(e, CURLOPT_HEADERFUNCTION, on_header);
	r |= curl->setopt(e, CURLOPT_HEADERDATA, c);
	r |= curl->setopt(e, CURLOPT_WRITEFUNCTION, on_data);
	r |= curl->setopt(e, CURLOPT_WRITEDATA, c);
	if (r != CURLE_OK)
		return -ENOMEM;
	if (o->silence) {
		int s = sd_event_add_time_relative(c->t.web->loop, &c->silent, CLOCK_MONOTONIC,
			o->silence / NSEC_PER_USEC + 1, SILENCE_SLACK, on_silent, c);
		if (s < 0)
			return s;
	}
	return set_headers(c, o);
}

int web_send(
	struct web *w, const struct web_order *order, struct web_call **ret_call, struct err *err)
{
	struct web_call *c = calloc(1, sizeof *c);

	if (!c)
		return err_errno(err, -ENOMEM, "HTTP request");
	int r = transfer_init(&c->t, w, &call_kind, order->path, err);
	if (r < 0) {
		free(c);
		return r;
	}
	c->events = order->events;
	c->userdata = order->userdata;
	c->silence = order->silence;
	c->last = clock_now();
	r = set_up(c, order);
	if (r < 0)
		(void)err_errno(err, r, "HTTP request");
	else
		r = transfer_start(&c->t, err);
	if (r < 0) {
		destroy(&c->t);
		return r;
	}
	*ret_call = c;
	return 0;
}

void web_resume(struct web_call *c)
{
	if (!transfer_is_mute(&c->t))
		transfer_later(&c->t, TODO_RESUME);
}

void web_cancel(struct web_call *c)
{
	if (c && !c->t.over)
		transfer_free(&c->t);
}

const char *web_header(struct web_call *c, const char *name)
{
	struct curl_header *h;

	return curl->header(c->t.easy, name, 0, CURLH_HEADER, -1, &h) == CURLHE_OK ? h->value : "";
}

static const struct transfer_kind call_kind = {
	.ended = ended,
	.resume = resume,
	.destroy = destroy,
};
