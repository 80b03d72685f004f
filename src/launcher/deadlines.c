/* What is due at a time. */
#include "base/err.h"
#include "base/log.h"
#include "launcher/upgrade.h"

#include <signal.h>

#define EXIT_STATUS(code) ((code) << 8) /* as waitpid() gives it */

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

void deadlines_serve(struct launcher *l)
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
	if (due(&l->reserve.make_at, now) && !k->signo && !k->stopping)
		reserve_make(l);
	if (due(&l->look_at, now))
		reap_look(l);
	if (due(&l->filter.deadline, now))
		filter_late(l);
	if (due(&l->upgrade.deadline, now))
		upgrade_late(l);
	if (due(&l->upgrade.begin_at, now))
		upgrade_begin(l);
	if (due(&k->stop_kill_at, now) && children_alive(l->children) > 0) {
		log_warning("%u of them did not end: killed", children_alive(l->children));
		signals_send_all(l, SIGKILL);
	}
}

uint64_t deadlines_next(const struct launcher *l)
{
	const uint64_t own[] = {l->refill_at, l->reserve.make_at, l->look_at, l->filter.deadline,
		l->upgrade.deadline, l->upgrade.begin_at};
	uint64_t first = keeper_deadline(&l->keeper);

	for (size_t i = 0; i < ARRAY_SIZE(own); i++)
		if (own[i] && own[i] < first)
			first = own[i];
	return first;
}
