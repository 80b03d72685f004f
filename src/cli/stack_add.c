/* `hsup stack add`: made beside its place, then renamed into it. */
#include "cli/member.h"
#include "cli/stack.h"
#include "cli/table.h"

#include "base/fd.h"
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define VERSION 32 /* bytes of one that we give */

struct adding {
	struct stacks *stacks;
	const char *name, *from;
	char version[STACK_NAME + 1];
	char work[40]; /* the folder in work; "" = none yet */
	int fd;	       /* of it */
};

static int check_names(struct adding *a, struct err *err)
{
	const char *version = a->stacks->options->set_version;
	size_t room = STACK_NAME - strlen(a->name) - 1;

	if (!stack_is_name(a->name) || strlen(a->name) + 1 + VERSION > STACK_NAME)
		return err_set(err, -EINVAL,
			"a stack's name is letters, digits, '.', '_' and '-', at most %d, and not "
			"'" STACK_HOST "'",
			STACK_NAME - VERSION - 1);
	if (!version)
		return 0;
	if (!stack_is_version(version) || strlen(version) > room)
		return err_set(err, -EINVAL,
			"a stack's version is letters, digits, '.' and '_', at most %zu", room);
	memcpy(a->version, version, strlen(version) + 1);
	return 0;
}

/* Locked before another can see it: who collects what is left over takes the same lock first. */
static int make_work(struct adding *a, struct err *err)
{
	struct stacks *s = a->stacks;
	uint64_t random;

	if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random)
		return err_errno(err, -EIO, "cannot get a random number");
	if (flock(s->locks, LOCK_EX) < 0)
		return err_errno(err, -errno, "%.300s", s->path);
	(void)snprintf(a->work, sizeof a->work, STACK_WORK "%016llx", (unsigned long long)random);
	int r = mkdirat(s->fd, a->work, 0700) < 0 ? -errno : stacks_enter(s, a->work);
	if (r >= 0) {
		a->fd = r;
		r = flock(a->fd, LOCK_EX | LOCK_NB) < 0 ? -errno : 0;
	} else {
		a->work[0] = '\0';
	}
	(void)flock(s->locks, LOCK_UN);
	return r < 0 ? err_errno(err, r, "cannot make a folder in %.300s", s->path) : 0;
}

static void now(struct tm *ret)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_REALTIME, &ts);
	(void)gmtime_r(&ts.tv_sec, ret);
}

static int write_manifest(struct adding *a, const struct stack_result *made, struct err *err)
{
	char created[40], source[PATH_MAX];
	struct tm tm;

	now(&tm);
	(void)strftime(created, sizeof created, "%Y-%m-%dT%H:%M:%SZ", &tm);
	/* A name of a file need not be UTF-8; JSON must. */
	(void)str_printable(a->from, strlen(a->from), source, sizeof source);
	_cleanup_json_ json_t *m = json_pack("{ss ss ss ss ss ss ss ss sI sI sI sI}", "name",
		a->name, "version", a->version, "from", source, "format", made->from, "sha256",
		made->source, "created", created, "kind", made->image ? "image" : "rootfs", "tree",
		made->tree, "files", (json_int_t)made->entries, "bytes", (json_int_t)made->bytes,
		"dropped", (json_int_t)made->dropped, "stripped", (json_int_t)made->stripped);
	_cleanup_free_ char *text = m ? json_dumps(m, JSON_INDENT(2)) : NULL;
	if (!text)
		return err_set(err, -ENOMEM, "out of memory");
	int r = file_replace(a->fd, STACK_MANIFEST, text, strlen(text), 0644);
	return r < 0 ? err_errno(err, r, "cannot write the manifest") : 0;
}

/* Under the version that was asked for, or the first that is free. */
static int rename_into_place(struct adding *a, struct err *err)
{
	struct stacks *s = a->stacks;
	char folder[2 * STACK_NAME + 2];

	(void)snprintf(folder, sizeof folder, "%s-%s", a->name, a->version);
	if (renameat2(s->fd, a->work, s->fd, folder, RENAME_NOREPLACE) == 0) {
		a->work[0] = '\0';
		/* There also for boxes that see the stacks by a mount that cannot be written to. */
		(void)fd_close(stack_lock_open(s, folder));
		return 0;
	}
	return errno == EEXIST ? err_set(err, -EEXIST, "stack %s is there already", folder)
			       : err_errno(err, -errno, "cannot put it into place");
}

/* Two in one second: the second is the newer one. */
static void give_version(struct adding *a, const char *stamp, unsigned i)
{
	if (i == 0)
		(void)snprintf(a->version, sizeof a->version, "%s", stamp);
	else
		(void)snprintf(a->version, sizeof a->version, "%s.%u", stamp, i);
}

/* All of it is on the disk before its name is: a stack is whole, or is not there. */
static int finish(struct adding *a, const struct stack_result *made, struct err *err)
{
	char stamp[VERSION - 8];
	struct tm tm;
	int r = -EEXIST;

	now(&tm);
	(void)strftime(stamp, sizeof stamp, "%Y%m%d%H%M%S", &tm);
	for (unsigned i = 0; r == -EEXIST && i < (a->stacks->options->set_version ? 1 : 1000);
		i++) {
		if (!a->stacks->options->set_version)
			give_version(a, stamp, i);
		r = write_manifest(a, made, err);
		if (r == 0 && (fchmod(a->fd, 0755) < 0 || syncfs(a->fd) < 0))
			r = err_errno(err, -errno, "cannot write it to the disk");
		if (r == 0)
			r = rename_into_place(a, err);
	}
	if (r == 0 && fsync(a->stacks->fd) < 0)
		r = err_errno(err, -errno, "%.300s", a->stacks->path);
	return r;
}

static int add(struct adding *a, struct stack_result *ret_made, struct err *err)
{
	_cleanup_close_ int source = -1;
	int r = check_names(a, err);

	if (r < 0)
		return r;
	/* O_NONBLOCK: a FIFO is refused, not waited for. */
	source = open(a->from, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (source < 0)
		return err_errno(err, -errno, "%.300s", a->from);
	r = stacks_open(a->stacks, true, err);
	if (r == 0)
		r = make_work(a, err);
	if (r < 0)
		return r;
	r = a->stacks->helper->add(source, a->fd, ret_made, err);
	return r < 0 ? err_wrap(err, "%.200s", a->from) : finish(a, ret_made, err);
}

static void say(const struct adding *a, const struct stack_result *made)
{
	char size[24];

	(void)printf("%s-%s: %llu files, %s, of %s\n", a->name, a->version,
		(unsigned long long)made->entries, show_size((double)made->bytes, size),
		made->image ? "an image of a file system" : made->from);
	if (made->dropped > 0)
		(void)printf("left out: %llu device nodes, FIFOs and sockets\n",
			(unsigned long long)made->dropped);
	if (made->stripped > 0)
		(void)printf("setuid and setgid bits taken from %llu files\n",
			(unsigned long long)made->stripped);
	if (geteuid() != 0)
		(void)puts("all files are yours: only root can keep their owners");
}

int stack_add(struct stacks *s, int n, char **operands)
{
	struct adding a = {.stacks = s, .fd = -1};
	struct stack_result made = {0};
	struct err err = {0};

	if (n != 2)
		return usage_error(&command_stack, "add takes NAME and FROM");
	a.name = operands[0];
	a.from = operands[1];
	int r = add(&a, &made, &err);
	if (a.work[0])
		(void)file_remove_tree(s->fd, a.work);
	(void)fd_close(a.fd);
	if (r < 0)
		return command_error(&command_stack, "%s", err.text);
	say(&a, &made);
	return EXIT_OK;
}
