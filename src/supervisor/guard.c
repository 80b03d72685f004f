/* What looks after a life, from its order to its end. */
#include "supervisor/guard.h"

#include "base/clock.h"
#include "base/parse.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static int make(struct supervisor *s, struct life *l, const struct driver_start *order,
	const struct check *ready, const struct check *healthy, struct err *err)
{
	struct guard *g = calloc(1, sizeof *g);
	struct checker_setup setup = {
		.ready = ready,
		.healthy = healthy,
		.seed = l->id + l->generation,
		.events = &guard_events,
		.userdata = g,
	};

	if (!g)
		return err_errno(err, -ENOMEM, "checks");
	if (!s->checks)
		s->checks = checks_new(s->loop);
	int r = s->checks ? checker_new(s->checks, &setup, &g->checker, err)
			  : err_errno(err, -ENOMEM, "checks");
	if (r < 0) {
		free(g);
		return r;
	}
	struct release *release;
	memcpy(&release, &order->release, sizeof release); /* shared, but for its count */
	g->owner = s;
	g->life = l;
	g->release = release_ref(release);
	g->order = *order;
	g->order.name = l->name;
	g->order.tag = NULL;
	g->order.tag_len = 0;
	g->order.stdio = NULL;
	g->order.notify_socket = NULL;
	l->guard = g;
	return 0;
}

/* Whether the dyno was given a socket when it was started: its name is there, or was a moment ago.
 */
static bool can_notify(struct supervisor *s, struct life *l)
{
	struct err err;

	return l->notifies ||
	       (checks_notify_path(s, l, &err) == 0 &&
		       faccessat(s->notify_dir, strrchr(s->notify_path, '/') + 1, F_OK, 0) == 0);
}

int guard_new(
	struct supervisor *s, struct life *l, const struct driver_start *order, struct err *err)
{
	static const struct check nothing = {.kind = CHECK_NONE};
	const struct process *p = order->process;
	const struct check *ready = &p->ready, *healthy = &p->healthy;
	bool notify = ready->kind == CHECK_NOTIFY || healthy->kind == CHECK_NOTIFY;

	if (notify && !can_notify(s, l)) {
		router_note(s->router, l->name,
			"was started without a notify socket: what it says is heard from its next "
			"start on");
		ready = ready->kind == CHECK_NOTIFY ? &nothing : ready;
		healthy = healthy->kind == CHECK_NOTIFY ? &nothing : healthy;
		notify = false;
	}
	if (ready->kind == CHECK_NONE && healthy->kind == CHECK_NONE)
		return 0;
	int r = make(s, l, order, ready, healthy, err);
	if (r < 0 || !notify)
		return r;
	l->notifies = true;
	r = checks_notify_path(s, l, err);
	if (r == 0)
		r = checker_open_notify(
			l->guard->checker, s->notify_dir, strrchr(s->notify_path, '/') + 1, err);
	return r;
}

int checks_prepare(
	struct supervisor *s, struct life *l, struct driver_start *order, struct err *err)
{
	const struct process *p = order->process;

	/* A dry run writes nothing, and says at once that all is well. */
	if (s->setup->driver->caps & DRIVER_DRY)
		return p->ready.kind ? make(s, l, order, &p->ready, &p->healthy, err) : 0;
	if (p->ready.kind == CHECK_NOTIFY || p->healthy.kind == CHECK_NOTIFY) {
		int r = checks_notify_path(s, l, err);
		if (r < 0)
			return r;
		l->notifies = true;
		order->notify_socket = s->notify_path;
	}
	if (p->healthy.kind == CHECK_NOTIFY)
		order->watchdog_usec = p->healthy.interval / NSEC_PER_USEC;
	return guard_new(s, l, order, err);
}

/* Where it listens: what the driver gave it, or what the operator said. */
static struct check_address address_of(const struct guard *g)
{
	const struct supervisor *s = g->owner;
	const struct driver *driver = s->setup->driver;
	const char *text = env_get(&g->order.process->env, "PORT");
	struct driver_address found = {0};
	struct check_address where;

	if (driver->address)
		(void)driver->address(s->driver_state, g->life->id, g->life->generation, &found);
	memcpy(where.host, found.host, sizeof where.host);
	where.port = found.port;
	where.network_of = found.network_of;
	if (!text)
		text = env_get(&g->release->env, "PORT");
	if (where.port == 0 && text && parse_uint(text, UINT16_MAX, &where.port) < 0)
		where.port = 0;
	return where;
}

void checks_begin(struct life *l)
{
	struct guard *g = l->guard;

	if (!g)
		return;
	/* A dry run shows what would be done, not what would become of it. */
	if (g->owner->setup->driver->caps & DRIVER_DRY) {
		if (g->order.process->ready.kind != CHECK_NONE)
			guard_ready(g);
		return;
	}
	struct check_address where = address_of(g);
	checker_set_address(g->checker, &where);
	checker_begin(g->checker, l->pid);
}

void checks_known(struct life *l)
{
	struct guard *g = l->guard;

	if (!g || (g->owner->setup->driver->caps & DRIVER_DRY))
		return;
	struct check_address where = address_of(g);
	checker_set_address(g->checker, &where);
	checker_known(g->checker, l->pid);
}

void checks_changed(struct supervisor *s, const struct engine_action *a)
{
	const struct life *l = life_find(s, a->id, a->generation);

	if (!l || !l->guard)
		return;
	if (s->setup->driver->caps & DRIVER_DRY)
		return;
	if (a->to == DYNO_UP)
		checker_up(l->guard->checker, clock_now());
	else if (a->to != DYNO_STARTING)
		checker_rest(l->guard->checker);
}

void checks_end(struct life *l)
{
	struct guard *g = TAKE_PTR(l->guard);

	if (l->ended && l->notifies && !g)
		checks_forget_notify(l->owner, l);
	if (!g)
		return;
	/* The name stays when the dyno runs on, with nobody who listens. */
	checker_free(g->checker, l->started && !l->ended);
	release_unref(g->release);
	free(g);
}

const char *checks_start_reason(struct supervisor *s, uint64_t id, uint32_t generation)
{
	const struct life *l = life_find(s, id, generation);

	return l && l->guard ? checker_reason(l->guard->checker) : "";
}
