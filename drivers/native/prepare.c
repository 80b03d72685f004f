/* Making releases ready: that their dynos can be had, and on which stack. */
#include "drivers/native/private.h"

#include <errno.h>
#include <string.h>

/* A uid that is no other dyno's is what makes one safe from the others. */
static int check_users(const struct release *release, struct err *err)
{
	for (size_t i = 0; i < release->n_processes; i++) {
		const struct process *p = &release->processes[i];

		if (p->user)
			return err_set(err, -EOPNOTSUPP,
				"User of %s: a native dyno has a user of its own and cannot be %s",
				p->type, p->user);
	}
	return 0;
}

/* One more is that of NOTIFY_SOCKET. */
static int check_binds(const struct release *release, struct err *err)
{
	if (release->n_binds >= SPEC_BOX_BINDS)
		return err_set(
			err, -E2BIG, "Binds: a native dyno has %d at most", SPEC_BOX_BINDS - 1);
	for (size_t i = 0; i < release->n_binds; i++) {
		const struct bind_mount *b = &release->binds[i];

		if (strchr(b->host, ':') || strchr(b->container, ':'))
			return err_set(err, -EINVAL,
				"Binds: %s to %s: a native dyno cannot have a path with a colon",
				b->host, b->container);
	}
	return 0;
}

int native_prepare(void *state, uint64_t handle, const struct release *release, struct err *err)
{
	struct native *n = state;

	int r = check_users(release, err);
	if (r == 0)
		r = check_binds(release, err);
	if (r == 0)
		r = native_stack_look(n, release, err);
	if (r < 0)
		return r;
	struct native_ready *ready = calloc(1, sizeof *ready);
	if (!ready)
		return err_errno(err, -ENOMEM, "native driver");
	native_warn_of_limits(n, release);
	*ready = (struct native_ready){.next = n->ready, .handle = handle};
	n->ready = ready;
	r = sd_event_source_set_enabled(n->telling, SD_EVENT_ONESHOT);
	return r < 0 ? err_errno(err, r, "event loop") : 0;
}

void native_prepare_stop(void *state, uint64_t handle)
{
	struct native *n = state;

	for (struct native_ready **at = &n->ready; *at;) {
		struct native_ready *one = *at;

		if (one->handle != handle) {
			at = &one->next;
			continue;
		}
		*at = one->next;
		free(one);
	}
}

int native_tell_ready(sd_event_source *source, void *userdata)
{
	struct native *n = userdata;
	const struct driver_context *context = n->context;
	const struct err none = {0};

	(void)source;
	while (n->ready) {
		struct native_ready *first = n->ready;
		uint64_t handle = first->handle;

		n->ready = first->next;
		free(first);
		context->events->prepared(context->userdata, handle, 0, &none);
	}
	return 0;
}

void native_prepare_done(struct native *n)
{
	while (n->ready)
		native_prepare_stop(n, n->ready->handle);
}
