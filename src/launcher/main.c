/* hsup-launcher: starts the supervisor, keeps it, and keeps the dynos whatever becomes of it.
 *
 * start_up() (start.c) may fail, and then this program ends with a message. From the turning point
 * in main() on there is no exit path but the end of the last supervisor: what fails is logged, and
 * the loop goes on. */
#include "base/err.h"
#include "base/log.h"
#include "base/parse.h"
#include "launcher/machine.h"
#include "launcher/upgrade.h"

#include <poll.h>
#include <sys/signalfd.h>
#include <unistd.h>

/* ---- the loop ---- */

static void restart_supervisor(struct launcher *l)
{
	if (l->keeper.signo || l->keeper.stopping)
		return;
	log_info("another supervisor is to take over");
	if (keeper_restart(&l->keeper, clock_now()))
		l->channel.due |= DUE_RESTART;
}

static void take_signal(struct launcher *l, int signo)
{
	switch (signo) {
	case SIGHUP:
		if (l->hup_ignored)
			break;
		if (l->options.hup_stops)
			stop_asked(l, signo);
		else
			restart_supervisor(l);
		break;
	case SIGINT:
	case SIGTERM:
	case SIGQUIT:
	case SIGPWR: /* the power fails, or a container manager wants us to end */
		stop_asked(l, signo);
		break;
	case SIGUSR1:
		/* What it lately did, into the log. Before its hello it would be killed by it. */
		if (l->keeper.greeted)
			(void)kill(l->keeper.pid, SIGUSR1);
		break;
	case SIGUSR2:
		upgrade_begin(l);
		break;
	case SIGPIPE: /* by the log, when nobody reads it: a word of it there would be the next */
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

enum { FD_SIGNALS, FD_WIRE, FD_WATCH, FD_FILTER, N_FDS };

static void wait_for(struct launcher *l, struct pollfd fds[N_FDS], bool again)
{
	uint64_t deadline = deadlines_next(l), now = clock_now();
	uint64_t left = again || deadline <= now ? 0 : deadline - now;
	struct timespec timeout = {
		.tv_sec = (time_t)(left / NSEC_PER_SEC), .tv_nsec = (long)(left % NSEC_PER_SEC)};
	bool read = l->channel.n_refusals < MAX_REFUSALS;

	fds[FD_WIRE] = (struct pollfd){.fd = l->channel.socket,
		.events = (short)((read ? POLLIN : 0) | (l->channel.blocked ? POLLOUT : 0))};
	fds[FD_FILTER] = (struct pollfd){.fd = l->filter.fd, .events = POLLIN};
	if (ppoll(fds, N_FDS, !again && deadline == UINT64_MAX ? NULL : &timeout, NULL) < 0)
		for (unsigned i = 0; i < N_FDS; i++)
			fds[i].revents = 0;
}

static void loop(struct launcher *l, int signals)
{
	struct pollfd fds[N_FDS] = {
		[FD_SIGNALS] = {.fd = signals, .events = POLLIN},
		[FD_WATCH] = {.fd = l->watch, .events = POLLIN},
	};
	/* Of what died before we took the signals, nobody tells us. */
	bool reap_again = true, serve_again = false;

	while (!stop_finished(l)) {
		wait_for(l, fds, reap_again || serve_again);
		pid_t changed = fds[FD_SIGNALS].revents ? take_signal_queue(l, signals) : 0;
		if (changed || reap_again)
			reap_again = reap(l, changed);
		if (fds[FD_WATCH].revents)
			watch_serve(l);
		if (fds[FD_FILTER].revents)
			(void)filter_serve(l);
		if (l->supervisor_ended)
			handle_supervisor_end(l);
		if (l->upgrade.ended)
			upgrade_go(l);
		serve_again = (fds[FD_WIRE].revents || serve_again) && requests_serve(l);
		deadlines_serve(l);
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
	static struct launcher l = {.keeper.leave_code = -1,
		.channel.socket = -1,
		.reserve = {.socket = -1, .end = -1},
		.filter.fd = -1};
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
		filter_undo(&l);
		return 1;
	}

	/* The turning point: from here on our death would be the dynos'. */
	loop(&l, signals);
	reserve_drop(&l);
	if (l.keeper.exit_code == SUPERVISOR_EXIT_FATAL)
		filter_undo(&l);
	store_close(&l.store);
	/* Nothing is left for another launcher to find. */
	if (children_alive(l.children) == 0)
		table_forget(children_table(l.children));
	machine_end(l.keeper.signo);
	return l.keeper.exit_code;
}
