#include "base/quota.h"

#include <errno.h>
#include <linux/dqblk_xfs.h>
#include <linux/fs.h>
#include <linux/quota.h>
#include <stdbool.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

/* What people give to projects of their own is far below. */
#define FIRST UINT32_C(0x40000000)
#define MASK  UINT32_C(0x3fffffff)

#define BLOCK	     1024 /* of a quota */
#define FILE_BYTES   4096
#define FEWEST_FILES 1024
#define TRIES	     64

static int control(int fd, unsigned command, uint32_t id, void *data)
{
	unsigned what = QCMD(command, PRJQUOTA);

	return syscall(SYS_quotactl_fd, fd, what, id, data) < 0 ? -errno : 0;
}

int quota_enforced(int fd)
{
	struct fs_quota_statv state = {.qs_version = FS_QSTATV_VERSION1};
	int r = control(fd, Q_XGETQSTATV, 0, &state);

	/* No such quotas in this file system, or this mount, or this kernel. */
	if (r == -ENOSYS || r == -EINVAL || r == -ESRCH || r == -ENOTBLK || r == -EOPNOTSUPP)
		return 0;
	return r < 0 ? r : (state.qs_flags & FS_QUOTA_PDQ_ENFD) != 0;
}

static int limit(int fd, uint32_t project, uint64_t bytes)
{
	struct if_dqblk l = {.dqb_valid = QIF_LIMITS};

	if (bytes) {
		l.dqb_bhardlimit = (bytes + BLOCK - 1) / BLOCK;
		l.dqb_ihardlimit = bytes / FILE_BYTES;
		if (l.dqb_ihardlimit < FEWEST_FILES)
			l.dqb_ihardlimit = FEWEST_FILES;
	}
	return control(fd, Q_SETQUOTA, project, &l);
}

static bool is_taken(int fd, uint32_t project)
{
	struct if_dqblk l = {0};

	return control(fd, Q_GETQUOTA, project, &l) == 0 && l.dqb_bhardlimit != 0;
}

int quota_begin(int folder, uint64_t bytes)
{
	struct fsxattr x;
	struct stat st;

	if (quota_enforced(folder) != 1)
		return -EOPNOTSUPP;
	if (fstat(folder, &st) < 0 || ioctl(folder, FS_IOC_FSGETXATTR, &x) < 0)
		return -errno;
	uint32_t project = FIRST | ((uint32_t)(st.st_ino ^ st.st_ino >> 30) & MASK);
	/* Where inodes have more than 30 bits, another may have it. */
	for (int i = 0; i < TRIES && is_taken(folder, project); i++)
		project = FIRST | ((project + 1) & MASK);
	/* First the limit: of a project that is begun it is there. */
	int r = limit(folder, project, bytes);
	if (r < 0)
		return r;
	x.fsx_projid = project;
	x.fsx_xflags |= FS_XFLAG_PROJINHERIT;
	if (ioctl(folder, FS_IOC_FSSETXATTR, &x) == 0)
		return 0;
	r = -errno;
	quota_end(folder, project);
	return r;
}

uint32_t quota_of(int folder)
{
	struct fsxattr x;

	if (ioctl(folder, FS_IOC_FSGETXATTR, &x) < 0 || !(x.fsx_xflags & FS_XFLAG_PROJINHERIT) ||
		(x.fsx_projid & ~MASK) != FIRST)
		return 0;
	return x.fsx_projid;
}

void quota_end(int fd, uint32_t project)
{
	if (project)
		(void)limit(fd, project, 0);
}
