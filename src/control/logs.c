/* /v1/logs: the lines that are kept, and those that come. */
#include "control/private.h"

#include "control/tail.h"
#include "logs/format.h"
#include "logs/ring.h"

#include "base/parse.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>

#define LAST_MAX 10000000

struct log_reader {
	struct stream stream;
	struct control *control;
	struct tail tail;
	struct format format;
	struct ring_follower *follower;
	struct ring_query query;
	const char *names[LIMIT_CONTROL_PARAMS];
	struct request request; /* a copy: query and names point into it */
};

static struct log_reader *of_stream(struct stream *s)
{
	return (struct log_reader *)s;
}

/* Heroku's words. */
static int gap_line(uint64_t lost, char *to, size_t size, enum log_format kind)
{
	static const char text[] = "Error L11 (Tail buffer overflow)";
	char stamp[CLOCK_STAMP_LEN + 1];
	unsigned long long n = lost;

	clock_stamp(clock_wall(), stamp);
	if (kind == LOG_FORMAT_JSON)
		return snprintf(to, size,
			"{\"time\":\"%s\",\"source\":\"hsup\",\"dyno\":\"logs\",\"stream\":"
			"\"system\",\"text\":\"%s: %llu lines lost\",\"lost\":%llu}\n",
			stamp, text, n, n);
	if (kind == LOG_FORMAT_RAW)
		return snprintf(to, size, "%s: %llu lines lost\n", text, n);
	return snprintf(to, size, "%s hsup[logs]: %s: %llu lines lost\n", stamp, text, n);
}

static int gap_heroku(uint64_t lost, char *to, size_t size)
{
	return gap_line(lost, to, size, LOG_FORMAT_HEROKU);
}

static int gap_json(uint64_t lost, char *to, size_t size)
{
	return gap_line(lost, to, size, LOG_FORMAT_JSON);
}

static int gap_raw(uint64_t lost, char *to, size_t size)
{
	return gap_line(lost, to, size, LOG_FORMAT_RAW);
}

static int add_line(void *userdata, const struct log_line *line)
{
	struct log_reader *l = userdata;
	char *to = tail_room(&l->tail, format_need(&l->format, line));

	if (to)
		tail_added(&l->tail, (size_t)(format_line(&l->format, line, to) - to));
	return 0;
}

static void on_line(void *userdata, const struct log_line *line)
{
	struct log_reader *l = userdata;

	(void)add_line(l, line);
	stream_wake(l->control, &l->stream);
}

static ssize_t read_logs(struct stream *s, char *buf, size_t max)
{
	struct log_reader *l = of_stream(s);
	size_t n = tail_read(&l->tail, buf, max);

	if (n)
		return (ssize_t)n;
	/* All there was is read: from now on a slow reader has less. */
	l->tail.limit = LIMIT_CONTROL_TAIL;
	return s->follows ? 0 : -1;
}

static void free_logs(struct stream *s)
{
	struct log_reader *l = of_stream(s);

	rings_unfollow(l->follower);
	tail_done(&l->tail);
	request_done(&l->request);
	free(l);
}

static const struct stream_ops logs_ops = {
	.read = read_logs,
	.free = free_logs,
};

static bool wrong(struct answer *a, const char *what)
{
	answer_error(a, 400, "%s", what);
	return false;
}

/* RFC 3339, or seconds since 1970; 0 = it is neither. */
static uint64_t read_time(const char *text)
{
	struct tm tm = {0};
	uint64_t seconds;
	const char *at;
	int hours = 0, minutes = 0, sign = 0;

	if (parse_u64(text, UINT64_MAX / NSEC_PER_SEC, &seconds) == 0)
		return seconds * NSEC_PER_SEC;
	at = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
	if (!at)
		return 0;
	uint64_t ns = 0;
	if (*at == '.') {
		uint64_t unit = NSEC_PER_SEC;

		for (at++; *at >= '0' && *at <= '9'; at++)
			ns += (uint64_t)(*at - '0') * (unit /= 10);
	}
	/* "+" in a query is a blank, for those who forget to write %2B. */
	if (*at == '+' || *at == ' ' || *at == '-') {
		sign = *at == '-' ? -1 : 1;
		if (sscanf(at + 1, "%2d:%2d", &hours, &minutes) != 2)
			return 0;
	} else if (strcmp(at, "Z") != 0) {
		return 0;
	}
	time_t t = timegm(&tm) - sign * (hours * 3600 + minutes * 60);
	return t > 0 ? (uint64_t)t * NSEC_PER_SEC + ns : 0;
}

static bool read_stream(const char *value, struct ring_query *q, struct answer *a)
{
	for (int s = STREAM_OUT; s <= STREAM_SYSTEM; s++)
		if (strcmp(value, log_stream_name((enum log_stream)s)) == 0) {
			q->streams |= 1U << s;
			return true;
		}
	return wrong(a, "stream must be out, err or system");
}

static bool read_param(struct log_reader *l, const struct param *p, struct answer *a)
{
	struct ring_query *q = &l->query;
	uint64_t number;

	if (strcmp(p->name, "name") == 0) {
		if (!*p->value)
			return wrong(a, "name must not be empty");
		/* As everywhere: all dynos, and here hsup itself. */
		if (strcmp(p->value, "all") != 0)
			l->names[q->n_names++] = p->value;
	} else if (strcmp(p->name, "stream") == 0) {
		return read_stream(p->value, q, a);
	} else if (strcmp(p->name, "last") == 0) {
		if (parse_u64(p->value, LAST_MAX, &number) < 0)
			return wrong(a, "last must be a number of lines");
		q->last = number;
	} else if (strcmp(p->name, "since") == 0) {
		q->since = read_time(p->value);
		if (!q->since)
			return wrong(a, "since must be a time as 2026-11-21T08:00:00Z");
	} else if (strcmp(p->name, "follow") == 0) {
		if (strcmp(p->value, "0") != 0 && strcmp(p->value, "1") != 0)
			return wrong(a, "follow must be 0 or 1");
		l->stream.follows = *p->value == '1';
	} else if (format_parse(p->value, &l->format.kind) < 0) {
		return wrong(a, "format must be heroku, json or raw");
	}
	return true;
}

static bool read_params(struct log_reader *l, struct answer *a)
{
	static int (*const gaps[LOG_FORMAT_MAX])(uint64_t, char *, size_t) = {
		[LOG_FORMAT_HEROKU] = gap_heroku,
		[LOG_FORMAT_JSON] = gap_json,
		[LOG_FORMAT_RAW] = gap_raw,
	};

	l->query.names = l->names;
	for (size_t i = 0; i < l->request.n_params; i++)
		if (!read_param(l, &l->request.params[i], a))
			return false;
	l->tail.gap = gaps[l->format.kind];
	l->tail.limit = LIMIT_CONTROL_LOGS;
	return true;
}

/* last=0 is: only what comes. */
static bool none_wanted(const struct log_reader *l)
{
	const char *last = request_param(&l->request, "last");

	return last && l->query.last == 0;
}

static void begin(struct control *c, struct log_reader *l, struct answer *a)
{
	struct rings *rings = operate_rings(c->s);

	if (!rings) {
		answer_error(a, 409, "no lines are kept");
		return;
	}
	if (!none_wanted(l))
		(void)rings_read(rings, &l->query, add_line, l);
	if (l->stream.follows) {
		l->follower = rings_follow(rings, &l->query, on_line, l);
		if (!l->follower) {
			answer_error(a, 500, "%s", err_name(ENOMEM));
			return;
		}
	}
	a->status = 200;
	a->type = l->format.kind == LOG_FORMAT_JSON ? ANSWER_NDJSON : ANSWER_TEXT;
	a->stream = &l->stream;
}

void get_logs(struct control *c, const struct request *r, struct answer *a)
{
	struct err err = {0};

	if (strcmp(r->method, "HEAD") == 0) {
		(void)answer_body(a, 200, ANSWER_TEXT);
		return;
	}
	if (!stream_admit(c, a))
		return;
	struct log_reader *l = calloc(1, sizeof *l);
	if (!l) {
		answer_error(a, 500, "%s", err_name(ENOMEM));
		return;
	}
	l->stream.ops = &logs_ops;
	l->control = c;
	if (request_copy(r, &l->request, &err) < 0)
		answer_failed(a, err.code, &err);
	else if (read_params(l, a))
		begin(c, l, a);
	if (!a->stream)
		free_logs(&l->stream);
}
