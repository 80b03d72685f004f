/* What ended boxes leave: cgroups and the folders of their layers. It goes a moment after their
 * end: replacements come first, and what ends together goes together. One job at a time removes it;
 * what comes meanwhile waits, and goes with the next. */
#include "drivers/native/private.h"

#include "base/clock.h"
#include "base/fd.h"

#include <stdio.h>

#define GATHERING (100 * NSEC_PER_MSEC)
#define PATIENCE  (30 * NSEC_PER_SEC) /* at the end: large layers take their time */

static void tell_finished(struct native *n)
{
	const struct driver_context *context = n->context;

	native_stacks_remove(n);
	n->finishing = FINISH_TOLD;
	n->patience = sd_event_source_disable_unref(n->patience);
	context->events->finished(context->userdata);
}

/* What could not be ordered is no worse than what a crash leaves: a later sweep finds it. */
static int order(struct native *n, const struct native_left *names, unsigned *ret_n)
{
	struct err err;

	_cleanup_close_ int spec = native_compose_sweep(n, names, ret_n, &err);
	int r = spec;
	if (r >= 0)
		r = child_job_order(&n->jobs, n->context->launch,
			child_job(&n->jobs, CHILD_SWEEP, ++n->n_sweeps), "sweep", spec, &err);
	if (r < 0) {
		native_note(n, "what ended dynos left is not removed now: %s", err.text);
		return r;
	}
	n->sweeping = n->n_sweeps;
	return 0;
}

static void drop(struct native *n, unsigned count)
{
	while (count-- > 0 && n->left) {
		struct native_left *first = n->left;

		n->left = first->next;
		free(first);
	}
}

static void sweep_named(struct native *n)
{
	unsigned count = 0;

	int r = order(n, n->left, &count);
	drop(n, r < 0 ? UINT32_MAX : count);
}

/* The last one of the machine removes what was set up for all: nobody holds that any more. */
static void sweep_rest(struct native *n)
{
	unsigned none;

	n->finishing = FINISH_REST;
	n->lock = fd_close(n->lock);
	if (order(n, NULL, &none) < 0)
		tell_finished(n);
}

static void go_on(struct native *n)
{
	if (n->sweeping)
		return;
	if (n->left)
		sweep_named(n);
	if (n->sweeping)
		return;
	/* Those parked are swept by name. */
	if (n->finishing == FINISH_NAMED && !n->warm.parked)
		sweep_rest(n);
	else if (n->finishing == FINISH_REST)
		tell_finished(n);
}

bool native_sweep_box(struct native *n, const char *box)
{
	struct native_left *one = calloc(1, sizeof *one);

	if (!one) {
		native_note(n, "what %s left is not removed now: out of memory", box);
		return false;
	}
	(void)snprintf(one->box, sizeof one->box, "%s", box);
	if (!n->left) {
		(void)sd_event_source_set_time_relative(n->gathering, GATHERING / NSEC_PER_USEC);
		(void)sd_event_source_set_enabled(n->gathering, SD_EVENT_ONESHOT);
	}
	one->next = n->left;
	n->left = one;
	return true;
}

void native_sweep(struct native *n, struct native_life *l)
{
	if (!l->swept)
		l->swept = native_sweep_box(n, l->box);
}

int native_on_gathered(sd_event_source *source, uint64_t usec, void *userdata)
{
	(void)source;
	(void)usec;
	go_on(userdata);
	return 0;
}

void native_sweep_all(struct native *n)
{
	unsigned none;

	if (!n->sweeping)
		(void)order(n, NULL, &none);
}

/* id 0: an earlier supervisor's. */
void native_sweep_ended(struct native *n, uint64_t id, const struct dyno_exit *exit)
{
	char text[200];

	if (exit->kind != EXIT_CODE || exit->value != 0)
		native_note(n,
			"what ended dynos left could not be removed, and is tried again at "
			"the next start: the job %s",
			dyno_exit_text(exit, wire_stage_text, text, sizeof text));
	if (id == 0 || id != n->sweeping)
		return;
	n->sweeping = 0;
	/* What came meanwhile has waited long enough, or is waited for. */
	go_on(n);
}

void native_sweeps_done(struct native *n)
{
	drop(n, UINT32_MAX);
	n->gathering = sd_event_source_disable_unref(n->gathering);
	n->patience = sd_event_source_disable_unref(n->patience);
}

/* ---- the end ---- */

/* First it begins, from the loop; then it has taken too long. */
static int on_patience(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct native *n = userdata;

	(void)usec;
	if (n->finishing != FINISH_NONE) {
		native_note(n, "what ended dynos left is still being removed");
		tell_finished(n);
		return 0;
	}
	(void)sd_event_source_set_time_relative(source, PATIENCE / NSEC_PER_USEC);
	(void)sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
	n->finishing = FINISH_NAMED;
	go_on(n);
	return 0;
}

void native_finish(void *state)
{
	struct native *n = state;

	if (n->patience || n->finishing != FINISH_NONE)
		return;
	native_warm_stop(n);
	int r = sd_event_add_time_relative(
		n->context->loop, &n->patience, CLOCK_MONOTONIC, 0, 1000, on_patience, n);
	if (r < 0)
		native_note(n, "what ended dynos left is not removed now: %s", err_name(r));
}
