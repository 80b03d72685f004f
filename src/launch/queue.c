#include "launch/queue.h"

#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>

static void message_free(struct message *m)
{
	for (unsigned i = 0; i < m->n_fds; i++)
		(void)fd_close(m->fds[i]);
	free(m);
}

static bool brings_child(enum wire_type type)
{
	return type == WIRE_SPAWN || type == WIRE_SPAWN_BOX || type == WIRE_PARK ||
	       type == WIRE_SPAWN_WARM || type == WIRE_KEEP;
}

int queue_append(struct queue *q, enum wire_type type, const struct packet_part *parts,
	unsigned n_parts, const int *fds, unsigned n_fds)
{
	size_t len = 0;

	for (unsigned i = 0; i < n_parts; i++)
		len += parts[i].len;
	if (len > LIMIT_PACKET || n_fds > LIMIT_PACKET_FDS)
		return -EMSGSIZE;
	if (q->n >= QUEUE_MAX || (brings_child(type) && q->n_spawns >= QUEUE_MAX_SPAWNS))
		return -ENOBUFS;
	struct message *m = malloc(sizeof *m + len);
	if (!m)
		return -ENOMEM;

	*m = (struct message){.type = type, .len = len};
	for (size_t i = 0, at = 0; i < n_parts; at += parts[i].len, i++)
		if (parts[i].len)
			memcpy(m->body + at, parts[i].data, parts[i].len);
	for (unsigned i = 0; i < n_fds; i++) {
		int fd = fcntl(fds[i], F_DUPFD_CLOEXEC, 3);
		if (fd < 0) {
			int error = -errno;
			message_free(m);
			return error;
		}
		m->fds[m->n_fds++] = fd;
	}
	if (q->last)
		q->last->next = m;
	else
		q->first = m;
	q->last = m;
	q->n++;
	q->n_spawns += brings_child(type);
	return 0;
}

const struct message *queue_first(const struct queue *q)
{
	return q->first;
}

void queue_drop_first(struct queue *q)
{
	struct message *m = q->first;

	q->first = m->next;
	if (!q->first)
		q->last = NULL;
	q->n--;
	q->n_spawns -= brings_child(m->type);
	message_free(m);
}

void queue_done(struct queue *q)
{
	while (q->first)
		queue_drop_first(q);
}
