#include "cli/http.h"

#include "base/fd.h"
#include "io/curl.h"

#include <errno.h>
#include <stdio.h>

#define ANSWER_BYTES ((size_t)64 << 20)
#define USUAL_MS     30000

struct http {
	CURLM *multi;
	struct http_call *calls;
	bool heard; /* something of an answer, since it was asked last */
};

int http_open(struct http **ret_http, struct err *err)
{
	int r = curl_load(err);
	if (r < 0)
		return err_wrap(err, "cannot ask hsup");
	struct http *h = calloc(1, sizeof *h);
	CURLM *multi = h ? curl->multi_init() : NULL;
	if (!multi) {
		free(h);
		return err_errno(err, -ENOMEM, "cannot ask hsup");
	}
	h->multi = multi;
	*ret_http = h;
	return 0;
}

struct http *http_free(struct http *h)
{
	if (h) {
		(void)curl->multi_cleanup(h->multi);
		free(h);
	}
	return NULL;
}

static size_t on_data(char *data, size_t size, size_t n, void *userdata)
{
	struct http_call *c = userdata;
	size_t len = size * n;
	int r;

	c->http->heard = true;
	(void)curl->getinfo(c->easy, CURLINFO_RESPONSE_CODE, &c->status);
	if (c->data && c->status >= 200 && c->status < 300)
		r = c->data(c->userdata, data, len);
	else
		r = strbuf_add(&c->answer, data, len);
	return r == 0 ? len : 0;
}

/* An empty line ends the head. */
static size_t on_header(char *line, size_t size, size_t n, void *userdata)
{
	struct http_call *c = userdata;

	c->http->heard = true;
	if (size * n <= 2 && (line[0] == '\r' || line[0] == '\n'))
		c->begun = true;
	return size * n;
}

static int set_up(struct http_call *c)
{
	char url[8192];
	long ms = c->endless ? 0 : c->timeout_ms ? (long)c->timeout_ms : USUAL_MS;

	if ((size_t)snprintf(url, sizeof url, "http://hsup%s", c->path) >= sizeof url)
		return -E2BIG;
	CURLcode r = curl->setopt(c->easy, CURLOPT_URL, url);
	r |= curl->setopt(c->easy, CURLOPT_UNIX_SOCKET_PATH, c->socket);
	r |= curl->setopt(c->easy, CURLOPT_CUSTOMREQUEST, c->method);
	r |= curl->setopt(c->easy, CURLOPT_NOSIGNAL, 1L);
	r |= curl->setopt(c->easy, CURLOPT_PROXY, "");
	r |= curl->setopt(c->easy, CURLOPT_TIMEOUT_MS, ms);
	r |= curl->setopt(c->easy, CURLOPT_WRITEFUNCTION, on_data);
	r |= curl->setopt(c->easy, CURLOPT_WRITEDATA, c);
	r |= curl->setopt(c->easy, CURLOPT_HEADERFUNCTION, on_header);
	r |= curl->setopt(c->easy, CURLOPT_HEADERDATA, c);
	r |= curl->setopt(c->easy, CURLOPT_PRIVATE, c);
	if (c->body) {
		struct curl_slist *list =
			curl->slist_append(NULL, "Content-Type: application/json");

		c->headers = list;
		/* It would wait a second for a "continue" before a large body. */
		if (!list || !curl->slist_append(list, "Expect:"))
			return -ENOMEM;
		r |= curl->setopt(c->easy, CURLOPT_HTTPHEADER, list);
		r |= curl->setopt(c->easy, CURLOPT_POSTFIELDS, c->body);
		r |= curl->setopt(c->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)c->body_len);
	}
	return r == CURLE_OK ? 0 : -ENOMEM;
}

static void drop(struct http_call *c)
{
	if (c->easy)
		curl->cleanup(c->easy);
	if (c->headers)
		curl->slist_free_all(c->headers);
	c->easy = c->headers = NULL;
}

int http_begin(struct http *h, struct http_call *c, struct err *err)
{
	c->answer = STRBUF(ANSWER_BYTES);
	c->begun = c->done = false;
	c->status = 0;
	c->code = CURLE_OK;
	c->headers = NULL;
	c->easy = curl->easy_init();
	int r = c->easy ? set_up(c) : -ENOMEM;
	if (r == 0 && curl->add(h->multi, c->easy) != CURLM_OK)
		r = -ENOMEM;
	if (r < 0) {
		drop(c);
		return err_errno(err, r, "cannot ask hsup");
	}
	c->http = h;
	c->next = h->calls;
	h->calls = c;
	return 0;
}

static void unlink_call(struct http *h, struct http_call *c)
{
	for (struct http_call **at = &h->calls; *at; at = &(*at)->next)
		if (*at == c) {
			*at = c->next;
			return;
		}
}

static void finish(struct http *h, CURL *easy, CURLcode code)
{
	struct http_call *c = NULL;

	(void)curl->getinfo(easy, CURLINFO_PRIVATE, (char **)&c);
	(void)curl->getinfo(easy, CURLINFO_RESPONSE_CODE, &c->status);
	(void)curl->remove(h->multi, easy);
	unlink_call(h, c);
	drop(c);
	c->code = (int)code;
	c->done = true;
}

int http_step(struct http *h, int fd, int timeout_ms)
{
	struct curl_waitfd extra = {.fd = fd, .events = CURL_WAIT_POLLIN};
	struct CURLMsg *message;
	int running, left, ready;

	h->heard = false;
	(void)curl->perform(h->multi, &running);
	/* What came or ended at once is told at once: the caller may wait for something else then.
	 */
	bool ended = false;
	for (int pass = 0; pass < 2; pass++) {
		while ((message = curl->info_read(h->multi, &left)))
			if (message->msg == CURLMSG_DONE) {
				finish(h, message->easy_handle, message->data.result);
				ended = true;
			}
		if (pass == 1 || ended || h->heard)
			break;
		(void)curl->poll(h->multi, &extra, fd >= 0 ? 1 : 0, timeout_ms, &ready);
		(void)curl->perform(h->multi, &running);
	}
	return fd >= 0 && extra.revents != 0;
}

void http_end(struct http *h, struct http_call *c)
{
	if (c->easy) {
		(void)curl->remove(h->multi, c->easy);
		unlink_call(h, c);
	}
	drop(c);
	strbuf_done(&c->answer);
}

int http_do(struct http *h, struct http_call *c, struct err *err)
{
	int r = http_begin(h, c, err);

	if (r < 0)
		return r;
	while (!c->done)
		(void)http_step(h, -1, 1000);
	return http_result(c, err);
}
