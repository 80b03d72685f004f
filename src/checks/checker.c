#include "checks/private.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/str.h"

#include <errno.h>
#include <stdio.h>

/* Ready is looked at often in the beginning: most programs listen within a moment. */
#define FIRST_PAUSE  (25 * NSEC_PER_MSEC)
#define LINGER	     NSEC_PER_SEC
#define JITTER_PARTS 10 /* a tenth more or less */

uint64_t checker_jitter(struct checker *c, uint64_t delay)
{
	uint64_t part = delay / JITTER_PARTS;

	c->random = hash_u64(c->random, c->random);
	return delay - part + (part ? c->random % (2 * part) : 0);
}

/* The last thing that a function does: the callback may rest or free the checker. */
static void set_state(struct checker *c, enum checker_state state, const char *reason)
{
	enum checker_state before = c->state;

	c->state = state;
	(void)snprintf(c->reason, sizeof c->reason, "%s", reason);
	if (before != state)
		c->events->changed(c->userdata, before);
}

/* ---- what a try has found ---- */

/* Nothing is to follow, but what a dyno still has to say to an HTTP request is heard. */
static void let_linger(struct checker *c)
{
	if (c->attempt.fd >= 0)
		(void)checker_arm(c, TIMER_LINGER, LINGER);
	else
		checker_disarm(c);
}

static void judge_ready(struct checker *c, bool good, const char *text)
{
	if (good) {
		c->phase = PHASE_NONE; /* until it is told that it is up */
		c->was_ready = true;
		c->reason[0] = '\0';
		let_linger(c);
		c->events->ready(c->userdata);
		return;
	}
	(void)snprintf(c->reason, sizeof c->reason, "%s", text);
	(void)checker_arm(c, TIMER_NEXT, checker_jitter(c, c->pause));
	c->pause = 2 * c->pause < c->ready->interval ? 2 * c->pause : c->ready->interval;
}

static void judge_healthy(struct checker *c, bool good, const char *text)
{
	char why[CHECKER_TEXT];

	(void)checker_arm(c, TIMER_NEXT, checker_jitter(c, c->healthy->interval));
	if (good) {
		c->failed = 0;
		set_state(c, CHECKER_OK, "");
		return;
	}
	c->failed++;
	if (c->failed < c->healthy->threshold) {
		set_state(c, CHECKER_FAILING, text);
		return;
	}
	(void)snprintf(why, sizeof why, "%s (%u in a row)", text, c->failed);
	checker_rest(c);
	c->state = CHECKER_FAILING;
	(void)snprintf(c->reason, sizeof c->reason, "%s", text);
	c->events->unhealthy(c->userdata, why);
}

void checker_judge(struct checker *c, bool good, const char *text)
{
	if (c->phase == PHASE_READY)
		judge_ready(c, good, text);
	else if (c->phase == PHASE_UP)
		judge_healthy(c, good, text);
}

/* ---- time ---- */

static void timed_out(struct checker *c)
{
	const struct check *check = checker_check(c);
	double seconds = (double)check->timeout / (double)NSEC_PER_SEC;
	char text[CHECKER_TEXT];

	if (check->kind == CHECK_COMMAND)
		(void)snprintf(text, sizeof text,
			"the command has not ended within %.3g s and was killed", seconds);
	else if (check->kind == CHECK_HTTP)
		(void)snprintf(text, sizeof text, "GET %.90s: %s within %.3g s", check->path,
			attempt_waits(&c->attempt), seconds);
	else
		(void)snprintf(text, sizeof text, "port %u: %s within %.3g s",
			c->attempt.where.port, attempt_waits(&c->attempt), seconds);
	checker_stop_try(c);
	checker_judge(c, false, text);
}

static void look_at_watchdog(struct checker *c)
{
	bool good = c->pinged;
	char text[CHECKER_TEXT];

	c->pinged = false;
	(void)snprintf(text, sizeof text, "no WATCHDOG=1 within %.3g s",
		(double)c->healthy->interval / (double)NSEC_PER_SEC);
	judge_healthy(c, good, text);
}

static void next_try(struct checker *c)
{
	/* A command that was killed and has not ended yet. */
	if (c->try != TRY_NONE)
		(void)checker_arm(c, TIMER_NEXT, checker_check(c)->interval);
	else if (c->phase == PHASE_UP && c->healthy->kind == CHECK_NOTIFY)
		look_at_watchdog(c);
	else if (c->phase != PHASE_NONE)
		checks_queue(c);
}

void checker_timer_due(struct checker *c)
{
	switch (c->timer_is) {
	case TIMER_NEXT:
		next_try(c);
		break;
	case TIMER_TIMEOUT:
		timed_out(c);
		break;
	case TIMER_ASSUME:
		c->phase = PHASE_NONE;
		c->events->note(c->userdata,
			"it may have said READY=1 when no supervisor listened: taken as ready");
		c->events->ready(c->userdata);
		break;
	case TIMER_LINGER:
		attempt_end(&c->attempt);
		break;
	}
}

/* ---- what the dyno says ---- */

static void on_message(void *userdata, const struct notify_message *m)
{
	struct checker *c = userdata;

	if (m->has_status)
		(void)snprintf(c->status, sizeof c->status, "%s", m->status);
	c->pinged = c->pinged || m->watchdog;
	if (m->stopping) {
		/* It will not answer for long, and that is no fault. */
		checker_rest(c);
		return;
	}
	if (m->ready && c->phase == PHASE_READY && c->ready->kind == CHECK_NOTIFY) {
		c->pinged = true;
		judge_ready(c, true, "");
		return;
	}
	if (c->phase != PHASE_UP || c->healthy->kind != CHECK_NOTIFY)
		return;
	if (m->trigger) {
		c->failed = c->healthy->threshold;
		judge_healthy(c, false, "it said WATCHDOG=trigger");
	} else if (m->watchdog && c->state != CHECKER_OK) {
		c->failed = 0;
		set_state(c, CHECKER_OK, "");
	}
}

static void on_refused(void *userdata, const char *why)
{
	struct checker *c = userdata;

	c->events->note(c->userdata, why);
}

int checker_open_notify(struct checker *c, int dir, const char *name, struct err *err)
{
	static const struct notify_events events = {.message = on_message, .refused = on_refused};

	return notify_socket_open(c->all->loop, dir, name, &events, c, &c->notify, err);
}

/* ---- a life ---- */

int checker_new(struct checks *all, const struct checker_setup *setup, struct checker **ret,
	struct err *err)
{
	struct checker *c = calloc(1, sizeof *c);

	if (!c)
		return err_errno(err, -ENOMEM, "checks");
	c->all = all;
	c->ready = setup->ready;
	c->healthy = setup->healthy;
	c->events = setup->events;
	c->userdata = setup->userdata;
	c->random = hash_u64(HASH_INIT, setup->seed);
	c->attempt.fd = -1;
	if (c->ready->kind != CHECK_NONE || c->healthy->kind != CHECK_NONE)
		c->state = CHECKER_WAITING;
	*ret = c;
	return 0;
}

struct checker *checker_free(struct checker *c, bool kept)
{
	if (!c)
		return NULL;
	checker_rest(c);
	/* Who ran it hears of its end alone. */
	c->try = TRY_NONE;
	checks_done(c);
	(void)notify_socket_close(c->notify, kept);
	sd_event_source_disable_unref(c->timer);
	free(c);
	return NULL;
}

void checker_set_address(struct checker *c, const struct check_address *address)
{
	c->address = *address;
}

void checker_known(struct checker *c, int session)
{
	if (c->notify && session > 0)
		notify_socket_listen(c->notify, session);
}

void checker_begin(struct checker *c, int session)
{
	if (c->notify && session > 0)
		notify_socket_listen(c->notify, session);
	/* It may be about to end before it was known to have begun. */
	if (c->ready->kind == CHECK_NONE || c->rests)
		return;
	c->phase = PHASE_READY;
	if (c->ready->kind == CHECK_NOTIFY) {
		(void)snprintf(c->reason, sizeof c->reason, "it has not said READY=1");
		return;
	}
	/* A command is a process: no more of them than was asked for. */
	c->pause = c->ready->kind == CHECK_COMMAND || FIRST_PAUSE > c->ready->interval
			   ? c->ready->interval
			   : FIRST_PAUSE;
	checks_queue(c);
}

void checker_assume_ready(struct checker *c, uint64_t when)
{
	uint64_t now = clock_now();

	if (c->phase == PHASE_READY && c->ready->kind == CHECK_NOTIFY)
		(void)checker_arm(c, TIMER_ASSUME, when > now ? when - now : 0);
}

void checker_up(struct checker *c, uint64_t since)
{
	uint64_t now = clock_now(), first = since + c->healthy->cooldown;

	if (c->try != TRY_NONE)
		checker_stop_try(c);
	c->phase = PHASE_UP;
	c->rests = false;
	c->failed = 0;
	if (c->healthy->kind == CHECK_NONE) {
		let_linger(c);
		if (c->ready->kind != CHECK_NONE)
			set_state(c, CHECKER_OK, "");
		return;
	}
	c->pinged = false;
	/* Not all at once when all have come up at once. */
	uint64_t half = c->healthy->interval / 2;
	uint64_t delay = half + (half ? c->random % half : 0);
	/* What it is to say within an interval it has the whole of it for. */
	if (c->healthy->kind == CHECK_NOTIFY)
		delay = c->healthy->interval;
	(void)checker_arm(c, TIMER_NEXT, delay + (first > now ? first - now : 0));
}

void checker_rest(struct checker *c)
{
	c->rests = true;
	c->phase = PHASE_NONE;
	checker_disarm(c);
	checker_stop_try(c);
}

enum checker_state checker_state(const struct checker *c, const char **ret_text)
{
	*ret_text = c->reason[0] ? c->reason : c->status;
	return c->state;
}

const char *checker_reason(const struct checker *c)
{
	return c->was_ready ? "" : c->reason;
}
