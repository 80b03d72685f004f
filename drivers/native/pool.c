/* How many boxes are parked, and for whom: for each kind of dyno that was started, as many as the
 * operator wants. They are made when nothing else is to be done. */
#include "drivers/native/private.h"

#include "base/clock.h"
#include "base/fd.h"

#include <errno.h>
#include <stdio.h>

#define PAUSE	   (100 * NSEC_PER_MSEC) /* after a start: others may follow it */
#define BETWEEN	   (20 * NSEC_PER_MSEC)
#define MOST_PAUSE (60 * NSEC_PER_SEC)
#define LAST_SHIFT 10

static bool wanted(const struct native *n)
{
	/* Which port is passed on is settled when a box is made, and is a life's own. */
	bool passed_on = native_network(n) == SPEC_BOX_NET_OWN && !n->root;

	return n->context->warm > 0 && n->context->lasts && !n->warm.off && !passed_on;
}

/* ---- parking ---- */

/* The name is one more record. */
static int seal(struct native *n, const struct native_kind *k, const char *box)
{
	spec_begin(&n->spec);
	strbuf_reset(&n->spec.text);
	(void)strbuf_add(&n->spec.text, k->text, k->len);
	(void)spec_box_name(&n->spec, box);
	return spec_seal(&n->spec);
}

static int order(
	struct native *n, const struct native_kind *k, struct native_parked *p, struct err *err)
{
	struct native_life named = {0};
	unsigned char tag[LIMIT_TAG];
	char name[LIMIT_NAME + 1];
	int null = child_nowhere(&n->jobs, err);

	if (null < 0)
		return null;
	p->child = child_job(&n->jobs, CHILD_PARK, ++n->warm.n_ordered);
	native_name_box(n, "warm", p->child.id, p->child.generation, p->box);
	memcpy(named.box, p->box, sizeof named.box);
	int len = native_tag(&named, "", 0, tag);
	_cleanup_close_ int spec = len < 0 ? len : seal(n, k, p->box);
	if (spec < 0)
		return err_errno(err, spec, "launch spec");
	const struct launch_stdio nowhere = {.given = (const int[3]){null, null, null}};
	(void)snprintf(name, sizeof name, "~warm.%llu", (unsigned long long)n->warm.n_ordered);
	int r = launch_park(n->context->launch, p->child, name, tag, (size_t)len, spec, &nowhere);
	return r < 0 ? err_errno(err, r, "order to the launcher") : 0;
}

static int park(struct native *n, struct native_kind *k)
{
	struct native_parked *p = calloc(1, sizeof *p);
	struct err err = {0};
	int r = -ENOMEM;

	if (p)
		r = order(n, k, p, &err);
	else
		(void)err_errno(&err, r, "a box");
	if (r < 0) {
		if (n->warm.failures++ == 0)
			native_note(n, "no box is parked: %s", err.text);
		free(p);
		return r;
	}
	p->kind = k;
	p->next = n->warm.parked;
	n->warm.parked = p;
	n->warm.n_parked++;
	return 0;
}

static unsigned count(const struct native *n, const struct native_kind *kind)
{
	unsigned found = 0;

	for (const struct native_parked *p = n->warm.parked; p; p = p->next)
		found += p->kind && !p->taker && (p->kind == kind || !kind);
	return found;
}

/* With the dynos, and one more of them. */
static bool uids_are_left(const struct native *n)
{
	return !n->root || n->n_lives + n->warm.n_parked + 1 < box_uids(&n->settings);
}

static struct native_kind *lacking(const struct native *n)
{
	for (struct native_kind *k = n->warm.kinds; k; k = k->next)
		if (k->n_lives > 0 && count(n, k) < n->context->warm)
			return k;
	return NULL;
}

static void arm(struct native *n, uint64_t after)
{
	if (!n->warm.timer || n->warm.armed)
		return;
	n->warm.armed = true;
	(void)sd_event_source_set_time_relative(n->warm.timer, after / NSEC_PER_USEC);
	(void)sd_event_source_set_enabled(n->warm.timer, SD_EVENT_ONESHOT);
}

/* One at a time: who is started meanwhile does not wait for all of them. */
static int on_time(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct native *n = userdata;
	struct native_kind *k;

	(void)source;
	(void)usec;
	n->warm.armed = false;
	if (!wanted(n) || n->warm.n_parked >= LIMIT_WARM || !uids_are_left(n))
		return 0;
	k = lacking(n);
	if (k && park(n, k) < 0)
		native_warm_refill(n);
	else if (k && lacking(n))
		arm(n, BETWEEN);
	return 0;
}

void native_warm_refill(struct native *n)
{
	unsigned shift = n->warm.failures < LAST_SHIFT ? n->warm.failures : LAST_SHIFT;
	uint64_t pause = PAUSE << shift;

	if (!wanted(n) || !n->warm.kinds)
		return;
	if (!n->warm.timer && sd_event_add_time_relative(n->context->loop, &n->warm.timer,
				      CLOCK_MONOTONIC, 0, 1000, on_time, n) < 0)
		return;
	arm(n, pause < MOST_PAUSE ? pause : MOST_PAUSE);
}

/* A release phase runs once. */
void native_warm_want(struct native *n, const struct driver_start *start, struct native_life *life)
{
	if (!wanted(n) || !(launch_can(n->context->launch) & WIRE_CAN_WARM) ||
		process_is_phase(start->process))
		return;
	if (native_kind_join(n, start, life) == 0)
		native_warm_refill(n);
}

void native_warm_yield(struct native *n)
{
	if (!n->root || n->n_lives + n->warm.n_parked <= box_uids(&n->settings))
		return;
	for (struct native_parked *p = n->warm.parked; p; p = p->next)
		if (p->kind)
			native_warm_end(n, p);
}

/* ---- the end ---- */

void native_warm_stop(struct native *n)
{
	n->warm.off = true;
	for (struct native_parked *p = n->warm.parked; p; p = p->next)
		native_warm_end(n, p);
}

void native_warm_done(struct native *n)
{
	native_kinds_done(n);
	for (struct native_parked *p = n->warm.parked, *next; p; p = next) {
		next = p->next;
		free(p);
	}
	n->warm.parked = NULL;
	sd_event_source_disable_unref(n->warm.timer);
}
