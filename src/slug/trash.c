#include "base/fd.h"
#include "base/file.h"
#include "slug/job.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#define TRASH	     ".trash-"
#define IOPRIO_IDLE  (3 << 13) /* class 3, as linux/ioprio.h has it */
#define IOPRIO_WHO_P 1	       /* a process */

int job_remove_trash(int target, uint32_t uid, uint32_t gid, struct err *err)
{
	struct sched_param none = {0};
	int failed = 0;

	int r = sandbox_become(uid, gid, err);
	if (r < 0)
		return r;
	/* A mass delete slows the next unpack on ext4 down for a while: let everybody else go
	 * first. Where that is not allowed it is only less polite. */
	(void)sched_setscheduler(0, SCHED_IDLE, &none);
	(void)syscall(SYS_ioprio_set, IOPRIO_WHO_P, 0, IOPRIO_IDLE);

	_cleanup_close_ int fd = openat(target, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_errno(err, -errno, "cannot open the directory");
	r = sandbox_remove(fd, err);
	if (r < 0)
		return r;
	DIR *d = fdopendir(fcntl(fd, F_DUPFD_CLOEXEC, 0));
	if (!d)
		return err_errno(err, -errno, "cannot list the directory");
	for (struct dirent *e; (e = readdir(d));) {
		if (strncmp(e->d_name, TRASH, strlen(TRASH)) != 0)
			continue;
		r = file_remove_tree(target, e->d_name);
		if (r < 0 && failed == 0)
			failed = err_errno(err, r, "cannot remove all of %s", e->d_name);
	}
	(void)closedir(d);
	return failed;
}
