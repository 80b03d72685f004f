/* Messages to a daemon of the system that listens at a datagram socket: one message is held at a
 * time, nobody waits for a daemon that is away, and what it missed is counted. For sinks. */
#pragma once

#include "base/limits.h"
#include "logs/sink.h"

#include <sys/un.h>

#define DATAGRAM_BYTES (LIMIT_LINE + 2000)

struct datagram {
	struct sink sink;
	struct sockaddr_un address;
	int fd;		  /* -1 = not connected */
	uint64_t lost;	  /* lines, not yet said */
	bool sends_files; /* in the place of messages that are too large */
	size_t len;	  /* of the message that is held; 0 = none */
	sd_event_source *source;
	void (*writable)(void *userdata);
	void *userdata;
	/* Makes the message that says how many were lost. */
	size_t (*losses)(const struct datagram *d, char *ret_message, size_t size);
	char message[DATAGRAM_BYTES];
};

static inline struct datagram *datagram_of(struct sink *s)
{
	return (struct datagram *)s;
}

void datagram_init(struct datagram *d, const struct sink_ops *ops, const char *path);

/* struct sink_ops */
int datagram_flush(struct sink *s);
int datagram_when_writable(
	struct sink *s, sd_event *loop, void (*writable)(void *userdata), void *userdata);
int datagram_wait(struct sink *s, uint64_t ns);
void datagram_free(struct sink *s);
