/* HTTP on the supervisor's loop: libmicrohttpd with its epoll descriptor as one source. Clients are
 * accepted here, so that who is one too many hears of it, and so that the library is opened when
 * the first one comes. */
#pragma once

#include "control/access.h"
#include "control/private.h"

#include <systemd/sd-event.h>

struct server;

/* Takes both descriptors (-1 = none) and the tokens (NULL when there is no TCP). */
int server_open(struct control *c, sd_event *loop, int unix_fd, int tcp_fd, struct tokens *tokens,
	struct server **ret_server, struct err *err) HSUP_MUST_CHECK;
/* Ends what is being sent, and all connections. NULL allowed. */
struct server *server_close(struct server *s);
