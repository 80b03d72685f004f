/* A stack as it is now, and as it was. */
#include "slug/stack_private.h"

#include "base/fd.h"
#include "slug/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

static int confine(const struct stack_job *j, struct err *err)
{
	int r = sandbox_keep(UINT64_C(1) << CAP_DAC_READ_SEARCH, err);

	if (r == 0 && prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0) < 0)
		r = err_errno(err, -errno, "cannot bind my life to my parent's");
	if (r == 0)
		r = sandbox_stack(j->folder, -1, err);
	return r == 0 ? sandbox_seal_stack(err) : r;
}

/* The digest of one file of the stack's folder is the manifest's, or a line says that it is not. */
static int check_file(struct stack_run *u, const char *name, int *ret_fd, struct err *err)
{
	const struct stack_job *j = u->job;
	char hex[DIGEST_HEX + 1], line[200];
	struct stat st;
	_cleanup_close_ int fd =
		openat(j->folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_errno(err, -errno, "%s", name);
	if (!S_ISREG(st.st_mode))
		return err_set(err, -EBADMSG, "%s is not a regular file", name);
	int r = digest_of_fd(fd, hex);
	if (r < 0)
		return err_errno(err, r, "%s", name);
	memcpy(u->done.tree, hex, sizeof u->done.tree);
	u->done.bytes = (uint64_t)st.st_size;
	if (memcmp(hex, j->verify.tree, DIGEST_HEX) != 0) {
		u->done.differences++;
		int n = snprintf(line, sizeof line,
			"  %s is not what the manifest says: its SHA-256 is %s\n", name, hex);
		r = fd_write_all(j->out, line, (size_t)n);
	}
	*ret_fd = TAKE_FD(fd);
	return r < 0 ? err_errno(err, r, "cannot say what differs") : 0;
}

static int verify_tree(struct stack_run *u, struct err *err)
{
	uint64_t differences = 0;
	struct tree_count count;
	int r, fd = -1;

	r = check_file(u, STACK_TREE, &fd, err);
	_cleanup_close_ int old = fd;
	if (r < 0)
		return r;
	u->rootfs = openat(
		u->job->folder, STACK_ROOTFS, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (u->rootfs < 0)
		return err_errno(err, -errno, STACK_ROOTFS);
	r = tree_compare(u->rootfs, old, u->job->out, stack_tick, u, &count, &differences, err);
	if (r < 0)
		return r;
	u->done.differences += differences;
	u->done.bytes = count.bytes;
	u->done.entries = count.entries;
	return 0;
}

int stack_verify(const struct stack_job *j, struct job_stack_done *ret_done, struct err *err)
{
	struct stack_run u = {.job = j, .rootfs = -1, .done = {.kind = j->verify.kind}};
	int fd = -1, r = confine(j, err);

	memset(u.done.source, '0', sizeof u.done.source);
	if (r == 0 && j->verify.kind == JOB_STACK_IMAGE)
		r = check_file(&u, STACK_IMAGE, &fd, err);
	else if (r == 0)
		r = verify_tree(&u, err);
	(void)fd_close(fd);
	(void)fd_close(u.rootfs);
	if (r == 0)
		*ret_done = u.done;
	return r;
}
