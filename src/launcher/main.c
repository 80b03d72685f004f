/* hsup-launcher: starts the supervisor, keeps it, and keeps the dynos whatever becomes of it.
 *
 * start_up() (start.c) may fail, and then this program ends with a message. From the turning point
 * in main() on there is no exit path but the end of the last supervisor: what fails is logged, and
 * the loop goes on. */
#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/parse.h"
#include "launcher/machine.h"
#include "launcher/upgrade.h"

#include <poll.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define EXIT_STATUS(code) ((code) << 8) /* as waitpid() gives it */

/* ---- the loop ---- */

static void stop_begin(struct launcher *l)
{
	uint64_t now = clock_now();
	unsigned alive = children_alive(l->children);

	l->keeper.stop_kill_at = now + KEEPER_STOP_GRACE;
	l->keeper.stop_end_at = now + KEEPER_STOP_END;
	if (alive > 0)
		log_info("stopping %u process%s", alive, alive == 1 ? "" : "es");
	reap_signal_all(l, l->keeper.urgency > 1 ? SIGKILL : SIGTERM);
}

static void restart_supervisor(struct launcher *l)
{
	if (l->keeper.signo || l->keeper.stopping)
		return;
	log_info("another supervisor is to take over");
	if (keeper_restart(&l->keeper, clock_now()))
		l->channel.due |= DUE_RESTART;
}

static void told_to_end(struct launcher *l, int signo)
{
	struct keeper *k = &l->keeper;
	bool was_stopping = k->stopping;

	if (keeper_told_to_end(k, signo, clock_now()) == KEEPER_STOP) {
		if (was_stopping)
			reap_signal_all(l, SIGKILL);
		else
			stop_begin(l);
	} else if (k->urgency > 2) {
		log_warning("told to end %u times: the supervisor is killed", k->urgency);
		keeper_kill(k);
	} else if (k->greeted) {
		l->channel.due |= DUE_SHUTDOWN;
	}
}

static void take_signal(struct launcher *l, int signo)
{
	switch (signo) {
	case SIGHUP:
		if (l->hup_ignored)
			break;
		if (l->options.hup_stops)
			told_to_end(l, signo);
		else
			restart_supervisor(l);
		break;
	case SIGINT:
	case SIGTERM:
	case SIGQUIT:
	case SIGPWR: /* the power fails, or a container manager wants us to end */
		told_to_end(l, signo);
		break;
	case SIGUSR1:
		/* What it lately did, into the log. Before its hello it would be killed by it. */
		if (l->keeper.greeted)
			(void)kill(l->keeper.pid, SIGUSR1);
		break;
	case SIGUSR2:
		upgrade_begin(l);
		break;
	default:
		log_debug("SIG%s means nothing here", signal_name(signo));
	}
}

/* A child that has changed, 0 = none has. There may be others: SIGCHLD tells of the first only. */
static pid_t take_signal_queue(struct launcher *l, int signals)
{
	struct signalfd_siginfo si;
	pid_t child = 0;

	while (read(signals, &si, sizeof si) == sizeof si) {
		if (si.ssi_signo == SIGCHLD)
			child = (pid_t)si.ssi_pid;
		else
			take_signal(l, (int)si.ssi_signo);
	}
	return child;
}

static void handle_supervisor_end(struct launcher *l)
{
	const struct birth_failure *failure = &l->failures[LIMIT_DYNOS];

	l->supervisor_ended = false;
	reap_terminal(l);
	/* Its last words, the exit code of ours among them; a refusal would find nobody, so it must
	 * not hold them up. */
	do {
		l->channel.n_refusals = 0;
	} while (requests_serve(l) || l->channel.n_refusals == MAX_REFUSALS);
	tell_disconnect(l);
	if (failure->stage)
		log_error("cannot run %s: %s", l->keeper.program, err_name(failure->error));
	if (keeper_judge(&l->keeper, l->supervisor_status, failure->stage != 0, clock_now()) ==
		KEEPER_STOP)
		stop_begin(l);
}

static bool due(uint64_t *deadline, uint64_t now)
{
	if (!*deadline || *deadline > now)
		return false;
	*deadline = 0;
	return true;
}

static void look_after_supervisor(struct launcher *l, uint64_t now)
{
	struct keeper *k = &l->keeper;

	switch (keeper_watch(k, now)) {
	case KEEPER_FINE:
		break;
	case KEEPER_ASK:
		l->channel.due |= DUE_PING;
		break;
	case KEEPER_HUNG:
		log_warning("the supervisor (pid %d) %s for %.1f s: killed", (int)k->pid,
			k->greeted ? "has not answered" : "has not said hello",
			(double)(now - k->heard_at) / NSEC_PER_SEC);
		keeper_kill(k);
		break;
	}
}

static void handle_deadlines(struct launcher *l)
{
	struct keeper *k = &l->keeper;
	uint64_t now = clock_now();

	if (due(&k->start_at, now)) {
		int r = start_supervisor(l);
		if (r < 0) {
			log_warning("cannot start the supervisor: %s", err_name(r));
			k->start_at = now + NSEC_PER_SEC;
			/* Told to end, we do not wait for better times. */
			if (k->signo && keeper_judge(k, EXIT_STATUS(1), true, now) == KEEPER_STOP)
				stop_begin(l);
		}
	}
	if (due(&k->kill_at, now)) {
		log_warning("the supervisor does not leave: killed");
		keeper_kill(k);
	}
	if (due(&k->ping_at, now))
		look_after_supervisor(l, now);
	if (due(&l->refill_at, now) && !k->signo)
		store_refill(&l->store);
	if (due(&l->look_at, now))
		reap_look(l);
	if (due(&l->upgrade.deadline, now))
		upgrade_late(l);
	if (due(&l->upgrade.begin_at, now))
		upgrade_begin(l);
	if (due(&k->stop_kill_at, now)) {
		log_warning("%u of them did not end: killed", children_alive(l->children));
		reap_signal_all(l, SIGKILL);
	}
}

static bool finished(const struct launcher *l)
{
	const struct keeper *k = &l->keeper;

	bool gone = children_alive(l->children) == 0 && children_unreaped(l->children) == 0;

	return k->stopping && (gone || clock_now() >= k->stop_end_at);
}

static uint64_t next_deadline(const struct launcher *l)
{
	const uint64_t own[] = {l->refill_at, l->look_at, l->upgrade.deadline, l->upgrade.begin_at};
	uint64_t first = keeper_deadline(&l->keeper);

	for (size_t i = 0; i < ARRAY_SIZE(own); i++)
		if (own[i] && own[i] < first)
			first = own[i];
	return first;
}

enum { FD_SIGNALS, FD_WIRE, FD_WATCH, N_FDS };

static void wait_for(struct launcher *l, struct pollfd fds[N_FDS], bool again)
{
	uint64_t deadline = next_deadline(l), now = clock_now();
	uint64_t left = again || deadline <= now ? 0 : deadline - now;
	struct timespec timeout = {
		.tv_sec = (time_t)(left / NSEC_PER_SEC), .tv_nsec = (long)(left % NSEC_PER_SEC)};
	bool read = l->channel.n_refusals < MAX_REFUSALS;

	fds[FD_WIRE] = (struct pollfd){.fd = l->channel.socket,
		.events = (short)((read ? POLLIN : 0) | (l->channel.blocked ? POLLOUT : 0))};
	if (ppoll(fds, N_FDS, !again && deadline == UINT64_MAX ? NULL : &timeout, NULL) < 0)
		fds[FD_SIGNALS].revents = fds[FD_WIRE].revents = fds[FD_WATCH].revents = 0;
}

static void loop(struct launcher *l, int signals)
{
	struct pollfd fds[N_FDS] = {
		[FD_SIGNALS] = {.fd = signals, .events = POLLIN},
		[FD_WATCH] = {.fd = l->watch, .events = POLLIN},
	};
	/* Of what died before we took the signals, nobody tells us. */
	bool reap_again = true, serve_again = false;

	while (!finished(l)) {
		wait_for(l, fds, reap_again || serve_again);
		pid_t changed = fds[FD_SIGNALS].revents ? take_signal_queue(l, signals) : 0;
		if (changed || reap_again)
			reap_again = reap(l, changed);
		if (fds[FD_WATCH].revents)
			watch_serve(l);
		if (l->supervisor_ended)
			handle_supervisor_end(l);
		if (l->upgrade.ended)
			upgrade_go(l);
		serve_again = (fds[FD_WIRE].revents || serve_again) && requests_serve(l);
		handle_deadlines(l);
		tell_flush(l);
	}
}

static int check(const struct options *o)
{
	struct err err;

	if (upgrade_check(o->resume_fd, &err) == 0)
		return 0;
	log_error("%s", err.text);
	return 1;
}

int main(int argc, char **argv)
{
	static struct launcher l = {.keeper.leave_code = -1, .channel.socket = -1};
	struct options o;
	struct err err;
	int signals = -1;

	int code = options_parse(argc, argv, &o);
	if (code >= 0)
		return code;
	log_open("hsup-launcher", o.verbose ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO);
	if (o.check)
		return check(&o);
	l.options = o;
	machine_begin();
	if (start_up(&l, &signals, &err) < 0) {
		log_error("%s", err.text);
		return 1;
	}

	/* The turning point: from here on our death would be the dynos'. */
	loop(&l, signals);
	store_close(&l.store);
	/* Nothing is left for another launcher to find. */
	if (children_alive(l.children) == 0)
		table_forget(children_table(l.children));
	machine_end(l.keeper.signo);
	return l.keeper.exit_code;
}
