/* One try, from its turn to its outcome or its time-out. */
#include "checks/private.h"

#include "base/clock.h"

#include <errno.h>
#include <stdio.h>

#define SHORTEST (10 * NSEC_PER_MSEC)
#define SLACK	 10000 /* us: as much as the loop may put together; 0 would mean 250 ms to it */

const struct check *checker_check(const struct checker *c)
{
	return c->phase == PHASE_READY ? c->ready : c->healthy;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	(void)source;
	(void)usec;
	checker_timer_due(userdata);
	return 0;
}

int checker_arm(struct checker *c, enum checker_timer what, uint64_t delay)
{
	int r = 0;

	/* Whatever was asked for: tries must not take all of the loop's time. */
	if (what == TIMER_NEXT && delay < SHORTEST)
		delay = SHORTEST;
	c->timer_is = what;
	if (!c->timer)
		r = sd_event_add_time_relative(
			c->all->loop, &c->timer, CLOCK_MONOTONIC, 0, SLACK, on_timer, c);
	if (r >= 0)
		r = sd_event_source_set_time_relative(c->timer, delay / NSEC_PER_USEC);
	if (r >= 0)
		r = sd_event_source_set_enabled(c->timer, SD_EVENT_ONESHOT);
	return r < 0 ? r : 0;
}

void checker_disarm(struct checker *c)
{
	if (c->timer)
		(void)sd_event_source_set_enabled(c->timer, SD_EVENT_OFF);
}

static void on_attempt(void *userdata, bool good, const char *text)
{
	struct checker *c = userdata;

	checks_done(c);
	checker_judge(c, good, text);
}

/* As attempt_begin(). */
static int begin(struct checker *c, const struct check *check, struct err *err)
{
	if (check->kind == CHECK_COMMAND) {
		/* Of an earlier phase; two of one dyno at once would be hard to tell apart. */
		if (c->command)
			return err_set(err, -EBUSY, "the last command has not ended yet");
		int r = c->events->run(c->userdata, check, err);
		c->command = r >= 0;
		return r < 0 ? r : 0;
	}
	c->attempt.done = on_attempt;
	c->attempt.userdata = c;
	struct check_address where = c->address;
	where.port = check->port ? check->port : where.port;
	return attempt_begin(&c->attempt, c->all->loop, check, &where, err);
}

/* What is our own want, and no fault of the dyno's. */
static bool is_ours(int r)
{
	return r == -EMFILE || r == -ENFILE || r == -ENOMEM || r == -ENOBUFS || r == -EBUSY;
}

void checker_try(struct checker *c)
{
	const struct check *check = checker_check(c);
	struct err err = {0};

	c->try = TRY_RUNS;
	int r = begin(c, check, &err);
	if (r == 0)
		r = checker_arm(c, TIMER_TIMEOUT, check->timeout);
	if (r == 0)
		return;
	if (r < 0 && err.code == 0)
		(void)err_errno(&err, r, "timer");
	checker_stop_try(c);
	if (is_ours(r)) {
		(void)snprintf(c->reason, sizeof c->reason, "not looked at: %.120s", err.text);
		(void)checker_arm(c, TIMER_NEXT, checker_jitter(c, check->interval));
		return;
	}
	checker_judge(c, r > 0, err.text);
}

void checker_stop_try(struct checker *c)
{
	checks_unqueue(c);
	attempt_end(&c->attempt);
	if (c->command && c->try == TRY_RUNS) {
		/* Its end gives the turn back. */
		c->try = TRY_KILLED;
		c->events->kill(c->userdata);
		return;
	}
	if (c->try != TRY_KILLED)
		checks_done(c);
}

void checker_command_done(struct checker *c, bool good, const char *text)
{
	bool runs = c->try == TRY_RUNS;

	if (!c->command)
		return;
	c->command = false;
	checks_done(c);
	if (runs)
		checker_judge(c, good, text);
}
