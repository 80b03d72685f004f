/* The journal's native protocol: "FIELD=value\n" for each field; no value of ours has a newline. */
#include "logs/datagram.h"
#include "logs/format_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define NAME_BYTES                                                                                 \
	200 /* of an app's or a dyno's name at most: those in another hsup's line are              \
	       whatever it wrote */

struct sink_journal {
	struct datagram datagram; /* first: it is the sink */
	const char *app;	  /* NULL = none */
};

static char *field(char *to, const char *name, const char *value, size_t len)
{
	to = put_text(to, name);
	*to++ = '=';
	to = put(to, value, len);
	*to++ = '\n';
	return to;
}

static size_t name_len(size_t len)
{
	return len < NAME_BYTES ? len : NAME_BYTES;
}

static char *identify(char *to, const struct whole_line *w)
{
	char name[2 * NAME_BYTES + 2];
	size_t app = w->app ? name_len(w->app_len) : 0, dyno = name_len(w->dyno_len);
	char *at = name;

	if (w->app) {
		to = field(to, "HSUP_APP", w->app, app);
		at = put(at, w->app, app);
		*at++ = '/';
	}
	bool about_one = w->dyno_len != strlen("supervisor") ||
			 memcmp(w->dyno, "supervisor", w->dyno_len) != 0;
	if (about_one)
		to = field(to, "HSUP_DYNO", w->dyno, dyno);
	at = put(at, w->dyno, dyno);
	if (w->own)
		return field(to, "SYSLOG_IDENTIFIER", "hsup", 4);
	return field(to, "SYSLOG_IDENTIFIER", name, (size_t)(at - name));
}

static char priority(enum log_stream stream)
{
	return stream == STREAM_ERR ? '4' : stream == STREAM_SYSTEM ? '5' : '6';
}

static int journal_line(struct sink *s, const struct log_line *line)
{
	struct datagram *d = datagram_of(s);
	const struct sink_journal *j = (const struct sink_journal *)(const void *)s;
	struct whole_line w;

	if (d->len)
		return -EAGAIN;
	if (!line->whole || !format_take_apart(line->text, line->len, &w))
		w = (struct whole_line){
			.source = line->source,
			.source_len = strlen(line->source),
			.app = j->app,
			.app_len = j->app ? strlen(j->app) : 0,
			.dyno = line->procid,
			.dyno_len = strlen(line->procid),
			.text = line->text,
			.text_len = line->len,
			.own = line->stream == STREAM_SYSTEM,
		};
	enum log_stream stream = w.own ? STREAM_SYSTEM : line->stream;
	const char *name = log_stream_name(stream), level = priority(stream);
	char *to = field(d->message, "PRIORITY", &level, 1);
	to = field(to, "HSUP_STREAM", name, strlen(name));
	to = identify(to, &w);
	if (line->partial)
		to = field(to, "HSUP_PARTIAL", "1", 1);
	/* What is left when the name of the field and the newline are there. */
	size_t room = sizeof d->message - (size_t)(to - d->message) - sizeof "MESSAGE=";
	to = field(to, "MESSAGE", w.text, w.text_len < room ? w.text_len : room);
	d->len = (size_t)(to - d->message);
	return 0;
}

static size_t journal_losses(const struct datagram *d, char *ret_message, size_t size)
{
	return (size_t)snprintf(ret_message, size,
		"PRIORITY=4\nSYSLOG_IDENTIFIER=hsup\nHSUP_STREAM=system\n"
		"MESSAGE=%llu lines were lost while the journal could not be reached\n",
		(unsigned long long)d->lost);
}

static const struct sink_ops journal_ops = {
	.line = journal_line,
	.flush = datagram_flush,
	.when_writable = datagram_when_writable,
	.wait = datagram_wait,
	.free = datagram_free,
};

struct sink *sink_journal_new(const char *socket_path, const char *app)
{
	struct sink_journal *j = calloc(1, sizeof *j);

	if (!j)
		return NULL;
	datagram_init(&j->datagram, &journal_ops, socket_path);
	j->datagram.losses = journal_losses;
	j->datagram.sends_files = true;
	j->app = app;
	return &j->datagram.sink;
}
