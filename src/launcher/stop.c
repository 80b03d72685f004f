/* The end of all: asked for by signals, begun by the keeper of the supervisor. */
#include "base/log.h"
#include "launcher/launcher.h"

#include <signal.h>

void stop_begin(struct launcher *l)
{
	uint64_t now = clock_now();
	unsigned alive = children_alive(l->children);

	l->keeper.stop_kill_at = now + KEEPER_STOP_GRACE;
	l->keeper.stop_end_at = now + KEEPER_STOP_END;
	if (alive > 0)
		log_info("stopping %u process%s", alive, alive == 1 ? "" : "es");
	signals_send_all(l, l->keeper.urgency > 1 ? SIGKILL : SIGTERM);
}

void stop_asked(struct launcher *l, int signo)
{
	struct keeper *k = &l->keeper;
	bool was_stopping = k->stopping;

	if (keeper_told_to_end(k, signo, clock_now()) == KEEPER_STOP) {
		if (was_stopping)
			signals_send_all(l, SIGKILL);
		else
			stop_begin(l);
	} else if (k->urgency > 2) {
		log_warning("told to end %u times: the supervisor is killed", k->urgency);
		keeper_kill(k);
	} else if (k->greeted) {
		l->channel.due |= DUE_SHUTDOWN;
	}
}

bool stop_finished(const struct launcher *l)
{
	const struct keeper *k = &l->keeper;

	bool gone = children_alive(l->children) == 0 && children_unreaped(l->children) == 0;

	return k->stopping && (gone || clock_now() >= k->stop_end_at);
}
