#include "io/web_private.h"

#include "base/clock.h"

#include <errno.h>
#include <sys/epoll.h>

#define CONNECTIONS 8
#define TIMER_SLACK 1000 /* us */

static void destroy(struct web *w)
{
	while (w->transfers)
		w->transfers->kind->destroy(w->transfers);
	/* Closes the connections that are idle: the socket callback needs the loop. */
	if (w->multi)
		(void)curl->multi_cleanup(w->multi);
	w->timer = sd_event_source_disable_unref(w->timer);
	w->work = sd_event_source_disable_unref(w->work);
	sd_event_unref(w->loop);
	free(w->base);
	free(w->socket);
	free(w->ca);
	free(w->cert);
	free(w->key);
	free(w);
}

void web_enter(struct web *w)
{
	w->busy++;
}

void web_leave(struct web *w)
{
	if (--w->busy == 0 && w->closed)
		destroy(w);
}

/* ---- libcurl on the loop ---- */

static void reap(struct web *w)
{
	struct CURLMsg *message;
	int left;

	while (!w->closed && (message = curl->info_read(w->multi, &left))) {
		struct transfer *t = NULL;
		CURLcode code = message->data.result; /* the message dies with the handle */

		if (message->msg != CURLMSG_DONE)
			continue;
		(void)curl->getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&t);
		if (transfer_is_mute(t))
			transfer_detach(t);
		else
			t->kind->ended(t, code);
	}
}

static void act(struct web *w, curl_socket_t fd, int events)
{
	int running;

	web_enter(w);
	(void)curl->socket_action(w->multi, fd, events, &running);
	reap(w);
	web_leave(w);
}

static int on_socket(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	int events = 0;

	(void)source;
	if (revents & (EPOLLIN | EPOLLHUP | EPOLLERR))
		events |= CURL_CSELECT_IN;
	if (revents & EPOLLOUT)
		events |= CURL_CSELECT_OUT;
	if (revents & (EPOLLHUP | EPOLLERR))
		events |= CURL_CSELECT_ERR;
	act(userdata, fd, events);
	return 0;
}

static int want_socket(CURL *easy, curl_socket_t fd, int what, void *userdata, void *of_socket)
{
	struct web *w = userdata;
	sd_event_source *source = of_socket;
	uint32_t events = 0;

	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		(void)sd_event_source_disable_unref(source);
		(void)curl->assign(w->multi, fd, NULL);
		return 0;
	}
	if (what & CURL_POLL_IN)
		events |= EPOLLIN;
	if (what & CURL_POLL_OUT)
		events |= EPOLLOUT;
	if (source)
		return sd_event_source_set_io_events(source, events) < 0 ? -1 : 0;
	if (sd_event_add_io(w->loop, &source, fd, events, on_socket, w) < 0)
		return -1;
	(void)curl->assign(w->multi, fd, source);
	return 0;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	(void)source;
	(void)usec;
	act(userdata, CURL_SOCKET_TIMEOUT, 0);
	return 0;
}

static int want_timer(CURLM *multi, long ms, void *userdata)
{
	struct web *w = userdata;

	(void)multi;
	if (ms < 0)
		return sd_event_source_set_enabled(w->timer, SD_EVENT_OFF) < 0 ? -1 : 0;
	/* Also for 0 ms: libcurl must not be called from here. */
	if (sd_event_source_set_time_relative(w->timer, (uint64_t)ms * 1000) < 0)
		return -1;
	return sd_event_source_set_enabled(w->timer, SD_EVENT_ONESHOT) < 0 ? -1 : 0;
}

static int on_work(sd_event_source *source, void *userdata)
{
	struct web *w = userdata;

	(void)source;
	web_enter(w);
	web_work(w);
	if (!w->closed)
		reap(w);
	web_leave(w);
	return 0;
}

static int put_on_loop(struct web *w)
{
	int r = sd_event_add_time_relative(
		w->loop, &w->timer, CLOCK_MONOTONIC, 0, TIMER_SLACK, on_timer, w);
	if (r < 0)
		return r;
	r = sd_event_source_set_enabled(w->timer, SD_EVENT_OFF);
	if (r < 0)
		return r;
	r = sd_event_add_defer(w->loop, &w->work, on_work, w);
	if (r < 0)
		return r;
	return sd_event_source_set_enabled(w->work, SD_EVENT_OFF);
}

static int set_up(struct web *w)
{
	w->multi = curl->multi_init();
	if (!w->multi)
		return -ENOMEM;
	CURLMcode c = curl->multi_setopt(w->multi, CURLMOPT_SOCKETFUNCTION, want_socket);
	c |= curl->multi_setopt(w->multi, CURLMOPT_SOCKETDATA, w);
	c |= curl->multi_setopt(w->multi, CURLMOPT_TIMERFUNCTION, want_timer);
	c |= curl->multi_setopt(w->multi, CURLMOPT_TIMERDATA, w);
	c |= curl->multi_setopt(w->multi, CURLMOPT_PIPELINING, CURLPIPE_NOTHING);
	return c == CURLM_OK ? 0 : -ENOMEM;
}

static bool copy(char **ret_text, const char *text)
{
	*ret_text = text ? strdup(text) : NULL;
	return *ret_text || !text;
}

int web_open(sd_event *loop, const struct web_setup *setup, struct web **ret_web, struct err *err)
{
	int r = curl_load(err);

	if (r < 0)
		return err_wrap(err, "no HTTP");
	struct web *w = calloc(1, sizeof *w);
	if (!w)
		return err_errno(err, -ENOMEM, "no HTTP");
	w->loop = sd_event_ref(loop);
	w->todo_end = &w->todo;
	w->unverified = setup->unverified;
	w->connections = setup->connections ? setup->connections : CONNECTIONS;
	if (!copy(&w->base, setup->base) || !copy(&w->socket, setup->socket) ||
		!copy(&w->ca, setup->ca) || !copy(&w->cert, setup->cert) ||
		!copy(&w->key, setup->key))
		r = -ENOMEM;
	if (r == 0)
		r = put_on_loop(w);
	if (r == 0)
		r = set_up(w);
	if (r < 0) {
		destroy(w);
		return err_errno(err, r, "no HTTP");
	}
	*ret_web = w;
	return 0;
}

struct web *web_close(struct web *w)
{
	if (w && w->busy)
		w->closed = true;
	else if (w)
		destroy(w);
	return NULL;
}
