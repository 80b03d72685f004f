#include "logs/sink.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/mem.h"
#include "logs/carry.h"
#include "logs/lines.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>

struct sink_terminal {
	struct sink sink;
	struct outlet to;
	struct carry *carry; /* the buffer */
	bool mute;	     /* whom it was for is gone, or nobody wants it */
	struct format format;
	sd_event_source *source;
	void (*writable)(void *userdata);
	void *userdata;
};

static struct sink_terminal *terminal(struct sink *s)
{
	return (struct sink_terminal *)s;
}

static int terminal_line(struct sink *s, const struct log_line *line)
{
	struct sink_terminal *t = terminal(s);

	if (t->mute)
		return 0;
	char *at = carry_room(t->carry, format_need(&t->format, line));
	if (!at)
		return -EAGAIN;
	carry_added(t->carry, format_line(&t->format, line, at));
	return 0;
}

static size_t terminal_lines(struct sink *s, const struct log_lines *lines)
{
	struct sink_terminal *t = terminal(s);

	if (t->mute)
		return lines->n;
	size_t space = carry_space(t->carry);
	char *end, *at = space ? carry_room(t->carry, space) : NULL;
	if (!at)
		return 0;
	size_t n = lines_put(&t->format, lines, at, space, &end);
	carry_added(t->carry, end);
	return n;
}

static int terminal_flush(struct sink *s)
{
	struct sink_terminal *t = terminal(s);
	int r = carry_out(t->carry, &t->to);

	/* A full disk may have room again; a reader that is gone stays gone. */
	if (r < 0 && r != -EAGAIN && r != -ENOSPC && r != -EDQUOT)
		t->mute = true;
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
	t->format = (struct format){.color = color, .app = app};
	t->to.fd = -1;
	t->carry = carry ? carry : carry_new();
	if (!t->carry || outlet_open(&t->to, fd) < 0) {
		terminal_free(&t->sink);
		return NULL;
	}
	if (carry_survives(t->carry))
		t->sink.carry = t->carry;
	carry_resume(t->carry, &t->to);
	/* Nobody sees what it would cost to format. */
	t->mute = t->to.nowhere;
	return &t->sink;
}

void sink_terminal_format(struct sink *s, enum log_format format)
{
	terminal(s)->format.kind = format;
}

struct sink *sink_none_new(struct carry *carry)
{
	_cleanup_close_ int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	struct sink *s = sink_terminal_new(null, false, NULL, carry);

	if (s)
		terminal(s)->mute = true;
	return s;
}
