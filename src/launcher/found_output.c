/* The output of children that were found: their launcher had the pipes, and took them along. */
#include "launcher/found_private.h"

#include "base/fd.h"
#include "base/log.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static void name_of(const struct launcher *l, const struct child *c, char ret_name[LIMIT_NAME + 1])
{
	char text[LIMIT_NAME + LIMIT_TAG];

	children_text(l->children, c, text);
	memcpy(ret_name, text, c->text.name_length);
	ret_name[c->text.name_length] = '\0';
}

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

	if (found_member(p, &o->search))
		open_pipes_of(p->pid, o);
	return incomplete(o);
}

/* Whoever of the dyno still has its pipes. In place of one that nobody has there comes an empty
 * one: what was in it is lost. */
void found_output(struct launcher *l, struct child *c)
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
