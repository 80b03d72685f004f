#include "slug/sandbox.h"

#include "base/caps.h"
#include "base/fd.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Newer than the headers of Linux 6.1. */
#define FS_TRUNCATE  (UINT64_C(1) << 14) /* ABI 3 */
#define FS_IOCTL_DEV (UINT64_C(1) << 15) /* ABI 5 */
#define NET_BIND     (UINT64_C(1) << 0)	 /* ABI 4 */
#define NET_CONNECT  (UINT64_C(1) << 1)
#define SCOPE_ALL    (UINT64_C(3)) /* ABI 6: abstract Unix sockets, signals */

#define FS_READ	 (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define FS_ABI_2 (LANDLOCK_ACCESS_FS_REFER * 2 - 1)

struct ruleset {
	uint64_t fs;
	uint64_t net;	/* ABI 4 */
	uint64_t scope; /* ABI 6 */
};

static int set_limit(int resource, rlim_t value, struct err *err)
{
	struct rlimit limit;

	if (getrlimit(resource, &limit) < 0)
		return err_errno(err, -errno, "cannot read a resource limit");
	if (limit.rlim_max != RLIM_INFINITY && value > limit.rlim_max)
		value = limit.rlim_max;
	limit = (struct rlimit){.rlim_cur = value, .rlim_max = value};
	return setrlimit(resource, &limit) < 0
		       ? err_errno(err, -errno, "cannot set a resource limit")
		       : 0;
}

/* The bounding set needs a capability to drop, so it goes first. EINVAL ends it behind the kernel's
 * last capability; EPERM: they are not ours to drop, and no_new_privs will do. */
static void drop_bounding(void)
{
	for (unsigned long c = 0; prctl(PR_CAPBSET_DROP, c, 0, 0, 0) == 0; c++)
		;
}

static int harden(struct err *err)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_errno(err, -errno, "cannot set no_new_privs");

	int r = set_limit(RLIMIT_CORE, 0, err);
	if (r == 0)
		r = set_limit(RLIMIT_NOFILE, 512, err);
	if (r == 0 && !SANDBOX_OPEN)
		r = set_limit(RLIMIT_DATA, (rlim_t)1 << 30, err);
	return r;
}

int sandbox_become(uint32_t uid, uint32_t gid, struct err *err)
{
	if (uid == geteuid() && gid == getegid())
		uid = SANDBOX_STAY;
	drop_bounding();
	/* Who stays has nothing to lose but other groups, and may not be able to (not root, or root
	 * of a user namespace without setgroups). */
	if (setgroups(0, NULL) < 0 && uid != SANDBOX_STAY)
		return err_errno(err, -errno, "cannot give up groups");
	if (uid != SANDBOX_STAY && (setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0))
		return err_errno(err, -errno, "cannot become user %u", uid);
	int r = caps_drop();
	if (r < 0)
		return err_errno(err, r, "cannot give up capabilities");
	return harden(err);
}

int sandbox_keep(uint64_t capabilities, struct err *err)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {0};

	drop_bounding();
	(void)setgroups(0, NULL);
	(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	if (syscall(SYS_capget, &header, data) < 0)
		return err_errno(err, -errno, "cannot read capabilities");
	for (unsigned i = 0; i < ARRAY_SIZE(data); i++) {
		data[i].permitted &= (uint32_t)(capabilities >> (32 * i));
		data[i].effective = data[i].permitted;
		data[i].inheritable = 0;
	}
	if (syscall(SYS_capset, &header, data) < 0)
		return err_errno(err, -errno, "cannot give up capabilities");
	return harden(err);
}

int sandbox_file_size(uint64_t bytes, struct err *err)
{
	return set_limit(RLIMIT_FSIZE, bytes, err);
}

/* The ruleset's descriptor, -ENOSYS when the kernel cannot; *fs becomes what it knows of it. */
static int new_ruleset(struct ruleset rules, uint64_t *ret_fs)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	size_t size = sizeof rules;

	if (abi < 2 || SANDBOX_OPEN)
		return -ENOSYS;
	if (abi < 3)
		rules.fs &= ~FS_TRUNCATE;
	if (abi < 5)
		rules.fs &= ~FS_IOCTL_DEV;
	if (abi < 6)
		size = offsetof(struct ruleset, scope);
	if (abi < 4)
		size = offsetof(struct ruleset, net);
	long fd = syscall(SYS_landlock_create_ruleset, &rules, size, 0);
	if (fd < 0)
		return -errno;
	*ret_fs = rules.fs;
	return (int)fd;
}

static int allow(int ruleset, int fd, uint64_t fs)
{
	struct landlock_path_beneath_attr rule = {.allowed_access = fs, .parent_fd = fd};

	return syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0
		       ? -errno
		       : 0;
}

static int allow_path(int ruleset, const char *path, uint64_t fs)
{
	_cleanup_close_ int fd = open(path, O_PATH | O_CLOEXEC);

	/* What is not there needs no rule. */
	return fd < 0 ? 0 : allow(ruleset, fd, fs);
}

static int restrict_self(int ruleset)
{
	return syscall(SYS_landlock_restrict_self, ruleset, 0) < 0 ? -errno : 0;
}

/* A kernel without Landlock is no failure. */
static int verdict(int r, struct err *err)
{
	if (r == -ENOSYS || r == -EOPNOTSUPP) {
		log_debug("this kernel has no Landlock (or an old one): going on without");
		return 0;
	}
	return r < 0 ? err_errno(err, r, "cannot restrict file access") : 0;
}

int sandbox_fetch(const char *certificates, struct err *err)
{
	/* The folders in /run are where /etc/resolv.conf may point. */
	static const char *const readable[] = {"/etc", "/usr", "/lib", "/lib64",
		"/run/systemd/resolve", "/run/resolvconf", "/run/NetworkManager"};
	uint64_t known = 0;
	_cleanup_close_ int ruleset =
		new_ruleset((struct ruleset){.fs = FS_ABI_2 | FS_TRUNCATE | FS_IOCTL_DEV,
				    .net = NET_BIND,
				    .scope = SCOPE_ALL},
			&known);
	if (ruleset < 0)
		return verdict(ruleset, err);

	int r = 0;
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(readable); i++)
		r = allow_path(ruleset, readable[i], FS_READ);
	if (r == 0 && certificates)
		r = allow_path(ruleset, certificates, LANDLOCK_ACCESS_FS_READ_FILE);
	if (r == 0)
		r = restrict_self(ruleset);
	return verdict(r, err);
}

/* Denies all that Landlock can deny; what is allowed is added to it. */
static int closed_ruleset(uint64_t *ret_known)
{
	return new_ruleset((struct ruleset){.fs = FS_ABI_2 | FS_TRUNCATE | FS_IOCTL_DEV,
				   .net = NET_BIND | NET_CONNECT,
				   .scope = SCOPE_ALL},
		ret_known);
}

#define FS_MOVE                                                                                    \
	(LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REFER |  \
		LANDLOCK_ACCESS_FS_READ_DIR)
#define FS_FILL                                                                                    \
	(FS_MOVE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_MAKE_REG |                   \
		LANDLOCK_ACCESS_FS_MAKE_SYM | LANDLOCK_ACCESS_FS_REMOVE_FILE | FS_TRUNCATE)

int sandbox_unpack(int target, int work, struct err *err)
{
	uint64_t known = 0;
	_cleanup_close_ int ruleset = closed_ruleset(&known);
	if (ruleset < 0)
		return verdict(ruleset, err);

	int r = allow(ruleset, target, FS_MOVE & known);
	if (r == 0)
		r = allow(ruleset, work, FS_FILL & known);
	if (r == 0)
		r = restrict_self(ruleset);
	return verdict(r, err);
}

int sandbox_remove(int target, struct err *err)
{
	uint64_t known = 0;
	_cleanup_close_ int ruleset = closed_ruleset(&known);
	if (ruleset < 0)
		return verdict(ruleset, err);

	int r = allow(ruleset, target,
		LANDLOCK_ACCESS_FS_READ_DIR | LANDLOCK_ACCESS_FS_REMOVE_DIR |
			LANDLOCK_ACCESS_FS_REMOVE_FILE);
	if (r == 0)
		r = restrict_self(ruleset);
	return verdict(r, err);
}

int sandbox_pack(int folder, struct err *err)
{
	uint64_t known = 0;
	int r = sandbox_file_size(0, err);

	if (r < 0)
		return r;
	_cleanup_close_ int ruleset = closed_ruleset(&known);
	if (ruleset < 0)
		return verdict(ruleset, err);
	r = allow(ruleset, folder, FS_READ);
	if (r == 0)
		r = restrict_self(ruleset);
	return verdict(r, err);
}

int sandbox_stack(int source, int work, struct err *err)
{
	uint64_t known = 0;
	_cleanup_close_ int ruleset = closed_ruleset(&known);
	if (ruleset < 0)
		return verdict(ruleset, err);
	int r = source < 0 ? 0 : allow(ruleset, source, FS_READ);
	if (r == 0 && work >= 0)
		r = allow(ruleset, work, (FS_FILL | FS_READ) & known);
	if (r == 0)
		r = restrict_self(ruleset);
	return verdict(r, err);
}
