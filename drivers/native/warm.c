/* Starts in boxes that are parked: made before, each for whoever comes first of those it is for. A
 * start never fails for want of one. */
#include "drivers/native/private.h"

#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>

static void forget(struct native *n, struct native_parked *p)
{
	struct native_parked **at = &n->warm.parked;

	while (*at != p)
		at = &(*at)->next;
	*at = p->next;
	n->warm.n_parked--;
	free(p);
}

/* Its end is told, and then it is swept. */
void native_warm_end(struct native *n, struct native_parked *p)
{
	p->kind = NULL;
	if (p->taker)
		return;
	int r = launch_signal(n->context->launch, p->child, SIGKILL);
	(void)r;
}

/* ---- a life's wish ---- */

void native_wish_end(struct native_life *life)
{
	struct native_wish *w = life->wish;

	if (!w)
		return;
	if (w->parked)
		w->parked->taker = NULL;
	(void)fd_close(w->spec);
	(void)fd_close(w->in);
	free(w);
	life->wish = NULL;
}

static int duplicate(int fd)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);

	return copy < 0 ? -errno : copy;
}

static int make_wish(struct native_life *life, const struct driver_start *start, int spec,
	const struct launch_stdio *stdio)
{
	struct native_wish *w = calloc(1, sizeof *w);

	if (!w || start->tag_len > sizeof w->tag) {
		free(w);
		return w ? -E2BIG : -ENOMEM;
	}
	life->wish = w;
	w->merged = stdio->merged;
	w->tag_len = start->tag_len;
	memcpy(w->tag, start->tag, start->tag_len);
	(void)snprintf(w->name, sizeof w->name, "%s", start->name);
	(void)snprintf(w->box, sizeof w->box, "%s", life->box);
	w->spec = duplicate(spec);
	w->in = stdio->in < 0 ? -1 : duplicate(stdio->in);
	int r = w->spec < 0 ? w->spec : stdio->in >= 0 && w->in < 0 ? w->in : 0;
	if (r < 0)
		native_wish_end(life);
	return r;
}

static struct native_parked *find(const struct native *n, const struct native_kind *kind)
{
	struct native_parked *found = NULL;

	/* The last of the list has waited for longest. */
	for (struct native_parked *p = n->warm.parked; kind && p; p = p->next)
		if (p->kind == kind && !p->taker)
			found = p;
	return found;
}

int native_warm_start(struct native *n, const struct driver_start *start, struct native_life *life,
	int spec, const struct launch_stdio *stdio)
{
	struct native_parked *p = n->warm.parked ? find(n, native_kind_of(n, start)) : NULL;
	const struct launch_child child = {life->id, life->generation};
	unsigned char tag[LIMIT_TAG];

	if (!p)
		return -ENOENT;
	int r = make_wish(life, start, spec, stdio);
	if (r < 0)
		return r;
	memcpy(life->box, p->box, sizeof life->box);
	r = native_tag(life, start->tag, start->tag_len, tag);
	if (r >= 0)
		r = launch_spawn_warm(n->context->launch, p->child, child, start->name, tag,
			(size_t)r, spec, stdio);
	if (r < 0) {
		memcpy(life->box, life->wish->box, sizeof life->box);
		native_wish_end(life);
		return r;
	}
	life->wish->parked = p;
	p->taker = life;
	return 0;
}

/* ---- what the launcher says of it ---- */

void native_warm_began(struct native *n, struct native_life *life)
{
	struct native_parked *p = life->wish ? life->wish->parked : NULL;

	if (life->wish)
		n->warm.failures = 0;
	native_wish_end(life);
	if (!p)
		return;
	forget(n, p);
	native_warm_refill(n);
}

/* What it was sent meanwhile has found nobody. */
static int start_cold(struct native *n, struct native_life *life)
{
	const struct launch_child child = {life->id, life->generation};
	const struct native_wish *w = life->wish;
	const struct launch_stdio stdio = {.in = w->in, .merged = w->merged};
	unsigned char tag[LIMIT_TAG];

	memcpy(life->box, w->box, sizeof life->box);
	int r = native_tag(life, w->tag, w->tag_len, tag);
	if (r >= 0)
		r = launch_spawn_box(
			n->context->launch, child, w->name, tag, (size_t)r, w->spec, &stdio);
	/* From here on it runs, whether a signal could be sent or not. */
	for (int signo = 1; r >= 0 && signo <= 64; signo++)
		if (w->signals & UINT64_C(1) << (signo - 1))
			(void)!launch_signal(n->context->launch, child, signo);
	return r;
}

bool native_warm_refused(struct native *n, struct native_life *life, unsigned stage)
{
	struct native_parked *p = life->wish ? life->wish->parked : NULL;

	if (!life->wish)
		return false;
	int r = stage == WIRE_STAGE_WARM ? start_cold(n, life) : -ECANCELED;
	native_wish_end(life);
	/* Whatever is wrong with it: another one takes its place. */
	if (p)
		native_warm_end(n, p);
	return r >= 0;
}

void native_warm_ended(struct native *n, struct launch_child c)
{
	struct native_parked *p = n->warm.parked;

	(void)child_job_ended(&n->jobs, n->context->launch, c);
	while (p && p->child.id != c.id)
		p = p->next;
	if (!p)
		return;
	char box[sizeof p->box];
	memcpy(box, p->box, sizeof box);
	n->warm.failures += p->kind != NULL;
	if (p->taker)
		p->taker->wish->parked = NULL;
	forget(n, p);
	native_warm_refill(n);
	(void)native_sweep_box(n, box);
	/* The end has waited for this, and no longer. */
	if (n->finishing != FINISH_NONE && !n->warm.parked)
		(void)native_on_gathered(NULL, 0, n);
}

/* It was parked for who knows what: its successor is made when somebody starts. Without a name of
 * its box that is left to the sweep of all. */
void native_warm_found(struct native *n, struct launch_child c, const char *box)
{
	struct native_parked *p = box[0] ? calloc(1, sizeof *p) : NULL;

	if (p) {
		p->child = c;
		(void)snprintf(p->box, sizeof p->box, "%s", box);
		p->next = n->warm.parked;
		n->warm.parked = p;
		n->warm.n_parked++;
	}
	int r = launch_signal(n->context->launch, c, SIGKILL);
	(void)r;
}
