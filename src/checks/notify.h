/* What a dyno says of itself, sd_notify(3): a datagram socket of its own for each of its lives.
 *
 * Who sends is told by the kernel (SCM_CREDENTIALS); only processes of the dyno's session are
 * heard. One that has gone before it could be looked up is not: systemd-notify(1) waits for that, a
 * shell's printf into socat does not. Other messages, those that are too long, and descriptors that
 * came with any are thrown away. A flood is read a few messages at a time, and its sender waits. */
#pragma once

#include "base/err.h"

#include <stdbool.h>
#include <systemd/sd-event.h>

#define NOTIFY_MESSAGE_MAX 4096
#define NOTIFY_STATUS_SIZE 100

struct notify_message {
	bool ready, stopping, watchdog, trigger; /* READY=1 STOPPING=1 WATCHDOG=1 =trigger */
	bool has_status;
	char status[NOTIFY_STATUS_SIZE]; /* printable */
};

/* Reads one; what it does not know it passes over. Pure. */
void notify_parse(const char *data, size_t len, struct notify_message *ret);

struct notify_socket;

struct notify_events {
	/* May close the socket. */
	void (*message)(void *userdata, const struct notify_message *m);
	/* Something was thrown away: told once per socket and reason. */
	void (*refused)(void *userdata, const char *why);
};

/* Makes `name` in dir, over one that an earlier supervisor has left; anybody may write to it. Where
 * it is reached by a path, that is the caller's affair. dir and events must outlive the socket. */
int notify_socket_open(sd_event *loop, int dir, const char *name,
	const struct notify_events *events, void *userdata, struct notify_socket **ret,
	struct err *err) HSUP_MUST_CHECK;

/* Before, what comes waits: its sender cannot be known yet. session: the dyno's. */
void notify_socket_listen(struct notify_socket *n, int session);

/* Removes the name too, unless it is to be `kept` for a later supervisor. NULL allowed; returns
 * NULL. No event follows. */
struct notify_socket *notify_socket_close(struct notify_socket *n, bool kept);
