/* What the launcher says: each packet is checked whole, then told. */
#pragma once

#include "launch/client.h"
#include "wire/packet.h"

struct incoming {
	const struct launch_events *events;
	void *userdata;
	const struct launch_child_events *children; /* NULL: nobody listens */
	void *children_userdata;
	bool closed; /* set from inside a callback: no more is told */
};

/* 0, 1 = it asks for a sign of life, or -EBADMSG. Descriptors of the packet have an owner or are
 * closed. */
int incoming_take(const struct incoming *in, struct packet *p) HSUP_MUST_CHECK;
