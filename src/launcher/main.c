/* hsup-launcher: starts the supervisor, keeps it, and keeps the dynos whatever becomes of it.
 *
 * start_up() (start.c) may fail, and then this program ends with a message. From the turning point
 * in main() on there is no exit path but the end of the last supervisor: what fails is logged, and
 * the loop goes on. */
#include "base/fd.h"
#include "base/log.h"
#include "base/parse.h"
#include "launcher/launcher.h"

#include <getopt.h>
#include <poll.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <unistd.h>

static const char usage[] =
	"Usage: hsup-launcher [--verbose] [--watchdog SECONDS] [--] SUPERVISOR [ARG...]\n"
	"Starts SUPERVISOR, starts it again when it dies, and keeps the processes it ordered.\n";

struct options {
	char **command;
	bool verbose;
	unsigned watchdog; /* seconds, 0 = none */
};

/* -1 to go on with *ret, or the exit code of a call that ends here. */
static int parse_options(int argc, char **argv, struct options *ret)
{
	static const struct option known[] = {
		{"verbose", no_argument, NULL, 'v'},
		{"watchdog", required_argument, NULL, 'w'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	struct options o = {.watchdog = LIMIT_SILENCE};

	for (int c; (c = getopt_long(argc, argv, "+", known, NULL)) != -1;) {
		if (c == 'v')
			o.verbose = true;
		else if (c == 'w' && parse_uint(optarg, LIMIT_SILENCE_MAX, &o.watchdog) == 0)
			continue;
		else if (c == 'h')
			return fputs(usage, stdout), 0;
		else
			return fputs(usage, stderr), 2;
	}
	o.command = argv + optind;
	if (!o.command[0])
		return fputs(usage, stderr), 2;
	*ret = o;
	return -1;
}

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

/* A child that has changed, 0 = none has. There may be others: SIGCHLD tells of the first only. */
static pid_t take_signal_queue(struct launcher *l, int signals)
{
	struct signalfd_siginfo si;
	pid_t child = 0;

	while (read(signals, &si, sizeof si) == sizeof si) {
		if (si.ssi_signo == SIGCHLD)
			child = (pid_t)si.ssi_pid;
		else
			told_to_end(l, (int)si.ssi_signo);
	}
	return child;
}

static void handle_supervisor_end(struct launcher *l)
{
	const struct birth_failure *failure = &l->failures[LIMIT_DYNOS];

	l->supervisor_ended = false;
	/* Its last words, the exit code of ours among them; a refusal would find nobody, so it must
	 * not hold them up. */
	do {
		l->channel.n_refusals = 0;
	} while (requests_serve(l) || l->channel.n_refusals == MAX_REFUSALS);
	tell_disconnect(l);
	if (failure->stage)
		log_error(
			"cannot run %s: %s", l->keeper.command[0], strerrordesc_np(failure->error));
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
			log_warning("cannot start the supervisor: %s", strerrordesc_np(-r));
			k->start_at = now + NSEC_PER_SEC;
		}
	}
	if (due(&k->kill_at, now)) {
		log_warning("the supervisor has closed its connection and stays: killed");
		keeper_kill(k);
	}
	if (due(&k->ping_at, now))
		look_after_supervisor(l, now);
	if (due(&l->refill_at, now) && !k->signo)
		store_refill(&l->store);
	if (due(&k->stop_kill_at, now)) {
		log_warning("%u of them did not end: killed", children_alive(l->children));
		reap_signal_all(l, SIGKILL);
	}
}

static bool finished(const struct launcher *l)
{
	const struct keeper *k = &l->keeper;

	return k->stopping && (children_alive(l->children) == 0 || clock_now() >= k->stop_end_at);
}

static void wait_for(struct launcher *l, struct pollfd fds[2], bool again)
{
	uint64_t deadline = keeper_deadline(&l->keeper), now = clock_now();
	if (l->refill_at && l->refill_at < deadline)
		deadline = l->refill_at;
	uint64_t left = again || deadline <= now ? 0 : deadline - now;
	struct timespec timeout = {
		.tv_sec = (time_t)(left / NSEC_PER_SEC), .tv_nsec = (long)(left % NSEC_PER_SEC)};
	bool read = l->channel.n_refusals < MAX_REFUSALS;

	fds[1] = (struct pollfd){.fd = l->channel.socket,
		.events = (short)((read ? POLLIN : 0) | (l->channel.blocked ? POLLOUT : 0))};
	if (ppoll(fds, 2, !again && deadline == UINT64_MAX ? NULL : &timeout, NULL) < 0)
		fds[0].revents = fds[1].revents = 0;
}

static void loop(struct launcher *l, int signals)
{
	struct pollfd fds[2] = {{.fd = signals, .events = POLLIN}};
	bool reap_again = false, serve_again = false;

	while (!finished(l)) {
		wait_for(l, fds, reap_again || serve_again);
		pid_t changed = fds[0].revents ? take_signal_queue(l, signals) : 0;
		if (changed || reap_again)
			reap_again = reap(l, changed);
		if (l->supervisor_ended)
			handle_supervisor_end(l);
		serve_again = (fds[1].revents || serve_again) && requests_serve(l);
		handle_deadlines(l);
		tell_flush(l);
	}
}

int main(int argc, char **argv)
{
	static struct launcher l = {.keeper.leave_code = -1, .channel.socket = -1};
	struct options o;
	struct err err;
	int signals = -1;

	int code = parse_options(argc, argv, &o);
	if (code >= 0)
		return code;
	log_open("hsup-launcher", o.verbose ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO);
	l.keeper.patience = o.watchdog * NSEC_PER_SEC;
	if (start_up(&l, o.command, &signals, &err) < 0) {
		log_error("%s", err.text);
		return 1;
	}

	/* The turning point: from here on our death would be the dynos'. */
	loop(&l, signals);
	store_close(&l.store);
	return l.keeper.exit_code;
}
