#include "slug/stack_private.h"

#include "base/fd.h"
#include "base/file.h"
#include "base/str.h"
#include "slug/decoder.h"
#include "slug/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define UNPACKED "image" /* in the stack's folder: an archive that turned out to hold an image */

#define CAPABILITY(name) (UINT64_C(1) << (name))

/* Writes what the source says, whoever it says it belongs to. */
#define MAKE (CAPABILITY(CAP_CHOWN) | CAPABILITY(CAP_FOWNER) | CAPABILITY(CAP_DAC_OVERRIDE))

int stack_tick(void *userdata, struct err *err)
{
	struct stack_run *u = userdata;
	const struct stack_job *j = u->job;

	if (*j->stop || j->report->gone)
		return err_set(err, -ECANCELED, "interrupted");
	report_progress(j->report, JOB_UNPACKING, u->read, 0);
	return 0;
}

/* What a file is: of an image of a file system the magic number, and no packing in front of it. */
static enum job_stack_from kind_of_file(int fd)
{
	static const struct {
		size_t at;
		const char *magic;
		size_t len;
	} images[] = {
		{0, "hsqs", 4},		       /* squashfs */
		{1024, "\xe2\xe1\xf5\xe0", 4}, /* erofs */
		{1080, "\x53\xef", 2},	       /* ext2, 3, 4 */
	};
	unsigned char head[1100] = {0};
	ssize_t n = pread(fd, head, sizeof head, 0);

	if (n < (ssize_t)sizeof head || packing_of(head, (size_t)n) != PACKING_TAR ||
		memcmp(head + 257, "ustar", 5) == 0)
		return JOB_FROM_TAR;
	for (size_t i = 0; i < ARRAY_SIZE(images); i++)
		if (memcmp(head + images[i].at, images[i].magic, images[i].len) == 0)
			return JOB_FROM_IMAGE;
	return JOB_FROM_TAR;
}

static int confine(
	const struct stack_job *j, uint64_t capabilities, int source, int work, struct err *err)
{
	int r = sandbox_keep(capabilities, err);

	if (r == 0 && prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0) < 0)
		r = err_errno(err, -errno, "cannot bind my life to my parent's");
	if (r == 0 && j->order.max_bytes > 0)
		r = sandbox_file_size(j->order.max_bytes, err);
	if (r == 0)
		r = sandbox_stack(source, work, err);
	return r == 0 ? sandbox_seal_stack(err) : r;
}

/* A new, empty rootfs/. */
static int begin_root(struct stack_run *u, struct err *err)
{
	const struct stack_job *j = u->job;
	struct writer_limits limits = {
		.max_bytes = j->order.max_bytes,
		.max_entries = j->order.max_entries,
		.stack = true,
		.owners = j->order.flags & JOB_STACK_OWNERS,
	};

	u->writer = writer_free(u->writer);
	u->rootfs = fd_close(u->rootfs);
	if (mkdirat(j->folder, STACK_ROOTFS, 0755) < 0)
		return err_errno(err, -errno, "cannot make the root");
	u->rootfs =
		openat(j->folder, STACK_ROOTFS, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (u->rootfs < 0 || fchmod(u->rootfs, 0755) < 0)
		return err_errno(err, -errno, "cannot open the root");
	int r = writer_new(u->rootfs, &limits, &u->writer);
	return r < 0 ? err_errno(err, r, "the root") : 0;
}

/* What was unpacked is an image: its files become the source. */
static int unwrap(struct stack_run *u, enum job_stack_from from, struct err *err)
{
	const struct stack_job *j = u->job;
	char hex[DIGEST_HEX + 1];

	u->done.from = from;
	u->done.dropped = 0;
	if (renameat2(j->folder, STACK_ROOTFS, j->folder, UNPACKED, RENAME_NOREPLACE) < 0)
		return err_errno(err, -errno, "cannot move the image aside");
	_cleanup_close_ int image = TAKE_FD(u->rootfs);
	int r = begin_root(u, err);
	if (r == 0)
		r = stack_apply_layers(u, image, from, hex, err);
	if (r < 0)
		return r;
	r = file_remove_tree(j->folder, UNPACKED);
	return r < 0 ? err_errno(err, r, "cannot remove the unpacked image") : 0;
}

static int make_of_archive(struct stack_run *u, struct err *err)
{
	struct unpack_stack how = {.writer = u->writer, .as = UNPACK_ROOT};
	char hex[DIGEST_HEX + 1];
	int r = stack_read_archive(u, u->job->source, &how, NULL, false, hex, err);

	if (r < 0)
		return r;
	u->done.dropped = how.dropped;
	memcpy(u->done.source, hex, sizeof u->done.source);
	enum job_stack_from from = stack_is_layers(u->rootfs);
	if (from)
		return unwrap(u, from, err);
	/* Who packed an image does not matter; whose a root's files are does. */
	if (how.owner.code) {
		if (err)
			*err = how.owner;
		return how.owner.code;
	}
	return 0;
}

static int make_of_folder(struct stack_run *u, struct err *err)
{
	char hex[DIGEST_HEX + 1];
	enum job_stack_from from = stack_is_layers(u->job->source);

	if (!from)
		return stack_copy_tree(u, u->job->source, err);
	u->done.from = from;
	int r = stack_apply_layers(u, u->job->source, from, hex, err);
	if (r == 0)
		memcpy(u->done.source, hex, sizeof u->done.source);
	return r;
}

static int write_tree(struct stack_run *u, struct err *err)
{
	char hex[DIGEST_HEX + 1];
	struct tree_count count;
	_cleanup_close_ int out = openat(u->job->folder, STACK_TREE,
		O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);

	if (out < 0)
		return err_errno(err, -errno, "cannot write down what is in it");
	int r = tree_write(u->rootfs, out, stack_tick, u, &count, hex, err);
	if (r < 0)
		return r;
	if (count.entries == 0)
		return err_set(err, -EBADMSG, "there is nothing in it");
	u->done.bytes = count.bytes;
	u->done.entries = count.entries;
	u->done.stripped = writer_stripped(u->writer);
	memcpy(u->done.tree, hex, sizeof u->done.tree);
	if (!u->done.source[0])
		memcpy(u->done.source, hex, sizeof u->done.source);
	return 0;
}

static int make(struct stack_run *u, struct err *err)
{
	const struct stack_job *j = u->job;
	struct stat st;

	if (fstat(j->source, &st) < 0)
		return err_errno(err, -errno, "cannot look at it");
	bool folder = S_ISDIR(st.st_mode);
	if (!folder && !S_ISREG(st.st_mode))
		return err_set(err, -EINVAL, "it is no file and no folder");
	int r = confine(j, j->order.flags & JOB_STACK_OWNERS ? MAKE : 0, folder ? j->source : -1,
		j->folder, err);
	if (r < 0)
		return r;
	u->done.from = folder ? JOB_FROM_FOLDER : kind_of_file(j->source);
	if (u->done.from == JOB_FROM_IMAGE) {
		u->done.kind = JOB_STACK_IMAGE;
		return stack_copy_image(u, j->source, err);
	}
	u->done.kind = JOB_STACK_ROOTFS;
	r = begin_root(u, err);
	if (r == 0)
		r = folder ? make_of_folder(u, err) : make_of_archive(u, err);
	return r == 0 ? write_tree(u, err) : r;
}

int stack_make(const struct stack_job *j, struct job_stack_done *ret_done, struct err *err)
{
	struct stack_run u = {.job = j, .rootfs = -1};
	int r = make(&u, err);

	(void)writer_free(u.writer);
	(void)fd_close(u.rootfs);
	if (r == 0)
		*ret_done = u.done;
	return r;
}
