/* A birth: a place in the table, pipes, and a fork. */
#include "launcher/launcher.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "launcher/found.h"
#include "launcher/procs.h"

#include <errno.h>
#include <linux/sched.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The child that was forked just now is to run first, and those that come after it. */
#define REFILL_DELAY (5 * NSEC_PER_MSEC)

void spawn_close_pair(int fds[2])
{
	fds[0] = fd_close(fds[0]);
	fds[1] = fd_close(fds[1]);
}

/* A fork whose child is the first of a new pid namespace. Who is not root may have one in a user
 * namespace. clone3(), because it takes its arguments in the same order everywhere. */
pid_t spawn_fork_init(void)
{
	struct clone_args args = {
		.flags = CLONE_NEWPID | (geteuid() == 0 ? 0U : CLONE_NEWUSER),
		.exit_signal = SIGCHLD,
	};

	return (pid_t)syscall(SYS_clone3, &args, sizeof args);
}

uint32_t spawn_took(uint64_t begun)
{
	uint64_t took = clock_boot() - begun;

	return took < UINT32_MAX ? (uint32_t)took : UINT32_MAX;
}

static pid_t fork_child(struct launcher *l, struct child *c, struct birth *b)
{
	_cleanup_close_ int end = b->box.first ? watch_open(l, c) : -1;

	b->box.end = end;
	c->fork_begun = clock_boot();
	pid_t pid = b->box.first ? spawn_fork_init() : fork();
	if (pid == 0)
		stages_run(b);
	c->fork_took = spawn_took(c->fork_begun);
	return pid;
}

/* There is nothing of it, or only what was killed. */
static struct child *not_born(struct launcher *l, const struct wire_request *r, struct child *c,
	struct pipes *pair, int error)
{
	tell_refused(l, r->child, WIRE_STAGE_FORK, error);
	spawn_close_pair(pair->ends);
	watch_drop(l, c);
	children_remove(l->children, c);
	return NULL;
}

/* Who is there already has been forked for one that writes into pipes, and has no terminal. */
static bool may_be_lent(const struct wire_request *r)
{
	return r->type == WIRE_SPAWN_BOX && r->spawn->output != WIRE_OUTPUT_GIVEN;
}

/* Enters the child, then forks: one that is forked is in the table, whatever becomes of us. */
static struct child *give_birth(
	struct launcher *l, const struct wire_request *r, struct birth *b, struct pipes *pair)
{
	struct child *c = children_add(l->children, r->child, r->name, r->tag,
		r->spawn->name_length, (uint16_t)r->spawn->tag_length);
	if (!c) {
		tell_refused(l, r->child, WIRE_STAGE_REFUSED, errno);
		spawn_close_pair(pair->ends);
		return NULL;
	}
	found_mark(l, c, b->mark);
	b->failure = &l->failures[children_slot(l->children, c)];
	*b->failure = (struct birth_failure){0};
	c->output = (uint8_t)r->spawn->output;
	memcpy(c->pipe_ino, pair->ino, sizeof c->pipe_ino);
	c->boxed = b->box.first;
	b->box.slot = children_slot(l->children, c);
	pid_t lent = may_be_lent(r) ? reserve_lend(l, c) : 0;
	pid_t pid = lent ? lent : fork_child(l, c, b);
	if (pid < 0)
		return not_born(l, r, c, pair, errno);
	children_forked(l->children, c, pid);
	int error = lent ? reserve_order(l, b) : 0;
	if (error < 0)
		return not_born(l, r, c, pair, -error);
	c->out = pair->ends[0];
	c->err = pair->ends[1];
	c->spawn_time = clock_now();
	c->known = true;
	children_tell(l->children, c, NEWS_SPAWNED);
	log_debug("%.*s is pid %d", r->spawn->name_length, r->name, pid);
	return c;
}

/* Both of its outputs go through the first. */
static void drop_second(struct pipes *pair)
{
	pair->ends[1] = fd_close(pair->ends[1]);
	pair->own[1] = fd_close(pair->own[1]);
	pair->ino[1] = 0;
}

bool spawn_stdio(struct launcher *l, const struct packet *p, const struct wire_request *r,
	struct pipes *pair, int ret_stdio[3])
{
	*pair = (struct pipes){.ends = {-1, -1}, .own = {-1, -1}};
	if (r->spawn->output == WIRE_OUTPUT_GIVEN) {
		memcpy(ret_stdio, &p->fds[1], 3 * sizeof *ret_stdio);
		return true;
	}
	int error = store_make(&l->store, pair);
	if (error < 0) {
		tell_refused(l, r->child, WIRE_STAGE_OUTPUT, -error);
		return false;
	}
	if (r->spawn->output == WIRE_OUTPUT_MERGED)
		drop_second(pair);
	ret_stdio[0] = p->n_fds > 1 ? p->fds[1] : l->null;
	ret_stdio[1] = pair->own[0];
	ret_stdio[2] = pair->own[1] >= 0 ? pair->own[1] : pair->own[0];
	l->refill_at = clock_now() + REFILL_DELAY;
	return true;
}

struct birth spawn_birth(const struct launcher *l)
{
	return (struct birth){
		.policy = l->policy,
		.spec = -1,
		.nofile = l->nofile,
		.parent = l->options.die_with_launcher ? getpid() : 0,
		.box =
			{
				.program = l->options.box,
				.options = l->options.box_options,
				.n_options = l->options.n_box_options,
				.failures = l->failures_fd,
				.end = -1,
				.parent = -1,
				.warm = -1,
			},
	};
}

void spawn(struct launcher *l, struct packet *p, const struct wire_request *r)
{
	_cleanup_close_ int warm = -1, parent = -1;
	int pair_warm[2] = {-1, -1};
	struct pipes pair;
	struct birth b = spawn_birth(l);

	b.spec = p->fds[0];
	b.box.first = r->type != WIRE_SPAWN;
	b.owns_output = r->spawn->output != WIRE_OUTPUT_GIVEN;
	if (children_find(l->children, r->child) || children_find_id(l->children, r->child->id)) {
		tell_refused(l, r->child, WIRE_STAGE_REFUSED, EEXIST);
		return;
	}
	int error = r->type == WIRE_PARK ? warm_pair(l, pair_warm) : 0;
	if (error < 0) {
		tell_refused(l, r->child, WIRE_STAGE_WARM, -error);
		return;
	}
	warm = b.box.warm = pair_warm[1];
	if (!spawn_stdio(l, p, r, &pair, b.stdio))
		return;
	if (b.box.first) {
		b.box.foreground = tcgetpgrp(STDIN_FILENO) == getpgrp();
		if (b.parent)
			parent = (int)syscall(SYS_pidfd_open, b.parent, 0);
		b.box.parent = parent;
	}
	const struct child *c = give_birth(l, r, &b, &pair);
	if (may_be_lent(r))
		reserve_want(l);
	spawn_close_pair(pair.own);
	if (c && pair_warm[0] >= 0)
		warm_keep(l, c, pair_warm[0]);
	else
		(void)fd_close(pair_warm[0]);
}
