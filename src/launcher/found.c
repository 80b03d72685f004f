#include "launcher/found.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "launcher/procs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* For the old supervisor, from the end of its wire to its own. */
#define SUPERVISOR_LEAVES 1000 /* ms */
#define SUPERVISOR_DIES	  5000

void found_mark(const struct launcher *l, const struct child *c, char ret_mark[BIRTH_MARK_SIZE])
{
	(void)snprintf(ret_mark, BIRTH_MARK_SIZE, "HSUP_CHILD=%016llx.%llu.%u",
		(unsigned long long)children_table(l->children)->table->key,
		(unsigned long long)c->id, c->generation);
}

static void name_of(const struct launcher *l, const struct child *c, char ret_name[LIMIT_NAME + 1])
{
	char text[LIMIT_NAME + LIMIT_TAG];

	children_text(l->children, c, text);
	memcpy(ret_name, text, c->text.name_length);
	ret_name[c->text.name_length] = '\0';
}

/* ---- groups ---- */

struct search {
	const char *mark;
	int32_t group; /* 0 = any */
	bool init;     /* none but the first of a pid namespace */
	struct proc found;
};

/* A number of a group that has died out may be another's: the mark decides. */
static bool is_member(const struct proc *p, const struct search *s)
{
	return (!s->group || p->group == s->group) && p->state != 'Z' &&
	       proc_marked(p->pid, s->mark) && (!s->init || proc_is_init(p->pid));
}

static bool find_member(const struct proc *p, void *userdata)
{
	struct search *s = userdata;

	if (!is_member(p, s))
		return true;
	s->found = *p;
	return false;
}

bool found_group_lives(const struct launcher *l, const struct child *c)
{
	char mark[BIRTH_MARK_SIZE];
	struct search s = {.mark = mark, .group = c->pid};

	found_mark(l, c, mark);
	procs_each(find_member, &s);
	return s.found.pid != 0;
}

/* ---- output ---- */

/* The pipe of inode ino among the descriptors of pid, opened again; -1. */
static int open_pipe_of(int32_t pid, uint64_t ino)
{
	char path[64];
	int found = -1;

	(void)snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
	DIR *dir = opendir(path);
	if (!dir)
		return -1;
	for (const struct dirent *e; found < 0 && (e = readdir(dir));) {
		struct stat st;

		if (fstatat(dirfd(dir), e->d_name, &st, 0) == 0 && S_ISFIFO(st.st_mode) &&
			st.st_ino == ino)
			found = openat(dirfd(dir), e->d_name, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	}
	(void)closedir(dir);
	return found;
}

struct output {
	struct search search;
	const struct child *child;
	int ends[2], n;
};

static void open_pipes_of(int32_t pid, struct output *o)
{
	for (int i = 0; i < o->n; i++)
		if (o->ends[i] < 0)
			o->ends[i] = open_pipe_of(pid, o->child->pipe_ino[i]);
}

static bool incomplete(const struct output *o)
{
	return o->ends[0] < 0 || (o->n > 1 && o->ends[1] < 0);
}

static bool try_member(const struct proc *p, void *userdata)
{
	struct output *o = userdata;

	if (is_member(p, &o->search))
		open_pipes_of(p->pid, o);
	return incomplete(o);
}

/* Whoever of the dyno still has its pipes. In place of one that nobody has there comes an empty
 * one: what was in it is lost. */
static void find_output(struct launcher *l, struct child *c)
{
	char mark[BIRTH_MARK_SIZE], name[LIMIT_NAME + 1];
	/* Whose init let go of them: the dyno's own process, which has a group of its own. */
	struct output o = {.search = {.mark = mark, .group = c->boxed ? 0 : c->pid},
		.child = c,
		.ends = {-1, -1},
		.n = c->output == WIRE_OUTPUT_MERGED ? 1 : 2};
	struct pipes empty;

	c->out = c->err = -1;
	if (c->output == WIRE_OUTPUT_GIVEN)
		return;
	found_mark(l, c, mark);
	if (c->state == CHILD_RUNNING)
		open_pipes_of(c->pid, &o);
	if (c->state != CHILD_ENDED && incomplete(&o))
		procs_each(try_member, &o);
	if (incomplete(&o)) {
		name_of(l, c, name);
		if (c->state != CHILD_ENDED)
			log_warning("%s (pid %d): its output cannot be found again", name, c->pid);
		if (store_make(&l->store, &empty) < 0)
			goto without;
		for (int i = 0; i < 2; i++) {
			if (i < o.n && o.ends[i] < 0)
				o.ends[i] = TAKE_FD(empty.ends[i]);
			(void)fd_close(empty.ends[i]);
			(void)fd_close(empty.own[i]);
		}
	}
	c->out = o.ends[0];
	c->err = o.ends[1];
	return;
without:
	(void)fd_close(o.ends[0]);
	(void)fd_close(o.ends[1]);
}

/* ---- who lives ---- */

void found_gone(struct launcher *l, struct child *c)
{
	watch_drop(l, c);
	c->status = WIRE_STATUS_UNKNOWN;
	c->exit_time = clock_now();
	children_set_state(l->children, c, CHILD_LEFT);
}

static void take_one(struct launcher *l, struct child *c)
{
	children_set_found(l->children, c);
	c->left_told = false;
	c->watched = -1; /* the number was that of a descriptor of who was killed */
	if (c->state == CHILD_RUNNING && !watch_found(l, c))
		found_gone(l, c);
	find_output(l, c);
}

/* Its launcher was killed around the fork: if there is a process, only the mark tells. */
static void find_unborn(struct launcher *l, struct child *c)
{
	char mark[BIRTH_MARK_SIZE];
	struct search s = {.mark = mark, .init = c->boxed};

	found_mark(l, c, mark);
	procs_each(find_member, &s);
	if (!s.found.pid) {
		children_remove(l->children, c);
		return;
	}
	/* Its leader, if it is one; the fork was in the middle of its tick at the earliest. */
	c->fork_took = UINT32_MAX;
	children_forked(l->children, c, c->boxed ? s.found.pid : s.found.group);
	take_one(l, c);
}

static void end_old_supervisor(const struct table *t)
{
	_cleanup_close_ int fd =
		proc_open(t->supervisor, t->supervisor_forked, (uint32_t)NSEC_PER_SEC);
	struct pollfd p = {.fd = fd, .events = POLLIN};

	if (fd < 0 || poll(&p, 1, SUPERVISOR_LEAVES) == 1)
		return;
	log_warning(
		"the supervisor (pid %d) of a launcher that is gone stays: killed", t->supervisor);
	(void)syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0);
	(void)poll(&p, 1, SUPERVISOR_DIES);
}

void found_take(struct launcher *l)
{
	unsigned running = 0, ended = 0, kept = 0;

	end_old_supervisor(children_table(l->children)->table);
	for (struct child *c = NULL; (c = children_next(l->children, c));) {
		if (c->state == CHILD_FORKING) {
			find_unborn(l, c);
		} else if (c->state == CHILD_KEPT) {
			children_remove(l->children, c);
			kept++;
		} else if (c->acknowledged) {
			children_set_found(l->children, c);
			children_remove(l->children, c);
		} else {
			take_one(l, c);
		}
	}
	if (kept > 0) {
		log_warning("the output of %u kept for others went with a launcher that was killed",
			kept);
		/* Whoever runs them, they may run. */
		l->keeper.ever_greeted = true;
	}
	for (struct child *c = NULL; (c = children_next(l->children, c));) {
		if (c->state == CHILD_LEFT && !found_group_lives(l, c))
			children_set_state(l->children, c, CHILD_ENDED);
		if (c->state == CHILD_ENDED)
			ended++;
		else
			running++;
	}
	l->look_at = clock_now(); /* for what was left */
	if (running + ended > 0)
		log_info("found %u process%s of a launcher that was killed, and %u that ha%s ended",
			running, running == 1 ? "" : "es", ended, ended == 1 ? "s" : "ve");
}
