/* What calls and pipes have in common. */
#include "io/web_private.h"

#include <errno.h>
#include <stdio.h>

#define CONNECT_MS 10000L

static void set_tls(CURL *e, const struct web *w)
{
	if (w->ca)
		(void)curl->setopt(e, CURLOPT_CAINFO, w->ca);
	if (w->cert)
		(void)curl->setopt(e, CURLOPT_SSLCERT, w->cert);
	if (w->key)
		(void)curl->setopt(e, CURLOPT_SSLKEY, w->key);
	(void)curl->setopt(e, CURLOPT_SSL_VERIFYPEER, w->unverified ? 0L : 1L);
	(void)curl->setopt(e, CURLOPT_SSL_VERIFYHOST, w->unverified ? 0L : 2L);
}

static CURLcode set_common(struct transfer *t, const char *path)
{
	struct web *w = t->web;
	CURL *e = t->easy;
	_cleanup_free_ char *url = NULL;

	if (asprintf(&url, "%s%s", w->base, path) < 0)
		return CURLE_OUT_OF_MEMORY;
	CURLcode r = curl->setopt(e, CURLOPT_URL, url);
	if (w->socket)
		r |= curl->setopt(e, CURLOPT_UNIX_SOCKET_PATH, w->socket);
	r |= curl->setopt(e, CURLOPT_PRIVATE, t);
	r |= curl->setopt(e, CURLOPT_ERRORBUFFER, t->text);
	r |= curl->setopt(e, CURLOPT_NOSIGNAL, 1L);
	/* Else the environment's http_proxy is asked, even for a Unix socket. */
	r |= curl->setopt(e, CURLOPT_NOPROXY, "*");
	r |= curl->setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	r |= curl->setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
	r |= curl->setopt(e, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS);
	/* A machine that has gone without a word would never end a stream. */
	r |= curl->setopt(e, CURLOPT_TCP_KEEPALIVE, w->socket ? 0L : 1L);
	/* Else who gives a call up waits for the thread that asks for the server's name. */
	r |= curl->setopt(e, CURLOPT_QUICK_EXIT, 1L);
	set_tls(e, w);
	return r;
}

int transfer_init(struct transfer *t, struct web *w, const struct transfer_kind *kind,
	const char *path, struct err *err)
{
	t->kind = kind;
	t->web = w;
	t->easy = curl->easy_init();
	CURLcode r = t->easy ? set_common(t, path) : CURLE_OUT_OF_MEMORY;
	if (r != CURLE_OK) {
		if (t->easy)
			curl->cleanup(t->easy);
		t->easy = NULL;
		return err_errno(err, -ENOMEM, "HTTP request");
	}
	t->next = w->transfers;
	if (t->next)
		t->next->prev = t;
	w->transfers = t;
	w->n_transfers++;
	return 0;
}

static int add(struct transfer *t)
{
	struct web *w = t->web;

	/* libcurl counts those in use, too: with many streams open it would keep none. */
	(void)curl->multi_setopt(
		w->multi, CURLMOPT_MAXCONNECTS, (long)w->connections + (long)w->n_transfers);
	if (curl->add(w->multi, t->easy) != CURLM_OK)
		return -ENOMEM;
	t->added = true;
	return 0;
}

int transfer_start(struct transfer *t, struct err *err)
{
	if (t->web->busy) {
		transfer_later(t, TODO_ADD);
		return 0;
	}
	int r = add(t);
	return r < 0 ? err_errno(err, r, "HTTP request") : 0;
}

void transfer_detach(struct transfer *t)
{
	if (t->added)
		(void)curl->remove(t->web->multi, t->easy);
	t->added = false;
}

void transfer_later(struct transfer *t, unsigned todo)
{
	struct web *w = t->web;

	if (!t->todo) {
		t->todo_next = NULL;
		*w->todo_end = t;
		w->todo_end = &t->todo_next;
		(void)sd_event_source_set_enabled(w->work, SD_EVENT_ONESHOT);
	}
	t->todo |= todo;
}

static void unlink_transfer(struct transfer *t)
{
	struct web *w = t->web;

	if (t->prev)
		t->prev->next = t->next;
	else
		w->transfers = t->next;
	if (t->next)
		t->next->prev = t->prev;
	w->n_transfers--;
}

void transfer_done(struct transfer *t)
{
	transfer_detach(t);
	curl->cleanup(t->easy);
	unlink_transfer(t);
}

void transfer_free(struct transfer *t)
{
	if (!t)
		return;
	if (t->web->busy || t->todo)
		transfer_later(t, TODO_FREE);
	else
		t->kind->destroy(t);
}

static void work_on(struct transfer *t)
{
	unsigned todo = t->todo;

	t->todo = 0;
	if (todo & TODO_FREE) {
		t->kind->destroy(t);
		return;
	}
	if ((todo & TODO_ADD) && add(t) < 0) {
		t->kind->ended(t, CURLE_OUT_OF_MEMORY);
		return;
	}
	if ((todo & TODO_RESUME) && !t->over)
		t->kind->resume(t);
}

void web_work(struct web *w)
{
	struct transfer *t = TAKE_PTR(w->todo);

	w->todo_end = &w->todo;
	while (t && !w->closed) {
		struct transfer *next = t->todo_next;

		work_on(t);
		t = next;
	}
}
