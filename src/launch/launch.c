#include "launch/launch.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>

struct launch *launch_fake(const struct launch_ops *ops, void *state)
{
	struct launch *l = malloc(sizeof *l);

	if (l)
		*l = (struct launch){.ops = ops, .state = state};
	return l;
}

struct launch *launch_close(struct launch *l)
{
	if (l) {
		if (l->ops->close)
			l->ops->close(l->state);
		free(l);
	}
	return NULL;
}

void launch_listen(struct launch *l, const struct launch_child_events *events, void *userdata)
{
	l->ops->listen(l->state, events, userdata);
}

unsigned launch_can(struct launch *l)
{
	return l->ops->can ? l->ops->can(l->state) : UINT_MAX;
}

int launch_spawn(struct launch *l, struct launch_child c, const char *name, const void *tag,
	size_t tag_len, int spec_fd, const struct launch_stdio *stdio)
{
	return l->ops->spawn(l->state, c, name, tag, tag_len, spec_fd, stdio);
}

int launch_spawn_box(struct launch *l, struct launch_child c, const char *name, const void *tag,
	size_t tag_len, int spec_fd, const struct launch_stdio *stdio)
{
	return l->ops->spawn_box(l->state, c, name, tag, tag_len, spec_fd, stdio);
}

int launch_park(struct launch *l, struct launch_child c, const char *name, const void *tag,
	size_t tag_len, int spec_fd, const struct launch_stdio *stdio)
{
	return l->ops->park(l->state, c, name, tag, tag_len, spec_fd, stdio);
}

int launch_spawn_warm(struct launch *l, struct launch_child parked, struct launch_child c,
	const char *name, const void *tag, size_t tag_len, int spec_fd,
	const struct launch_stdio *stdio)
{
	return l->ops->spawn_warm(l->state, parked, c, name, tag, tag_len, spec_fd, stdio);
}

int launch_keep(struct launch *l, struct launch_child c, const char *name, const void *tag,
	size_t tag_len, int out, int err)
{
	return l->ops->keep(l->state, c, name, tag, tag_len, out, err);
}

int launch_signal(struct launch *l, struct launch_child c, int signo)
{
	return l->ops->signal(l->state, c, signo);
}

int launch_ack(struct launch *l, struct launch_child c)
{
	return l->ops->ack(l->state, c);
}

int launch_tag(struct launch *l, struct launch_child c, const void *tag, size_t tag_len)
{
	return l->ops->tag(l->state, c, tag, tag_len);
}

int launch_list(struct launch *l)
{
	return l->ops->list(l->state);
}

int launch_leave(struct launch *l, int code)
{
	return l->ops->leave(l->state, code);
}
