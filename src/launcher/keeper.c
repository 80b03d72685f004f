#include "launcher/keeper.h"

#include "base/log.h"
#include "base/parse.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static enum keeper_verdict stop(struct keeper *k, int code)
{
	k->stopping = true;
	k->exit_code = code;
	k->start_at = k->ping_at = 0;
	return KEEPER_STOP;
}

static enum keeper_verdict crashed(struct keeper *k, int status, uint64_t now)
{
	if (now - k->started_at >= KEEPER_LIVED)
		k->delay = 0;
	else if (k->delay == 0)
		k->delay = KEEPER_DELAY_MIN;
	else
		k->delay = k->delay < KEEPER_DELAY_MAX / 2 ? k->delay * 2 : KEEPER_DELAY_MAX;
	k->start_at = now + k->delay;

	unsigned tenths = (unsigned)(k->delay / KEEPER_DELAY_MIN);
	if (WIFSIGNALED(status))
		log_warning("the supervisor was killed by SIG%s; starting it again in %u.%u s",
			signal_name(WTERMSIG(status)), tenths / 10, tenths % 10);
	else
		log_warning("the supervisor ended with code %d; starting it again in %u.%u s",
			WEXITSTATUS(status), tenths / 10, tenths % 10);
	return KEEPER_RESTART;
}

/* A version that cannot even say hello must not stand between the dynos and one that can. */
static void judge_version(struct keeper *k)
{
	if (k->greeted)
		k->mute = 0;
	else if (k->version[0] && ++k->mute >= KEEPER_TRIES) {
		log_warning("version %s does not come up: passed over", k->version);
		memcpy(k->passed_over, k->version, sizeof k->passed_over);
		k->mute = 0;
	}
}

enum keeper_verdict keeper_judge(struct keeper *k, int status, bool unrunnable, uint64_t now)
{
	int code = WIFEXITED(status) && !unrunnable ? WEXITSTATUS(status) : -1;

	k->pid = 0;
	k->kill_at = k->ping_at = 0;
	judge_version(k);
	/* It is not for one that was never of use to end what an earlier one has begun. */
	if (code == SUPERVISOR_EXIT_FATAL && !k->greeted && k->ever_greeted && !k->signo)
		return crashed(k, status, now);
	if (code == SUPERVISOR_EXIT_DONE || code == SUPERVISOR_EXIT_STOP ||
		code == SUPERVISOR_EXIT_FATAL) {
		int own = code == SUPERVISOR_EXIT_FATAL ? code : 0;

		return stop(k, k->leave_code >= 0 ? k->leave_code : own);
	}
	if (k->signo)
		return stop(k, 128 + k->signo);
	/* Before the first hello nothing runs, and who called us is better served by an error. */
	if (unrunnable && !k->ever_greeted)
		return stop(k, 1);
	/* One that asks for a restart before it was ever of use would do so for ever; one that asks
	 * again at once may do so, but not without a pause. */
	if (code == SUPERVISOR_EXIT_RESTART && k->greeted) {
		k->delay = 0;
		k->start_at = now - k->started_at < NSEC_PER_SEC ? now + KEEPER_DELAY_MIN : now;
		return KEEPER_RESTART;
	}
	return crashed(k, status, now);
}

static uint64_t patience(const struct keeper *k)
{
	if (k->signo)
		return KEEPER_HURRY;
	return k->patience;
}

static void watch_from(struct keeper *k, uint64_t now)
{
	k->heard_at = now;
	k->ping_at = patience(k) ? now + patience(k) / 2 : 0;
}

/* Asked first, then killed: when we ourselves did not run for a while (a machine that was stopped),
 * its silence says nothing. */
enum keeper_watch keeper_watch(struct keeper *k, uint64_t now)
{
	uint64_t half = patience(k) / 2;

	if (now - k->heard_at < half / 2) {
		k->ping_at = k->heard_at + half;
		return KEEPER_FINE;
	}
	if (k->asked_at > k->heard_at)
		return KEEPER_HUNG;
	k->asked_at = now;
	k->ping_at = now + half;
	return k->greeted ? KEEPER_ASK : KEEPER_FINE;
}

bool keeper_restart(struct keeper *k, uint64_t now)
{
	k->delay = 0;
	if (k->pid > 0 && k->greeted) {
		k->kill_at = now + KEEPER_FAREWELL;
		return true;
	}
	if (k->pid == 0 && !k->stopping)
		k->start_at = now;
	return false;
}

enum keeper_verdict keeper_told_to_end(struct keeper *k, int signo, uint64_t now)
{
	k->urgency++;
	if (!k->signo) {
		k->signo = signo;
		watch_from(k, now);
	}
	if (k->stopping)
		return stop(k, k->exit_code);
	if (k->pid > 0)
		return KEEPER_RESTART;
	/* Between two supervisors: the next one knows how each dyno wants to be stopped. */
	if (k->ever_greeted && k->urgency == 1) {
		k->start_at = now;
		return KEEPER_RESTART;
	}
	return stop(k, 128 + k->signo);
}

uint64_t keeper_deadline(const struct keeper *k)
{
	const uint64_t all[] = {
		k->start_at, k->kill_at, k->ping_at, k->stop_kill_at, k->stop_end_at};
	uint64_t first = UINT64_MAX;

	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		if (all[i] && all[i] < first)
			first = all[i];
	return first;
}

/* Ours may lie where theirs are to be: first all out of the way. */
static bool place_descriptors(int socket, const struct carry *carry)
{
	int fds[1 + CARRY_FDS] = {socket};

	memcpy(&fds[1], carry->fds, sizeof carry->fds);
	for (int i = 0; i < 1 + CARRY_FDS; i++) {
		fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, KEEPER_CARRY + CARRY_FDS);
		if (fds[i] < 0)
			return false;
	}
	for (int i = 0; i < 1 + CARRY_FDS; i++)
		if (dup2(fds[i], KEEPER_SOCKET + i) < 0)
			return false;
	return true;
}

_Static_assert(KEEPER_CARRY == KEEPER_SOCKET + 1, "as place_descriptors() has it");

HSUP_NORETURN static void become_supervisor(struct keeper *k, int socket, const struct carry *carry,
	const sigset_t *mask, struct birth_failure *failure)
{
	/* TSTP, TTOU and TTIN too: a stopped supervisor under a launcher that runs on helps nobody.
	 */
	static const int ignored[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGTTOU, SIGTTIN};

	for (size_t i = 0; i < ARRAY_SIZE(ignored); i++)
		(void)signal(ignored[i], SIG_IGN);
	if (place_descriptors(socket, carry)) {
		(void)sigprocmask(SIG_SETMASK, mask, NULL);
		k->command[0] = k->program;
		int r = confine_become(&k->confinement);
		if (r == 0)
			(void)execvp(k->program, k->command);
		else
			errno = -r;
	}
	failure->error = errno;
	failure->stage = WIRE_STAGE_EXEC;
	_exit(127);
}

int keeper_start(struct keeper *k, int socket, const struct carry *carry, const sigset_t *mask,
	struct birth_failure *failure, uint64_t now)
{
	*failure = (struct birth_failure){0};
	pid_t pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0)
		become_supervisor(k, socket, carry, mask, failure);
	k->pid = pid;
	k->greeted = false;
	k->leave_code = -1;
	k->started_at = now;
	k->start_at = 0;
	watch_from(k, now);
	return 0;
}

void keeper_kill(struct keeper *k)
{
	k->kill_at = k->ping_at = 0;
	if (k->pid > 0)
		(void)kill(k->pid, SIGKILL);
}
