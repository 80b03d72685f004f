/* Messages that the socket would not take yet, in order, with descriptors of their own. */
#pragma once

#include "wire/packet.h"

/* A spawn (or a keep) and, in the worst case, a few words about each child. */
#define QUEUE_MAX_SPAWNS LIMIT_DYNOS
#define QUEUE_MAX	 (4 * LIMIT_DYNOS)

struct message {
	struct message *next;
	enum wire_type type;
	unsigned n_fds;
	int fds[LIMIT_PACKET_FDS];
	size_t len;
	unsigned char body[];
};

struct queue {
	struct message *first, *last;
	unsigned n, n_spawns;
};

/* Copies parts and duplicates fds. 0, -ENOBUFS when full, -ENOMEM, -EMSGSIZE, or the errno of the
 * duplication. */
int queue_append(struct queue *q, enum wire_type type, const struct packet_part *parts,
	unsigned n_parts, const int *fds, unsigned n_fds) HSUP_MUST_CHECK;
const struct message *queue_first(const struct queue *q);
void queue_drop_first(struct queue *q);
void queue_done(struct queue *q);
