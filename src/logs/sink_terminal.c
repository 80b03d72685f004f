#include "logs/sink.h"

#include "base/clock.h"
#include "base/mem.h"
#include "logs/carry.h"

#include <errno.h>
#include <poll.h>

struct sink_terminal {
	struct sink sink;
	struct outlet to;
	struct carry *carry; /* the buffer */
	bool color, broken;
	const char *app; /* NULL = none */
	sd_event_source *source;
	void (*writable)(void *userdata);
	void *userdata;
	uint64_t stamp_ns;
	char stamp[CLOCK_STAMP_LEN + 1];
};

static const char palette[][6] = {
	"\033[36m", "\033[33m", "\033[32m", "\033[35m", "\033[34m", "\033[31m"};
#define COLOR_OFF    "\033[0m"
#define COLOR_BYTES  5
#define PREFIX_BYTES 512

static struct sink_terminal *terminal(struct sink *s)
{
	return (struct sink_terminal *)s;
}

static char *put(char *to, const char *text, size_t len)
{
	memcpy(to, text, len);
	return to + len;
}

/* By hand: printf would cost more than all the rest of a line's way. */
static char *put_prefix(struct sink_terminal *t, char *at, const struct log_line *line)
{
	if (line->wall_ns != t->stamp_ns || !t->stamp[0]) {
		clock_stamp(line->wall_ns, t->stamp);
		t->stamp_ns = line->wall_ns;
	}
	if (t->color)
		at = put(at, palette[line->color % ARRAY_SIZE(palette)], COLOR_BYTES);
	at = put(at, t->stamp, strlen(t->stamp));
	*at++ = ' ';
	at = put(at, line->source, strlen(line->source));
	*at++ = '[';
	if (t->app) {
		at = put(at, t->app, strlen(t->app));
		*at++ = '/';
	}
	at = put(at, line->procid, strlen(line->procid));
	at = put(at, "]:", 2);
	if (t->color)
		at = put(at, COLOR_OFF, sizeof COLOR_OFF - 1);
	*at++ = ' ';
	return at;
}

static size_t prefix_most(const struct sink_terminal *t, const struct log_line *line)
{
	return CLOCK_STAMP_LEN + 1 + strlen(line->source) + 1 + strlen(line->procid) + 3 +
	       2 * COLOR_BYTES + (t->app ? strlen(t->app) + 1 : 0);
}

static int terminal_line(struct sink *s, const struct log_line *line)
{
	struct sink_terminal *t = terminal(s);

	if (t->broken)
		return 0;
	char *at = carry_room(t->carry, prefix_most(t, line) + line->len + 1);
	if (!at)
		return -EAGAIN;
	if (!line->whole)
		at = put_prefix(t, at, line);
	at = put(at, line->text, line->len);
	*at++ = '\n';
	carry_added(t->carry, at);
	return 0;
}

/* The prefix is the same for all: it is made once, behind it each line is two copies. */
static size_t terminal_lines(struct sink *s, const struct log_lines *lines)
{
	struct sink_terminal *t = terminal(s);
	size_t space = carry_space(t->carry), most = prefix_most(t, &lines->head), n = 0;
	char prefix[PREFIX_BYTES], *at = carry_room(t->carry, 0);

	if (t->broken)
		return lines->n;
	if (!at || most > sizeof prefix)
		return 0;
	size_t len = (size_t)(put_prefix(t, prefix, &lines->head) - prefix);

	for (; n < lines->n; n++) {
		const struct log_span *span = &lines->spans[n];
		size_t before = span->whole ? 0 : len, need = before + span->len + 1;

		if (need > space)
			break;
		space -= need;
		at = put(put(at, prefix, before), lines->data + span->at, span->len);
		*at++ = '\n';
	}
	carry_added(t->carry, at);
	return n;
}

static int terminal_flush(struct sink *s)
{
	struct sink_terminal *t = terminal(s);
	int r = carry_out(t->carry, &t->to);

	/* A full disk may have room again; a reader that is gone stays gone. */
	if (r < 0 && r != -EAGAIN && r != -ENOSPC && r != -EDQUOT)
		t->broken = true;
	return r;
}

static int call_back(struct sink_terminal *t)
{
	(void)sd_event_source_set_enabled(t->source, SD_EVENT_OFF);
	t->writable(t->userdata);
	return 0;
}

static int on_io(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	(void)source;
	(void)fd;
	(void)revents;
	return call_back(userdata);
}

static int on_defer(sd_event_source *source, void *userdata)
{
	(void)source;
	return call_back(userdata);
}

static int terminal_when_writable(
	struct sink *s, sd_event *loop, void (*writable)(void *userdata), void *userdata)
{
	struct sink_terminal *t = terminal(s);

	t->writable = writable;
	t->userdata = userdata;
	if (t->source)
		return sd_event_source_set_enabled(t->source, SD_EVENT_ONESHOT);
	int r = sd_event_add_io(loop, &t->source, t->to.fd, EPOLLOUT, on_io, t);
	/* What epoll does not take (a regular file) is always writable. */
	if (r == -EPERM)
		r = sd_event_add_defer(loop, &t->source, on_defer, t);
	if (r < 0)
		return r;
	return sd_event_source_set_enabled(t->source, SD_EVENT_ONESHOT);
}

static int terminal_wait(struct sink *s, uint64_t ns)
{
	struct sink_terminal *t = terminal(s);
	struct pollfd p = {.fd = t->to.fd, .events = POLLOUT};
	struct timespec limit = {
		.tv_sec = (time_t)(ns / NSEC_PER_SEC),
		.tv_nsec = (long)(ns % NSEC_PER_SEC),
	};
	int n = ppoll(&p, 1, &limit, NULL);

	return n > 0 || (n < 0 && errno == EINTR) ? 0 : -ETIMEDOUT;
}

static void terminal_free(struct sink *s)
{
	struct sink_terminal *t = terminal(s);

	if (!t)
		return;
	sd_event_source_disable_unref(t->source);
	outlet_close(&t->to);
	carry_free(t->carry);
	free(t);
}

static const struct sink_ops terminal_ops = {
	.line = terminal_line,
	.lines = terminal_lines,
	.flush = terminal_flush,
	.when_writable = terminal_when_writable,
	.wait = terminal_wait,
	.free = terminal_free,
};

struct sink *sink_terminal_new(int fd, bool color, const char *app, struct carry *carry)
{
	struct sink_terminal *t = calloc(1, sizeof *t);

	if (!t) {
		carry_free(carry);
		return NULL;
	}
	t->sink.ops = &terminal_ops;
	t->color = color;
	t->app = app;
	t->to.fd = -1;
	t->carry = carry ? carry : carry_new();
	if (!t->carry || outlet_open(&t->to, fd) < 0) {
		terminal_free(&t->sink);
		return NULL;
	}
	if (carry_survives(t->carry))
		t->sink.carry = t->carry;
	carry_resume(t->carry, &t->to);
	return &t->sink;
}
