/* Inside a root that was made ready (an image, a chroot): plain processes, as the simple driver has
 * them, that find what they would find in a container: the slug at /app, the profile scripts read,
 * the classic environment. */
#include "drivers/profile.h"
#include "drivers/simple_private.h"

#include <errno.h>
#include <stdio.h>

struct abspath {
	struct abspath_root root; /* first: what struct simple knows of us */
	const struct driver_context *context;
	sd_event_source *soon; /* an answer that is still to be given */
	uint64_t handle;       /* of which release */
};

static struct abspath *abspath_of(const struct simple *s)
{
	return (struct abspath *)s->root;
}

static int abspath_open(struct driver_context *context, void **ret_state, struct err *err)
{
	_cleanup_free_ struct abspath *a = calloc(1, sizeof *a);

	if (!a)
		return err_errno(err, -ENOMEM, "abspath driver");
	if (!context->state_dir || !context->control_dir)
		return err_set(err, -EINVAL, "abspath driver: there is no state directory");
	a->context = context;
	int r = abspath_root_open(
		&a->root, "/", context->state_dir, context->control_dir, context->lasts, err);
	if (r == 0)
		r = simple_open(context, ret_state, err);
	if (r < 0) {
		(void)abspath_root_close(&a->root, true, NULL);
		return r;
	}
	struct simple *s = *ret_state;
	s->root = &TAKE_PTR(a)->root;
	return 0;
}

static int on_soon(sd_event_source *source, void *userdata)
{
	struct abspath *a = userdata;

	(void)source;
	a->soon = sd_event_source_disable_unref(a->soon);
	a->context->events->prepared(a->context->userdata, a->handle, 0, NULL);
	return 0;
}

/* `run` is told when it starts something, and `build` has only to unpack. */
static int abspath_prepare(
	void *state, uint64_t handle, const struct release *release, struct err *err)
{
	struct abspath *a = abspath_of(state);

	int r = a->context->lasts ? abspath_root_check(&a->root, release->slug_path, err) : 0;
	if (r < 0)
		return r;
	a->soon = sd_event_source_disable_unref(a->soon);
	a->handle = handle;
	r = sd_event_add_defer(a->context->loop, &a->soon, on_soon, a);
	return r < 0 ? err_errno(err, r, "abspath driver") : 0;
}

static void abspath_prepare_stop(void *state, uint64_t handle)
{
	struct abspath *a = abspath_of(state);

	if (a->handle == handle)
		a->soon = sd_event_source_disable_unref(a->soon);
}

static int abspath_start(void *state, const struct driver_start *start, struct err *err)
{
	struct simple *s = state;

	int r = abspath_root_show(
		s->root, start->release->slug_path, port_lives_any(&s->lives), err);
	return r < 0 ? r : simple_start(state, start, err);
}

static void abspath_close(void *state)
{
	struct simple *s = state;
	_cleanup_free_ struct abspath *a = abspath_of(s);

	struct err err;

	sd_event_source_disable_unref(a->soon);
	if (abspath_root_close(&a->root, port_lives_any(&s->lives), &err) < 0) {
		char text[sizeof err.text + 40];

		(void)snprintf(text, sizeof text, "/app stays as it is: %s", err.text);
		a->context->events->note(a->context->userdata, NULL, text);
	}
	simple_close(state);
}

const struct driver driver_abspath = {
	.name = "abspath",
	.summary =
		"plain processes in the root hsup runs in, an image or a chroot; the slug at /app",
	.caps = DRIVER_NEEDS_SLUG | DRIVER_ONE_SLUG,
	.open = abspath_open,
	.prepare = abspath_prepare,
	.prepare_stop = abspath_prepare_stop,
	.start = abspath_start,
	.signal = simple_signal,
	.retag = simple_retag,
	.release = simple_release,
	.adopt = simple_adopt,
	.address = simple_address,
	.open_stdin = simple_open_stdin,
	.exec = simple_exec,
	.exec_kill = simple_exec_kill,
	.close = abspath_close,
};
