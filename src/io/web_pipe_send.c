/* From us to there. */
#include "io/web_pipe_private.h"

#include "io/library.h"

#include <errno.h>
#include <sys/socket.h>

static bool is_tls(const struct web_pipe *p)
{
	return strncmp(p->t.web->base, "https:", 6) == 0;
}

/* libcurl has no call for the end of one direction of TLS. */
static int (*ssl_shutdown)(void *ssl);

static void *ssl_of(const struct web_pipe *p)
{
	struct curl_tlssessioninfo *info = NULL;

	if (curl->getinfo(p->t.easy, CURLINFO_TLS_SSL_PTR, &info) != CURLE_OK || !info ||
		info->backend != CURLSSLBACKEND_OPENSSL)
		return NULL;
	return info->internals;
}

static void shut(struct web_pipe *p)
{
	/* Its word may not fit in a full socket. */
	if (is_tls(p))
		p->shut = ssl_shutdown(ssl_of(p)) >= 0 || ++p->shut_tries == 3;
	else
		p->shut = shutdown(p->fd, SHUT_WR) == 0 || ++p->shut_tries == 3;
}

CURLcode pipe_flush(struct web_pipe *p)
{
	while (p->out_at < p->out_len) {
		size_t n = 0;
		CURLcode code =
			curl->send(p->t.easy, p->out + p->out_at, p->out_len - p->out_at, &n);

		if (code == CURLE_AGAIN)
			return CURLE_OK;
		if (code != CURLE_OK)
			return code;
		p->out_at += n;
	}
	p->out_at = p->out_len = 0;
	if (p->state != PIPE_OPEN) {
		free(TAKE_PTR(p->out));
		return CURLE_OK;
	}
	if (p->want_shut && !p->shut)
		shut(p);
	if (p->want_writable) {
		p->want_writable = false;
		if (p->events->writable)
			p->events->writable(p->userdata);
	}
	return CURLE_OK;
}

ssize_t web_pipe_send(struct web_pipe *p, const char *data, size_t len)
{
	if (p->want_shut || transfer_is_mute(&p->t))
		return -EPIPE;
	if (p->state != PIPE_OPEN) {
		p->want_writable = true;
		return 0;
	}
	if (!p->out) {
		p->out = malloc(WEB_PIECE);
		if (!p->out)
			return -ENOMEM;
	}
	size_t n = WEB_PIECE - p->out_len < len ? WEB_PIECE - p->out_len : len;
	memcpy(p->out + p->out_len, data, n);
	p->out_len += n;
	p->want_writable |= n < len;
	transfer_later(&p->t, TODO_RESUME);
	return (ssize_t)n;
}

int web_pipe_shut(struct web_pipe *p)
{
	static const struct library_symbol wanted[] = {{"SSL_shutdown", &ssl_shutdown}};

	if (transfer_is_mute(&p->t))
		return -EPIPE;
	if (is_tls(p) && !ssl_shutdown) {
		int r = library_open("libssl.so.3", wanted, ARRAY_SIZE(wanted), NULL);
		if (r < 0)
			return r;
	}
	if (is_tls(p) && p->fd >= 0 && !ssl_of(p))
		return -EOPNOTSUPP;
	p->want_shut = true;
	transfer_later(&p->t, TODO_RESUME);
	return 0;
}
