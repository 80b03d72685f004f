/* Which port belongs to which life of a dyno: a hash table by (id, generation). */
#pragma once

#include "drivers/port.h"

#include <stddef.h>

struct driver_start;

struct port_life {
	uint64_t id;
	uint32_t generation;
	uint16_t port;
	bool ended; /* its port was given back */
};

/* Zero-initialise; free(lives) at the end. */
struct port_lives {
	struct port_pool ports;
	struct port_life *lives; /* a power of two, at most half full */
	size_t n, cap;
};

/* Takes over a port that was taken from the pool (0 = none). 0 or -ENOMEM. */
int port_life_add(
	struct port_lives *t, uint64_t id, uint32_t generation, unsigned port) HSUP_MUST_CHECK;

/* The same, of a life that an earlier supervisor began: its port is taken from the pool now. That
 * of one that has ended may have been given to another since. Without room (-ENOMEM) the port may
 * be given away: the dyno fails to bind there, and is started again. */
int port_life_adopt(struct port_lives *t, uint64_t id, uint32_t generation, unsigned port,
	bool ended) HSUP_MUST_CHECK;

/* A port for a life that begins, on the machine's network: 0 = none is free. A dyno keeps its port
 * over a restart. */
unsigned port_life_choose(struct port_lives *t, const struct driver_start *start) HSUP_MUST_CHECK;

/* NULL when there is none; valid until the next call that changes the table. */
struct port_life *port_life_find(const struct port_lives *t, uint64_t id, uint32_t generation);

/* Does one of them live? */
bool port_lives_any(const struct port_lives *t);

/* Nothing of it is left that could listen: the next life may have its port, though this one is
 * remembered until it is removed. */
void port_life_ended(struct port_lives *t, uint64_t id, uint32_t generation);
void port_life_remove(struct port_lives *t, uint64_t id, uint32_t generation);
