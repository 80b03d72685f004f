/* Where log lines go. A sink never blocks: it says -EAGAIN, and later that it can take more. */
#pragma once

#include "model/release.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>
#include <systemd/sd-event.h>

enum log_stream {
	STREAM_OUT = 1,
	STREAM_ERR = 2,
	STREAM_SYSTEM = 3, /* the supervisor's own lines */
};

struct log_line {
	uint64_t wall_ns;   /* when it was read */
	const char *source; /* "app" or "hsup" */
	const char *procid; /* "web.1"; "supervisor" when it is about none */
	unsigned color;	    /* of the process type: 0, 1, 2 ... */
	enum log_stream stream;
	const char *text; /* may hold any bytes but newline */
	size_t len;
	bool partial; /* the line goes on in the next one of its stream */
	bool whole;   /* text is such a line already, of another hsup: it goes out as it is */
};

/* A line of many that were read together: data[at .. at + len). */
struct log_span {
	uint32_t at, len;
	uint32_t end; /* in data, of all that it used up: its newline, a carriage return */
	bool whole;   /* as above */
	bool partial; /* as above */
};

/* What was read at once from one pipe. */
struct log_lines {
	struct log_line head; /* of each; text, len and whole mean nothing */
	const char *data;
	const struct log_span *spans;
	size_t n;
};

struct carry;

struct sink {
	const struct sink_ops *ops;
	struct carry *carry; /* holds its lines, whatever becomes of us; NULL = none does */
};

struct sink_ops {
	/* Takes one line into its buffer. 0, or -EAGAIN: full; again after a flush() that gave 0.
	 */
	int (*line)(struct sink *s, const struct log_line *line);
	/* The same for many: how many of them it took, from the first on. NULL = line by line. */
	size_t (*lines)(struct sink *s, const struct log_lines *lines);
	/* Pushes what it holds out, without blocking. 0 when all of it has left this process,
	 * -EAGAIN when some is still held. Another errno: it is broken and what it held is lost;
	 * said once, from then on it takes and forgets everything, so that a terminal that is gone
	 * stalls no dyno. */
	int (*flush)(struct sink *s);
	/* Calls back from the loop once when it can take more; asked again it still does so once.
	 */
	int (*when_writable)(
		struct sink *s, sd_event *loop, void (*writable)(void *userdata), void *userdata);
	/* Blocks until it can take more, at most ns: for the end of a program, when no loop runs.
	 * 0, or -ETIMEDOUT. */
	int (*wait)(struct sink *s, uint64_t ns);
	void (*free)(struct sink *s);
};

/* Heroku's format to a descriptor (the caller's; not closed, its flags not changed):
 * "2026-11-21T08:00:00.123456+00:00 app[web.1]: text"; with an app (not copied; NULL = none)
 * "app[shop/web.1]: text". color: escape codes around the prefix; the text is the app's own and
 * never altered. The program ignores SIGPIPE. Takes carry (NULL = one of its own), on failure too.
 * NULL = out of memory. */
struct sink *sink_terminal_new(int fd, bool color, const char *app, struct carry *carry);

/* Another format than Heroku's; colours are only of that. */
void sink_terminal_format(struct sink *s, enum log_format format);

/* Nowhere, for who wants files only. Takes carry, on failure too. */
struct sink *sink_none_new(struct carry *carry);

/* To the system's log over its datagram socket, one message per line: "<30>hsup[123]: app[web.1]:
 * text" (the system's log has a time of its own). While nobody listens there lines are lost, and
 * that is said when somebody does again. NULL = out of memory. */
struct sink *sink_syslog_new(const char *socket_path);

/* To the system's journal over its native datagram socket ("/run/systemd/journal/socket"): MESSAGE
 * is the text, SYSLOG_IDENTIFIER "web.1" or, with an app (not copied; NULL = none), "shop/web.1",
 * "hsup" for lines of its own; PRIORITY 6 of out, 4 of err, 5 of hsup's own; HSUP_STREAM out, err
 * or system; HSUP_APP, HSUP_DYNO where there is one; HSUP_PARTIAL=1 when the line goes on in the
 * next one. A daemon that is away is as with the system's log. NULL = out of memory. */
struct sink *sink_journal_new(const char *socket_path, const char *app);
