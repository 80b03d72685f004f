/* What tell*.c share. */
#pragma once

#include "launcher/launcher.h"
#include "wire/packet.h"

/* One packet. False when no more can be sent now. */
bool tell_send(struct launcher *l, enum wire_type type, const struct packet_part *parts,
	unsigned n_parts, const int fds[2]);
static inline bool send_body(struct launcher *l, enum wire_type type, const void *body, size_t size)
{
	return tell_send(l, type, &(struct packet_part){body, size}, 1, NULL);
}

/* One piece of news of a child, which is news no more; or of several that have just ended.
 * Likewise. */
bool tell_child(struct launcher *l, struct child *c);
