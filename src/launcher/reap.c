#include "launcher/launcher.h"

#include "base/log.h"
#include "launcher/found.h"
#include "wire/spec.h"

#include <errno.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

/* Then requests are served, however many orphans of ours die. */
#define REAP_AT_ONCE 256
/* Then the supervisor is told, so that it works while we reap the next. */
#define REAP_AND_TELL 16

static uint64_t usec(const struct timeval *t)
{
	return (uint64_t)t->tv_sec * 1000000 + (uint64_t)t->tv_usec;
}

static void tell(struct launcher *l, struct child *c, enum child_news news)
{
	if (c->known)
		children_tell(l->children, c, news);
}

/* Of the group that a reaped leader has left, is anything there? We are the reaper of every orphan
 * below us, so what lives of the group hangs on a child of ours in it, running or dead. kill() is
 * asked first: it looks the number up, where waitid() walks all our children. Only its no can be
 * trusted: the number of an empty group may be another's by now. */
static bool group_lives(const struct launcher *l, const struct child *c)
{
	int32_t pgid = c->pid;
	siginfo_t si;

	/* Init of a pid namespace is not dead before all the others there are. */
	if (c->boxed)
		return false;
	if (c->found)
		return found_group_lives(l, c);
	if (kill(-pgid, 0) < 0 && errno == ESRCH)
		return false;
	return waitid(P_PGID, (id_t)pgid, &si, WEXITED | WNOHANG | WNOWAIT) == 0 || errno != ECHILD;
}

static void set_ended(struct launcher *l, struct child *c)
{
	children_set_state(l->children, c, CHILD_ENDED);
	tell(l, c, NEWS_ENDED);
}

bool reap_left(struct launcher *l, struct child *c)
{
	if (group_lives(l, c))
		return true;
	set_ended(l, c);
	return false;
}

/* A dyno in the foreground had the terminal; its next user, perhaps a shell script, is in our
 * group, and wants it as it was, however the dyno ended. SIGTTOU is blocked. */
static void take_terminal_back(const struct launcher *l, const struct child *c)
{
	if (c->output != WIRE_OUTPUT_GIVEN || tcgetpgrp(STDIN_FILENO) != c->pid)
		return;
	(void)tcsetpgrp(STDIN_FILENO, getpgrp());
	if (l->has_terminal)
		(void)tcsetattr(STDIN_FILENO, TCSADRAIN, &l->terminal);
}

/* A supervisor that stands between a terminal and a container has made it raw, and was perhaps
 * killed. TCSANOW: one whose output somebody has stopped would have us wait. */
void reap_terminal(const struct launcher *l)
{
	pid_t group = tcgetpgrp(STDIN_FILENO);

	if (l->options.lends_terminal && l->has_terminal && (group < 0 || group == getpgrp()))
		(void)tcsetattr(STDIN_FILENO, TCSANOW, &l->terminal);
}

bool reap_refused(struct launcher *l)
{
	uint64_t now = clock_now();

	l->refused++;
	if (now < l->refused_said_at + NSEC_PER_SEC)
		return false;
	l->refused_said_at = now;
	return true;
}

static void say_refused(struct launcher *l, const struct child *c)
{
	char text[LIMIT_NAME + LIMIT_TAG];

	if (!reap_refused(l))
		return;
	children_text(l->children, c, text);
	log_warning("%.*s was refused (%u in all): %s: %s", (int)c->text.name_length, text,
		l->refused, wire_stage_text(c->failure.stage), err_name(c->failure.error));
}

/* As waitpid() gives it of one that has ended. (The C libraries' macros do not agree on others.) */
static bool is_status(int status)
{
	int signo = status & 0x7f;

	if (signo == 0)
		return (status & ~0xff00) == 0;
	return signo < NSIG && (status & ~0xff) == 0;
}

static void take_end(struct launcher *l, struct child *c, const struct box_end *end)
{
	watch_drop(l, c);
	c->status = end->status;
	c->exit_time = clock_now();
	c->user_usec = end->user_usec;
	c->system_usec = end->system_usec;
	c->max_rss_kb = end->max_rss_kb;
	c->failure = l->failures[children_slot(l->children, c)];
	warm_forget(l, c);
	if (c->failure.stage == BOX_ENDED && is_status(c->failure.error)) {
		c->status = c->failure.error;
		c->failure = (struct birth_failure){0};
	}
	/* Nothing else wrote it than our own code in the child, and hsup-box; a value out of range
	 * would still be a lie to the supervisor. */
	if (c->failure.stage >= WIRE_STAGE_MAX)
		c->failure = (struct birth_failure){.stage = WIRE_STAGE_SPEC, .error = EBADMSG};
	if (c->failure.stage == WIRE_STAGE_SPEC || c->failure.stage == WIRE_STAGE_POLICY)
		say_refused(l, c);
	take_terminal_back(l, c);
}

static void leader_ended(struct launcher *l, struct child *c, int status, const struct rusage *ru)
{
	const struct box_end end = {
		.status = status,
		.user_usec = usec(&ru->ru_utime),
		.system_usec = usec(&ru->ru_stime),
		.max_rss_kb = (uint64_t)ru->ru_maxrss,
	};

	take_end(l, c, &end);
	/* Whether the rest of the group lives is asked when all that is dead was reaped. */
	children_set_state(l->children, c, CHILD_LEFT);
}

bool reap_told(struct launcher *l, struct child *c, const struct box_end *end)
{
	if (!is_status(end->status))
		return false;
	take_end(l, c, end);
	children_over(l->children, c);
	tell(l, c, NEWS_ENDED);
	return true;
}

/* all_reaped: what lives of a group now is not just dead and waiting for us. */
static void check_left(struct launcher *l, bool all_reaped)
{
	for (struct child *c = children_first_left(l->children), *next; c; c = next) {
		next = children_next_left(l->children, c);
		if (c->found)
			continue;
		if (reap_left(l, c) && all_reaped && !c->left_told) {
			c->left_told = true;
			tell(l, c, NEWS_LEFT);
		}
	}
}

#define LOOK_AGAIN NSEC_PER_SEC

void reap_look(struct launcher *l)
{
	l->look_at = 0;
	for (struct child *c = children_first_left(l->children), *next; c; c = next) {
		next = children_next_left(l->children, c);
		if (!c->found)
			continue;
		if (!reap_left(l, c))
			continue;
		if (!c->left_told) {
			c->left_told = true;
			tell(l, c, NEWS_LEFT);
		}
		l->look_at = clock_now() + LOOK_AGAIN;
	}
}

/* A foreground dyno that Ctrl-Z has stopped has nobody who would continue it: the shell waits for
 * us, and we do not stop. */
static void leader_stopped(const struct child *c, int status)
{
	if (c->output == WIRE_OUTPUT_GIVEN && WSTOPSIG(status) == SIGTSTP)
		(void)kill(-c->pid, SIGCONT);
}

/* One child that has changed: pid, or any (-1). False when there is none. */
static bool reap_one(struct launcher *l, pid_t which)
{
	struct rusage ru;
	int status;
	pid_t pid = wait4(which, &status, WNOHANG | WUNTRACED, &ru);

	if (pid <= 0)
		return false;
	struct child *c = children_find_pid(l->children, pid);
	if (WIFSTOPPED(status)) {
		if (c)
			leader_stopped(c, status);
	} else if (pid == l->keeper.pid) {
		l->supervisor_ended = true;
		l->supervisor_status = status;
	} else if (pid == l->upgrade.pid) {
		l->upgrade.ended = true;
		l->upgrade.status = status;
	} else if (c && c->unreaped) {
		children_reaped(l->children, c);
	} else if (c) {
		leader_ended(l, c, status, &ru);
	} else if (!reserve_reaped(l, pid) && !filter_reaped(l, pid, status)) {
		log_debug("reaped %d, which is not ours", (int)pid);
	}
	return true;
}

bool reap(struct launcher *l, pid_t first)
{
	/* To look for any that has changed, the kernel walks all our children: a dyno's replacement
	 * need not wait for that. When all is coming to its end there is none. */
	if (first > 0 && !l->keeper.signo && reap_one(l, first)) {
		check_left(l, false);
		tell_flush(l);
	}
	for (unsigned i = 1; reap_one(l, -1); i++) {
		if (i == REAP_AT_ONCE)
			return true;
		if (i % REAP_AND_TELL == 0) {
			check_left(l, false);
			tell_flush(l);
		}
	}
	check_left(l, true);
	return false;
}
