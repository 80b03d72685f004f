/* Ports for dynos that share the host's network: one of its own for every life. */
#pragma once

#include "base/mem.h"

#include <stdbool.h>
#include <stdint.h>

/* Which ports are given out: a bit each. Zero-initialise. */
struct port_pool {
	uint64_t taken[65536 / 64];
};

/* The port a dyno would like: 5000 + 100 x type + instance (DESIGN 4). */
unsigned port_wish(unsigned type_index, unsigned instance);

enum port_care {
	PORT_LISTENERS, /* who listens there is in the way */
	PORT_ANY_USE,	/* also connections that have ended a minute ago */
};

/* The first port from `wish` on that is neither given out nor in use by anyone on this machine;
 * marks it. 0 = none is free. The port may still be taken by a stranger before the dyno listens: it
 * then fails to bind and is started again on another. */
unsigned port_take(struct port_pool *pool, unsigned wish, enum port_care care);

/* Takes this very port without asking the machine. False when it was given out. */
bool port_take_again(struct port_pool *pool, unsigned port);

void port_mark(struct port_pool *pool, unsigned port); /* of a dyno that was adopted */
void port_give_back(struct port_pool *pool, unsigned port);
