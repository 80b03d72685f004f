/* Memory, processor time and processes of each dyno: the sum over the processes of its session.
 *
 * /proc is read a slice per turn of the loop, so that a thousand dynos hold nobody up, and only
 * while somebody asks, or for dynos with a limit of memory. A process that has made a session of
 * its own is not seen; nor is the time of one that was not waited for by its own parents. Memory
 * is what is resident: what processes share counts for each. */
#include "supervisor/private.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/parse.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#define WANTED_FOR (10 * NSEC_PER_SEC) /* since somebody asked */
#define OFTEN	   (2 * NSEC_PER_SEC)
#define SELDOM	   (20 * NSEC_PER_SEC) /* as Heroku looks at a limit */
#define ENTRIES	   1536		       /* bytes of directory entries: some 64 processes */
#define PER_TURN   (NSEC_PER_MSEC / 2) /* then the others have theirs */

struct session {
	int pid; /* of its leader: what it is called by */
	uint32_t generation;
	uint64_t id, memory, cpu, processes;
};

struct usage {
	struct supervisor *owner;
	sd_event_source *slice, *timer;
	uint64_t wanted_at, round_at; /* CLOCK_MONOTONIC ns, 0 = never */
	int proc;		      /* open during a round */
	long at, end;		      /* in entries: what is to be looked at yet */
	_Alignas(struct dirent64) char entries[ENTRIES];
	uint64_t page, tick;
	struct session *sessions; /* of this round, by pid */
	size_t n, cap;
};

static int by_pid(const void *left, const void *right)
{
	const struct session *a = left, *b = right;

	return a->pid < b->pid ? -1 : a->pid > b->pid;
}

/* ---- what is over its limit ---- */

/* Heroku's words. What is far above it is killed; the engine says so. */
static void look_at_limit(struct supervisor *s, struct life *l, uint64_t now)
{
	static const char error[] = "Error R14 (Memory quota exceeded)";
	bool vastly = l->used.memory > 2 * l->memory_limit;

	if (l->used.memory <= l->memory_limit)
		return;
	/* Somebody who watches must not make it be said more often. */
	if (!vastly && l->limit_said_at && now < l->limit_said_at + SELDOM - OFTEN)
		return;
	l->limit_said_at = now;
	router_note(s->router, l->name, "Process running mem=%lluM(%.1f%%)",
		(unsigned long long)(l->used.memory >> 20),
		100.0 * (double)l->used.memory / (double)l->memory_limit);
	if (vastly) {
		l->over_memory = true;
		feed(s, &(struct engine_event){
				.type = ENGINE_OOM, .id = l->id, .generation = l->generation});
		return;
	}
	router_note(s->router, l->name, "%s", error);
	record_text(s, RECORD_ERROR, l->name, 0, "%s", error);
}

/* ---- a round ---- */

static void arm(struct usage *u, uint64_t delay)
{
	(void)sd_event_source_set_time_relative(u->timer, delay / NSEC_PER_USEC);
	(void)sd_event_source_set_enabled(u->timer, SD_EVENT_ONESHOT);
}

/* Also one that has come since the round began, and was not looked at in it. */
static bool any_limited(const struct supervisor *s)
{
	for (size_t i = 0; i < LIFE_BUCKETS; i++)
		for (const struct life *l = s->lives[i]; l; l = l->next)
			if (!l->ended && l->memory_limit)
				return true;
	return false;
}

static void arm_next(struct usage *u, uint64_t now)
{
	if (u->wanted_at && now < u->wanted_at + WANTED_FOR)
		arm(u, OFTEN);
	else if (any_limited(u->owner))
		arm(u, SELDOM);
}

/* The time of a child is its parent's only once that has waited for it: it does not go back. */
static void take_figures(struct supervisor *s, struct life *l, const struct dyno_usage *usage)
{
	uint64_t before = l->used.cpu;

	l->used = *usage;
	if (before != USAGE_UNKNOWN && (usage->cpu == USAGE_UNKNOWN || usage->cpu < before))
		l->used.cpu = before;
	if (l->memory_limit && usage->memory != USAGE_UNKNOWN)
		look_at_limit(s, l, clock_now());
}

void usage_told(void *userdata, uint64_t id, uint32_t generation, const struct dyno_usage *usage)
{
	struct supervisor *s = userdata;
	struct life *l = life_find(s, id, generation);

	if (l && !l->ended)
		take_figures(s, l, usage);
}

/* The driver knows, and tells one by one. */
static void ask_driver(struct usage *u)
{
	struct supervisor *s = u->owner;
	uint64_t now = clock_now();

	for (size_t i = 0; i < LIFE_BUCKETS; i++)
		for (const struct life *l = s->lives[i]; l; l = l->next)
			if (l->started && !l->ended)
				s->setup->driver->usage(s->driver_state, l->id, l->generation);
	u->round_at = now;
	arm_next(u, now);
}

static void end_round(struct usage *u)
{
	struct supervisor *s = u->owner;
	uint64_t now = clock_now();

	u->proc = fd_close(u->proc);
	u->round_at = now;
	for (size_t i = 0; i < u->n; i++) {
		const struct session *x = &u->sessions[i];
		struct life *l = life_find(s, x->id, x->generation);

		if (!l || l->ended)
			continue;
		struct dyno_usage usage = DYNO_USAGE_UNKNOWN;
		usage.memory = x->memory;
		usage.cpu = x->cpu;
		usage.processes = x->processes;
		take_figures(s, l, &usage);
	}
	arm_next(u, now);
}

static int collect(struct usage *u)
{
	struct supervisor *s = u->owner;

	u->n = 0;
	for (size_t i = 0; i < LIFE_BUCKETS; i++)
		for (const struct life *l = s->lives[i]; l; l = l->next) {
			if (!l->started || l->ended || l->pid <= 0)
				continue;
			if (mem_grow(&u->sessions, &u->cap, u->n + 1, LIMIT_DYNOS,
				    sizeof *u->sessions) < 0)
				return -ENOMEM;
			u->sessions[u->n++] = (struct session){
				.pid = l->pid, .id = l->id, .generation = l->generation};
		}
	if (u->n > 1)
		qsort(u->sessions, u->n, sizeof *u->sessions, by_pid);
	return 0;
}

static void begin_round(struct usage *u)
{
	if (u->proc >= 0)
		return;
	(void)sd_event_source_set_enabled(u->timer, SD_EVENT_OFF);
	if (u->owner->setup->driver->usage) {
		ask_driver(u);
		return;
	}
	u->at = u->end = 0;
	if (collect(u) == 0 && u->n > 0)
		u->proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (u->proc >= 0)
		(void)sd_event_source_set_enabled(u->slice, SD_EVENT_ON);
	else if (any_limited(u->owner)) /* not started yet, or there is no room to look */
		arm(u, SELDOM);
}

/* ---- a process ---- */

static void add_process(struct usage *u, const char *name, struct session *session)
{
	unsigned long long user, system, waited_user, waited_system, tasks, pages;
	char path[40], text[1024];

	(void)snprintf(path, sizeof path, "%.20s/stat", name);
	_cleanup_close_ int fd = openat(u->proc, path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
	if (n <= 0)
		return;
	text[n] = '\0';
	/* Behind the program's name, which may hold anything: from its state on, 11 fields. */
	const char *rest = strrchr(text, ')');
	if (!rest ||
		sscanf(rest,
			") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu %llu %llu %*d "
			"%*d %llu %*d %*u %*u %llu",
			&user, &system, &waited_user, &waited_system, &tasks, &pages) != 6)
		return;
	session->cpu += (user + system + waited_user + waited_system) * u->tick;
	session->memory += pages * u->page;
	session->processes += tasks;
}

static void look_at(struct usage *u, const char *name)
{
	unsigned pid;

	if (parse_uint(name, INT32_MAX, &pid) < 0)
		return;
	struct session *found = bsearch(&(struct session){.pid = getsid((pid_t)pid)}, u->sessions,
		u->n, sizeof *u->sessions, by_pid);
	if (found)
		add_process(u, name, found);
}

/* False: there are no more. */
static bool next_entry(struct usage *u, const struct dirent64 **ret_entry)
{
	if (u->at >= u->end) {
		/* Not readdir(), which takes a thousand at once. */
		u->at = 0;
		u->end = syscall(SYS_getdents64, u->proc, u->entries, sizeof u->entries);
	}
	if (u->end <= 0)
		return false;
	*ret_entry = (const void *)(u->entries + u->at);
	u->at += (*ret_entry)->d_reclen;
	return true;
}

static int on_slice(sd_event_source *source, void *userdata)
{
	struct usage *u = userdata;
	uint64_t end = clock_now() + PER_TURN;
	const struct dirent64 *e;

	while (next_entry(u, &e)) {
		look_at(u, e->d_name);
		if (clock_now() >= end)
			return 0;
	}
	(void)sd_event_source_set_enabled(source, SD_EVENT_OFF);
	end_round(u);
	return 0;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	(void)source;
	(void)usec;
	begin_round(userdata);
	return 0;
}

/* ---- who wants it ---- */

static struct usage *usage_of(struct supervisor *s)
{
	if (s->usage)
		return s->usage;
	struct usage *u = calloc(1, sizeof *u);
	if (!u)
		return NULL;
	u->owner = s;
	u->proc = -1;
	u->page = (uint64_t)sysconf(_SC_PAGESIZE);
	u->tick = NSEC_PER_SEC / (uint64_t)sysconf(_SC_CLK_TCK);
	s->usage = u;
	int r = sd_event_add_defer(s->loop, &u->slice, on_slice, u);
	if (r >= 0)
		r = sd_event_source_set_enabled(u->slice, SD_EVENT_OFF);
	/* All that dynos do comes first. */
	if (r >= 0)
		r = sd_event_source_set_priority(u->slice, SD_EVENT_PRIORITY_IDLE);
	if (r >= 0)
		r = sd_event_add_time_relative(
			s->loop, &u->timer, CLOCK_MONOTONIC, 0, 10000, on_timer, u);
	if (r >= 0)
		r = sd_event_source_set_enabled(u->timer, SD_EVENT_OFF);
	if (r < 0)
		usage_free(s);
	return s->usage;
}

void usage_want(struct supervisor *s)
{
	struct usage *u = usage_of(s);
	uint64_t now = clock_now();

	if (!u)
		return;
	u->wanted_at = now;
	if (u->proc >= 0)
		return;
	if (u->round_at == 0 || now >= u->round_at + OFTEN)
		begin_round(u);
	else
		arm(u, u->round_at + OFTEN - now);
}

void usage_limit(struct supervisor *s, struct life *l, uint64_t limit)
{
	struct usage *u = limit ? usage_of(s) : NULL;
	int armed = SD_EVENT_ON;

	l->memory_limit = limit;
	if (!u || u->proc >= 0)
		return;
	(void)sd_event_source_get_enabled(u->timer, &armed);
	if (armed == SD_EVENT_OFF)
		arm(u, SELDOM);
}

void usage_get(struct supervisor *s, uint64_t id, uint32_t generation, struct dyno_usage *ret_usage)
{
	const struct life *l = life_find(s, id, generation);

	*ret_usage = l && !l->ended ? l->used : DYNO_USAGE_UNKNOWN;
}

void usage_free(struct supervisor *s)
{
	struct usage *u = TAKE_PTR(s->usage);

	if (!u)
		return;
	sd_event_source_disable_unref(u->slice);
	sd_event_source_disable_unref(u->timer);
	(void)fd_close(u->proc);
	free(u->sessions);
	free(u);
}
