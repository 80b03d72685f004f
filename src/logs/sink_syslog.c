#include "base/clock.h"
#include "logs/datagram.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PRIORITY     30 /* daemon, info */
#define PREFIX_BYTES 200
#define STAMP_BYTES  (CLOCK_STAMP_LEN + 1) /* of a whole line */

static int syslog_line(struct sink *s, const struct log_line *line)
{
	struct datagram *d = datagram_of(s);
	size_t skip = line->whole ? STAMP_BYTES : 0, len = line->len - skip;

	if (d->len)
		return -EAGAIN;
	d->len = (size_t)snprintf(
		d->message, PREFIX_BYTES, "<%d>hsup[%d]: ", PRIORITY, (int)getpid());
	if (!line->whole)
		d->len += (size_t)snprintf(
			d->message + d->len, PREFIX_BYTES, "%s[%s]: ", line->source, line->procid);
	/* Text may hold NULs. */
	if (len > sizeof d->message - d->len)
		len = sizeof d->message - d->len;
	memcpy(d->message + d->len, line->text + skip, len);
	d->len += len;
	return 0;
}

static size_t syslog_losses(const struct datagram *d, char *ret_message, size_t size)
{
	return (size_t)snprintf(ret_message, size,
		"<%d>hsup[%d]: %llu lines were lost while the system's log could not be reached",
		PRIORITY, (int)getpid(), (unsigned long long)d->lost);
}

static const struct sink_ops syslog_ops = {
	.line = syslog_line,
	.flush = datagram_flush,
	.when_writable = datagram_when_writable,
	.wait = datagram_wait,
	.free = datagram_free,
};

struct sink *sink_syslog_new(const char *socket_path)
{
	struct datagram *d = calloc(1, sizeof *d);

	if (!d)
		return NULL;
	datagram_init(d, &syslog_ops, socket_path);
	d->losses = syslog_losses;
	return &d->sink;
}
