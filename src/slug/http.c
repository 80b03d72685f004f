#include "base/clock.h"
#include "slug/fetch.h"

#include <curl/curl.h>
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#define CONNECT_SECONDS 10L
#define LOW_SPEED	1000L /* bytes a second */
#define REDIRECTS	5L
#define FIRST_PAUSE                                                                                \
	(200 * NSEC_PER_MSEC) /* before the second try; then twice as long each time               \
			       */

/* libcurl by dlopen, in the child that fetches and nowhere else: linked, its libraries cost every
 * unpack 4 MB, in a program that is held to 10. */
static struct {
	__typeof__(&curl_global_init) global_init;
	__typeof__(&curl_easy_init) easy_init;
	__typeof__(&curl_easy_setopt) setopt;
	__typeof__(&curl_easy_getinfo) getinfo;
	__typeof__(&curl_easy_perform) perform;
	__typeof__(&curl_easy_cleanup) cleanup;
	__typeof__(&curl_easy_strerror) strerror;
	__typeof__(&curl_slist_append) slist_append;
	__typeof__(&curl_slist_free_all) slist_free_all;
} curl;

struct transfer {
	const struct fetch *fetch;
	CURL *easy;
	uint64_t have;	     /* bytes in the file */
	char validator[256]; /* of what is in the file: for If-Range; "" = cannot be resumed */

	/* Of the response in progress. */
	bool begun; /* its body */
	char etag[256], date[64];
	uint64_t range_start; /* of Content-Range, UINT64_MAX = none */
	int failed;	      /* our own reason to end it, negative errno */
	char text[CURL_ERROR_SIZE];
};

int http_load(struct err *err)
{
	static const struct {
		const char *name;
		void *slot;
	} wanted[] = {
		{"curl_global_init", &curl.global_init},
		{"curl_easy_init", &curl.easy_init},
		{"curl_easy_setopt", &curl.setopt},
		{"curl_easy_getinfo", &curl.getinfo},
		{"curl_easy_perform", &curl.perform},
		{"curl_easy_cleanup", &curl.cleanup},
		{"curl_easy_strerror", &curl.strerror},
		{"curl_slist_append", &curl.slist_append},
		{"curl_slist_free_all", &curl.slist_free_all},
	};
	void *library = dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL);

	if (!library)
		return err_set(err, -EOPNOTSUPP, "cannot fetch: %s", dlerror());
	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++) {
		void *symbol = dlsym(library, wanted[i].name);

		if (!symbol)
			return err_set(err, -EOPNOTSUPP, "cannot fetch: libcurl has no %s",
				wanted[i].name);
		memcpy(wanted[i].slot, &symbol, sizeof symbol);
	}
	if (curl.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return err_set(err, -EOPNOTSUPP, "cannot fetch: libcurl does not start");
	return 0;
}

/* The value of header `name` in a line, without blanks around it; false when it is another header,
 * or when it is too long to be kept. */
static bool header_value(
	const char *line, size_t len, const char *name, char *ret_value, size_t size)
{
	size_t n = strlen(name);

	if (len <= n || strncasecmp(line, name, n) != 0 || line[n] != ':')
		return false;
	line += n + 1;
	len -= n + 1;
	while (len > 0 && (line[0] == ' ' || line[0] == '\t')) {
		line++;
		len--;
	}
	while (len > 0 && strchr("\r\n \t", line[len - 1]))
		len--;
	if (len >= size)
		return false;
	memcpy(ret_value, line, len);
	ret_value[len] = '\0';
	return true;
}

static size_t on_header(char *line, size_t size, size_t n, void *userdata)
{
	struct transfer *t = userdata;
	char value[256];
	unsigned long long start;

	n *= size;
	if (n > 5 && strncmp(line, "HTTP/", 5) == 0) {
		t->begun = false;
		t->etag[0] = t->date[0] = '\0';
		t->range_start = UINT64_MAX;
	}
	/* A weak ETag ("W/...") says nothing about bytes. */
	if (header_value(line, n, "ETag", value, sizeof value) && value[0] == '"')
		memcpy(t->etag, value, sizeof t->etag);
	(void)header_value(line, n, "Last-Modified", t->date, sizeof t->date);
	if (header_value(line, n, "Content-Range", value, sizeof value) &&
		sscanf(value, "bytes %llu-", &start) == 1)
		t->range_start = start;
	return n;
}

/* The first bytes of a body: of the rest that was asked for, or of the whole. */
static int body_begins(struct transfer *t)
{
	long status = 0;

	t->begun = true;
	(void)curl.getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
	if (status == 206)
		return t->have > 0 && t->range_start == t->have ? 0 : -EREMOTEIO;
	if (status != 200)
		return -EREMOTEIO;
	if (ftruncate(t->fetch->file, 0) < 0)
		return -errno;
	t->have = 0;
	(void)snprintf(t->validator, sizeof t->validator, "%s", t->etag[0] ? t->etag : t->date);
	return 0;
}

static size_t on_body(char *data, size_t size, size_t n, void *userdata)
{
	struct transfer *t = userdata;
	size_t len = size * n;

	if (!t->begun)
		t->failed = body_begins(t);
	if (t->failed == 0 && len > t->fetch->max_bytes - t->have)
		t->failed = -EFBIG;
	for (size_t at = 0; t->failed == 0 && at < len;) {
		ssize_t w = pwrite(t->fetch->file, data + at, len - at, (off_t)t->have);
		if (w < 0 && errno != EINTR)
			t->failed = -errno;
		if (w > 0) {
			at += (size_t)w;
			t->have += (uint64_t)w;
		}
	}
	return t->failed ? 0 : len;
}

static int on_progress(
	void *userdata, curl_off_t total, curl_off_t now, curl_off_t up_total, curl_off_t up_now)
{
	struct transfer *t = userdata;

	(void)up_total;
	(void)up_now;
	/* now and total are of this response; what was there before comes on top. */
	uint64_t before = t->have > (uint64_t)now ? t->have - (uint64_t)now : 0;
	report_progress(
		t->fetch->report, JOB_FETCHING, t->have, total > 0 ? before + (uint64_t)total : 0);
	return t->fetch->report->gone;
}

static void set_options(struct transfer *t, const char *certificates)
{
	CURL *e = t->easy;

	(void)curl.setopt(e, CURLOPT_URL, t->fetch->url);
	(void)curl.setopt(e, CURLOPT_USERAGENT, "hsup-slug");
	(void)curl.setopt(e, CURLOPT_NOSIGNAL, 1L);
	(void)curl.setopt(e, CURLOPT_FAILONERROR, 1L);
	(void)curl.setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
	(void)curl.setopt(e, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
	(void)curl.setopt(e, CURLOPT_FOLLOWLOCATION, 1L);
	(void)curl.setopt(e, CURLOPT_MAXREDIRS, REDIRECTS);
	(void)curl.setopt(e, CURLOPT_CONNECTTIMEOUT, CONNECT_SECONDS);
	(void)curl.setopt(e, CURLOPT_LOW_SPEED_LIMIT, LOW_SPEED);
	(void)curl.setopt(e, CURLOPT_LOW_SPEED_TIME, (long)t->fetch->low_speed_seconds);
	(void)curl.setopt(e, CURLOPT_HEADERFUNCTION, on_header);
	(void)curl.setopt(e, CURLOPT_HEADERDATA, t);
	(void)curl.setopt(e, CURLOPT_WRITEFUNCTION, on_body);
	(void)curl.setopt(e, CURLOPT_WRITEDATA, t);
	(void)curl.setopt(e, CURLOPT_NOPROGRESS, 0L);
	(void)curl.setopt(e, CURLOPT_XFERINFOFUNCTION, on_progress);
	(void)curl.setopt(e, CURLOPT_XFERINFODATA, t);
	(void)curl.setopt(e, CURLOPT_ERRORBUFFER, t->text);
	if (certificates)
		(void)curl.setopt(e, CURLOPT_CAINFO, certificates);
}

/* Asks for the rest of what is in the file, if the server can know that it is the same. */
static CURLcode perform(struct transfer *t)
{
	struct curl_slist *headers = NULL;
	char range[40], condition[sizeof t->validator + 16];

	t->failed = 0;
	t->begun = false;
	t->text[0] = '\0';
	(void)curl.setopt(t->easy, CURLOPT_RANGE, NULL);
	if (t->have > 0 && t->validator[0]) {
		(void)snprintf(range, sizeof range, "%llu-", (unsigned long long)t->have);
		(void)snprintf(condition, sizeof condition, "If-Range: %s", t->validator);
		headers = curl.slist_append(NULL, condition);
		if (headers)
			(void)curl.setopt(t->easy, CURLOPT_RANGE, range);
	}
	(void)curl.setopt(t->easy, CURLOPT_HTTPHEADER, headers);
	CURLcode code = curl.perform(t->easy);
	(void)curl.setopt(t->easy, CURLOPT_HTTPHEADER, NULL);
	curl.slist_free_all(headers);
	return code;
}

static int server_said(struct transfer *t, long status, bool *ret_again, struct err *err)
{
	/* 416: the rest that was asked for does not exist; once more, from the start. */
	*ret_again =
		status >= 500 || status == 408 || status == 429 || (status == 416 && t->have > 0);
	if (status == 416)
		t->validator[0] = '\0';
	return err_set(err, -EREMOTEIO, "the server answered %ld", status);
}

/* What the try has come to; *ret_again: another one may do better. */
static int judge(struct transfer *t, CURLcode code, bool *ret_again, struct err *err)
{
	const char *text = t->text[0] ? t->text : curl.strerror(code);
	long status = 0;

	*ret_again = false;
	(void)curl.getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
	if (t->failed == -EFBIG)
		return err_set(err, -EFBIG, "the slug is larger than %llu bytes",
			(unsigned long long)t->fetch->max_bytes);
	if (t->failed == -EREMOTEIO)
		return err_set(
			err, -EREMOTEIO, "the server answered %ld, which is no slug", status);
	if (t->failed < 0)
		return err_errno(err, t->failed, "cannot write what is fetched");

	switch ((int)code) {
	case CURLE_OK:
		/* An empty body never came to body_begins(). */
		return status == 200 || (status == 206 && t->begun)
			       ? 0
			       : server_said(t, status, ret_again, err);
	case CURLE_HTTP_RETURNED_ERROR:
		return server_said(t, status, ret_again, err);
	case CURLE_TOO_MANY_REDIRECTS:
		return err_set(err, -EREMOTEIO, "more than %ld redirects", REDIRECTS);
	case CURLE_OPERATION_TIMEDOUT:
		*ret_again = true;
		return err_set(err, -ETIMEDOUT, "%s", text);
	case CURLE_PARTIAL_FILE:
	case CURLE_RECV_ERROR:
	case CURLE_GOT_NOTHING:
		*ret_again = true;
		return err_set(
			err, -EREMOTEIO, "cut off after %llu bytes", (unsigned long long)t->have);
	case CURLE_COULDNT_CONNECT:
		*ret_again = true;
		return err_set(err, -ECONNREFUSED, "%s", text);
	case CURLE_COULDNT_RESOLVE_HOST:
		*ret_again = true;
		return err_set(err, -EHOSTUNREACH, "%s", text);
	case CURLE_SEND_ERROR:
	case CURLE_HTTP2:
	case CURLE_HTTP2_STREAM:
		*ret_again = true;
		return err_set(err, -EREMOTEIO, "%s", text);
	default:
		return err_set(err, -EREMOTEIO, "%s", text);
	}
}

static int try_until_done(struct transfer *t, struct err *err)
{
	uint64_t pause = FIRST_PAUSE;

	for (unsigned n = 1;; n++, pause *= 2) {
		bool again;
		int r = judge(t, perform(t), &again, err);

		if (r == 0 || !again)
			return r;
		if (n >= t->fetch->tries) {
			char text[sizeof err->text];

			(void)snprintf(text, sizeof text, "%s", err->text);
			return err_set(err, r, "%.400s (after %u tries)", text, n);
		}
		struct timespec wait = {.tv_sec = (time_t)(pause / NSEC_PER_SEC),
			.tv_nsec = (long)(pause % NSEC_PER_SEC)};
		(void)nanosleep(&wait, NULL);
	}
}

int http_fetch(const struct fetch *f, const char *certificates, struct err *err)
{
	struct transfer t = {.fetch = f, .easy = curl.easy_init(), .range_start = UINT64_MAX};

	if (!t.easy)
		return err_set(err, -ENOMEM, "out of memory");
	set_options(&t, certificates);
	int r = try_until_done(&t, err);
	curl.cleanup(t.easy);
	return r;
}
