/* Processes: what a driver and a machine would do with them. */
#include "world.h"

#include <errno.h>
#include <signal.h>

static uint64_t soon(struct world *w, uint64_t span)
{
	return w->now + (span ? world_random(w, span) : 0);
}

static enum character character_of(const struct task *p)
{
	return (enum character)(p->fingerprint % CHARACTER_MAX);
}

static void schedule(struct task *p, enum process_next next, uint64_t at)
{
	p->next = next;
	p->at = at;
}

void process_start(struct world *w, const struct engine_action *a)
{
	const struct dyno *d = a->dyno;
	const struct formation_type *t =
		a->release ? formation_find(w->releases[a->release - 1].formation, d->type) : NULL;
	struct task *p;

	if (!t || t->fingerprint != d->fingerprint) {
		world_broken(
			w, "wrong-release", "%s.%u of v%" PRIu64, d->type, d->instance, a->release);
		return;
	}
	if (w->n_processes == WORLD_PROCESSES) {
		world_broken(w, "flood", "more than %d processes", WORLD_PROCESSES);
		return;
	}
	p = &w->processes[w->n_processes++];
	*p = (struct task){
		.id = a->id,
		.generation = a->generation,
		.type = world_type(d->type),
		.instance = d->instance,
		.fingerprint = d->fingerprint,
		.phase = d->phase,
		.checked = t->checked,
		.start_time = t->start_time,
		.start_timeout = t->start_timeout,
		.grace = t->stop_timeout,
		.kept = a->kept,
		.obeys = !w->faults || world_chance(w, 85),
		.exit = {.kind = EXIT_CODE, .value = 0},
	};
	schedule(p, NEXT_START, soon(w, w->faults ? 2 * NSEC_PER_SEC : 50 * NSEC_PER_MSEC));
	if (!w->faults)
		return;
	if (character_of(p) == HANGS || world_chance(w, 2)) {
		schedule(p, NEXT_NOTHING, NEVER);
	} else if (character_of(p) == NO_PROGRAM || world_chance(w, 3)) {
		p->exit = (struct dyno_exit){.kind = EXIT_STAGE, .value = 8, .error = ENOENT};
		/* Refused before there was a process; one that was made, and is up at once, would
		 * be up for a moment. */
		if (!p->start_time || world_chance(w, 50))
			p->next = NEXT_FAIL;
	}
}

/* As the launcher tells it: when the leader ended. */
static uint64_t ended_at(const struct world *w, const struct task *p)
{
	return p->leaderless ? p->left_at : w->now;
}

static void keep_end(struct world *w, const struct task *p)
{
	if (w->n_ended == WORLD_ENDED) {
		world_broken(w, "flood", "more than %d ends are kept", WORLD_ENDED);
		return;
	}
	w->ended[w->n_ended++] = (struct ended){.task = *p, .at = ended_at(w, p)};
}

void process_forget(struct world *w, uint64_t id, uint32_t before)
{
	for (size_t i = 0; i < w->n_ended;)
		if (w->ended[i].task.id == id && w->ended[i].task.generation < before)
			w->ended[i] = w->ended[--w->n_ended];
		else
			i++;
}

void process_retag(struct world *w, const struct engine_action *a)
{
	struct task *p = world_process(w, a->id, a->generation);

	if (w->lost & LOST_WISH)
		return;
	if (p)
		p->kept = a->kept;
	for (size_t i = 0; i < w->n_ended; i++) {
		struct task *t = &w->ended[i].task;

		if (t->id == a->id && t->generation == a->generation)
			t->kept = a->kept;
	}
}

/* Its check holds when it is good for something, mostly in time. */
static bool will_be_ready(struct world *w, const struct task *p)
{
	if (!p->checked || p->said_ready)
		return false;
	if (!w->faults)
		return true;
	return character_of(p) != DIES_YOUNG && character_of(p) != HANGS && world_chance(w, 92);
}

/* It does its work, and ends; not always well. */
static void run_phase(struct world *w, struct task *p)
{
	enum character c = character_of(p);

	w->releases[p->kept.version - 1].ran = !p->told && !p->killed;
	if (w->faults && (c == DIES_YOUNG || c == GOOD_TOO))
		p->exit = (struct dyno_exit){.kind = EXIT_CODE, .value = 1};
	else if (w->faults && c == CRASHES)
		p->exit = (struct dyno_exit){.kind = EXIT_SIGNAL, .value = SIGSEGV};
	schedule(p, NEXT_EXIT, soon(w, 40 * NSEC_PER_SEC));
}

/* It runs: what will become of it by itself? */
static void live(struct world *w, struct task *p)
{
	schedule(p, NEXT_NOTHING, NEVER);
	if (p->exit.kind == EXIT_STAGE) {
		schedule(p, NEXT_FAIL, soon(w, NSEC_PER_MSEC));
		return;
	}
	if (p->killed || (p->told && p->obeys)) {
		schedule(p, NEXT_EXIT, soon(w, 100 * NSEC_PER_MSEC));
		return;
	}
	if (p->phase) {
		run_phase(w, p);
		return;
	}
	if (will_be_ready(w, p)) {
		schedule(p, NEXT_READY, soon(w, 6 * NSEC_PER_SEC));
		return;
	}
	if (w->oneshot && !w->faults) {
		schedule(p, NEXT_EXIT, soon(w, 20 * NSEC_PER_SEC));
		return;
	}
	if (!w->faults)
		return;
	switch (character_of(p)) {
	case DIES_YOUNG:
		p->exit = (struct dyno_exit){.kind = EXIT_CODE, .value = 1};
		schedule(p, NEXT_EXIT, soon(w, p->start_time ? p->start_time : 1));
		break;
	case CRASHES:
		p->exit = (struct dyno_exit){.kind = EXIT_SIGNAL, .value = SIGSEGV};
		schedule(p, NEXT_EXIT, soon(w, 200 * NSEC_PER_SEC) + p->start_time);
		break;
	case FINISHES:
		schedule(p, NEXT_EXIT, soon(w, 60 * NSEC_PER_SEC) + p->start_time);
		break;
	case GOOD:
	case GOOD_TOO:
	case GOOD_AGAIN:
		if (world_chance(w, 10))
			schedule(p, NEXT_READY, soon(w, NSEC_PER_SEC));
		else if (world_chance(w, 5))
			schedule(p, NEXT_LEFT, soon(w, 100 * NSEC_PER_SEC));
		else if (world_chance(w, 10))
			schedule(p, NEXT_EXIT, soon(w, 300 * NSEC_PER_SEC));
		break;
	case NO_PROGRAM:
	case HANGS:
	case CHARACTER_MAX:
		break;
	}
}

void process_signal(struct world *w, const struct engine_action *a)
{
	struct task *p = world_process(w, a->id, a->generation);

	if (!p)
		return;
	p->told = true;
	p->told_at = w->now;
	if (p->phase)
		w->releases[p->kept.version - 1].ran = false;
	if (!p->started || !p->obeys)
		return;
	p->exit = world_chance(w, 50) ? (struct dyno_exit){.kind = EXIT_SIGNAL, .value = a->signo}
				      : (struct dyno_exit){.kind = EXIT_CODE, .value = 0};
	if (w->faults && world_chance(w, 15))
		p->exit = (struct dyno_exit){.kind = EXIT_CODE, .value = 3};

	uint64_t at = soon(w, w->faults ? p->grace + p->grace / 5 + 1 : 100 * NSEC_PER_MSEC);
	if (at < p->at)
		schedule(p, w->faults && world_chance(w, 10) ? NEXT_LEFT : NEXT_EXIT, at);
}

void process_kill(struct world *w, const struct engine_action *a)
{
	struct task *p = world_process(w, a->id, a->generation);

	if (!p)
		return;
	p->killed = true;
	if (p->phase)
		w->releases[p->kept.version - 1].ran = false;
	/* A KILL that overtakes the start may be lost; the process turns up all the same. */
	if (!p->listed && !p->started && p->next == NEXT_START && world_chance(w, 25)) {
		p->killed = false;
		return;
	}
	p->exit = (struct dyno_exit){.kind = EXIT_SIGNAL, .value = SIGKILL};
	schedule(p, NEXT_EXIT, soon(w, 100 * NSEC_PER_MSEC));
}

struct engine_event process_happens(struct world *w, struct task *p)
{
	struct engine_event event = {.id = p->id, .generation = p->generation};
	enum process_next next = p->next;

	schedule(p, NEXT_NOTHING, NEVER);
	switch (next) {
	case NEXT_START:
		event.type = ENGINE_STARTED;
		p->started = true;
		if (!p->listed)
			p->started_at = w->now;
		process_forget(w, p->id, p->generation);
		live(w, p);
		break;
	case NEXT_READY:
		event.type = ENGINE_READY;
		p->said_ready = true;
		live(w, p);
		break;
	case NEXT_LEFT:
		event.type = ENGINE_LEFT;
		if (!p->leaderless)
			p->left_at = w->now;
		p->leaderless = true;
		if (w->faults && world_chance(w, 50))
			schedule(p, NEXT_EXIT, soon(w, 60 * NSEC_PER_SEC));
		break;
	case NEXT_EXIT:
	case NEXT_FAIL:
	case NEXT_NOTHING:
		event.type = next == NEXT_FAIL ? ENGINE_FAILED : ENGINE_EXITED;
		event.exit = p->exit;
		event.at = ended_at(w, p);
		if (p->phase && !p->told && !p->killed)
			w->releases[p->kept.version - 1].succeeded =
				next == NEXT_EXIT && p->exit.kind == EXIT_CODE && !p->exit.value;
		if (next != NEXT_FAIL || p->started || p->listed)
			keep_end(w, p);
		*p = w->processes[--w->n_processes];
		break;
	}
	return event;
}

void process_recheck(struct world *w, struct task *p)
{
	schedule(p, NEXT_READY, soon(w, NSEC_PER_SEC));
}

void process_calm(struct world *w)
{
	for (size_t i = 0; i < w->n_processes; i++) {
		struct task *p = &w->processes[i];

		if (!p->started && p->next == NEXT_NOTHING)
			schedule(p, NEXT_START, soon(w, 50 * NSEC_PER_MSEC));
		if (!p->started)
			continue;
		p->obeys = true;
		if (p->told || p->leaderless || p->killed || w->oneshot || p->phase)
			schedule(p, NEXT_EXIT, soon(w, NSEC_PER_SEC));
		else if (p->checked && !p->said_ready)
			schedule(p, NEXT_READY, soon(w, NSEC_PER_SEC));
		else
			schedule(p, NEXT_NOTHING, NEVER);
	}
}
