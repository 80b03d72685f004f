/* Dynos in containers of their own, which hsup-box makes: no daemon, no engine. */
#include "drivers/native/private.h"

#include "base/fd.h"
#include "wire/box_presence.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

void native_note(const struct native *n, const char *fmt, ...)
{
	const struct driver_context *context = n->context;
	char text[700] = "native: ";
	size_t len = strlen(text);
	va_list args;

	if (!context->events->note)
		return;
	va_start(args, fmt);
	(void)vsnprintf(text + len, sizeof text - len, fmt, args);
	va_end(args);
	context->events->note(context->userdata, NULL, text);
}

/* ---- what the supervisor asks ---- */

static int native_signal(void *state, uint64_t id, uint32_t generation, int signo)
{
	struct native *n = state;
	const struct native_life *l = native_find(n, id, generation);

	if (l && l->wish)
		l->wish->signals |= UINT64_C(1) << (signo - 1);
	return launch_signal(n->context->launch, (struct launch_child){id, generation}, signo);
}

static int native_retag(
	void *state, uint64_t id, uint32_t generation, const void *tag, size_t tag_len)
{
	struct native *n = state;
	const struct native_life *l = native_find(n, id, generation);
	unsigned char whole[LIMIT_TAG];

	if (!l)
		return 0;
	int len = native_tag(l, tag, tag_len, whole);
	if (len < 0)
		return len;
	if (l->wish) {
		memcpy(l->wish->tag, tag, tag_len);
		l->wish->tag_len = tag_len;
	}
	return launch_tag(
		n->context->launch, (struct launch_child){id, generation}, whole, (size_t)len);
}

static int native_release(void *state, uint64_t id, uint32_t generation)
{
	struct native *n = state;
	struct native_life *l = native_find(n, id, generation);

	if (l)
		native_sweep(n, l);
	native_forget(n, id, generation);
	/* For want of its uid none may have been parked. */
	native_warm_refill(n);
	return launch_ack(n->context->launch, (struct launch_child){id, generation});
}

static int native_adopt(void *state)
{
	struct native *n = state;

	return launch_list(n->context->launch);
}

static int native_open_stdin(void *state, uint64_t id, uint32_t generation)
{
	const struct native *n = state;

	return stdin_dir_open(&n->stdin_dir, id, generation);
}

/* ---- open and close ---- */

static void native_close(void *state)
{
	struct native *n = state;

	if (!n)
		return;
	launch_listen(n->context->launch, NULL, NULL);
	native_sweeps_done(n);
	native_prepare_done(n);
	native_stacks_done(n);
	sd_event_source_disable_unref(n->looking);
	for (size_t i = 0; i < NATIVE_BUCKETS; i++)
		while (n->buckets[i])
			native_forget(n, n->buckets[i]->id, n->buckets[i]->generation);
	/* Behind those that may be about to have one. */
	native_warm_done(n);
	stdin_dir_end(&n->stdin_dir);
	child_jobs_end(&n->jobs);
	spec_builder_done(&n->spec);
	sd_event_source_disable_unref(n->telling);
	(void)fd_close(n->lock);
	free(n->ports.lives);
	free(n);
}

/* As long as it is held, what hsup-box has set up on this machine stays: the table of its packet
 * filter, the folders of its cgroups. For who is not root there is nothing set up. */
static int hold_machine(struct native *n, struct err *err)
{
	if (!n->root)
		return 0;
	n->lock = box_presence_hold(n->settings.run);
	if (n->lock < 0)
		return err_errno(err, n->lock,
			"native dynos: %s/" BOX_PRESENT ", which `hsup start -d native` makes",
			n->settings.run);
	return 0;
}

static int check_launcher(struct launch *launch, struct err *err)
{
	if (launch_can(launch) & WIRE_CAN_BOX)
		return 0;
	return err_set(err, -EOPNOTSUPP,
		"native dynos: the launcher that runs is too old for them, or was started without "
		"hsup-box; `hsup start -d native` starts one that is not");
}

static int open_all(struct native *n, struct err *err)
{
	const char *stack = getenv("HSUP_NATIVE_STACK");

	if (stack && *stack && strcmp(stack, STACK_HOST) != 0)
		return err_set(err, -EINVAL, "HSUP_NATIVE_STACK=%.60s: must be " STACK_HOST, stack);
	n->all_on_host = stack && *stack;
	int r = check_launcher(n->context->launch, err);
	if (r == 0)
		r = box_settings_load(&n->settings, environ, err);
	if (r == 0)
		r = hold_machine(n, err);
	if (r < 0)
		return r;
	r = cgroup_layout_load(&n->cgroups);
	if (r < 0)
		return err_errno(err, r, "native dynos: cgroups");
	if (!n->root)
		cgroup_layout_delegated(&n->cgroups);
	r = sd_event_add_defer(n->context->loop, &n->telling, native_tell_ready, n);
	if (r >= 0)
		r = sd_event_source_set_enabled(n->telling, SD_EVENT_OFF);
	if (r >= 0)
		r = sd_event_add_time_relative(
			n->context->loop, &n->looking, CLOCK_MONOTONIC, 0, 1000, native_on_look, n);
	if (r >= 0)
		r = sd_event_source_set_enabled(n->looking, SD_EVENT_OFF);
	if (r >= 0)
		r = sd_event_add_time_relative(n->context->loop, &n->gathering, CLOCK_MONOTONIC, 0,
			1000, native_on_gathered, n);
	if (r >= 0)
		r = sd_event_source_set_enabled(n->gathering, SD_EVENT_OFF);
	return r < 0 ? err_errno(err, r, "event loop") : 0;
}

static int native_open(struct driver_context *context, void **ret_state, struct err *err)
{
	struct native *n = calloc(1, sizeof *n);

	if (!n)
		return err_errno(err, -ENOMEM, "native driver");
	n->context = context;
	n->root = context->dyno_ids != NULL;
	n->lock = -1;
	box_settings_init(&n->settings);
	child_jobs_begin(&n->jobs);
	stdin_dir_begin(&n->stdin_dir, context->stdin_dir);
	launch_listen(context->launch, &native_child_events, n);
	int r = open_all(n, err);
	if (r < 0) {
		native_close(n);
		return r;
	}
	*ret_state = n;
	return 0;
}

const struct driver driver_native = {
	.name = "native",
	.alias = "libcontainer",
	.summary = "a container of its own for each dyno; no daemon",
	.caps = DRIVER_NEEDS_SLUG | DRIVER_LIMITS_CPU | DRIVER_LIMITS_DISK | DRIVER_LEAVES |
		DRIVER_OWN_ROOT,
	.open = native_open,
	.prepare = native_prepare,
	.prepare_stop = native_prepare_stop,
	.start = native_start,
	.signal = native_signal,
	.retag = native_retag,
	.release = native_release,
	.keep = native_keep,
	.adopt = native_adopt,
	.address = native_address,
	.usage = native_usage,
	.open_stdin = native_open_stdin,
	.exec = native_exec,
	.exec_kill = native_exec_kill,
	.finish = native_finish,
	.missing = native_missing,
	.close = native_close,
	.gc = native_gc,
};
