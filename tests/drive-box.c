/* For ftest/test_box_net.py: the parts of a box that deal with its network, its cgroups and its
 * end, with nothing else of one. Settings are those of the environment.
 *
 *   drive-box setup
 *   drive-box sweep [NAME...]
 *   drive-box quotas FOLDER
 *	of each project that may not have all of its file system: number, KiB, files; KiB it has
 *   drive-box cgroup NAME MEMORY CPU PROCESSES
 *	says where it is, and how many hierarchies are joined late
 *   drive-box box NAME UID MEMORY CPU PROCESSES COMMAND [ARG...]
 *	exits as the command does */
#include "base/fd.h"
#include "base/quota.h"
#include "box/box.h"
#include "box/box_private.h"
#include "box/sweep.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/quota.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static struct box_settings settings;
static struct spec spec;
static struct box box = {.settings = &settings, .spec = &spec};

static int check(int r, const char *what)
{
	if (r >= 0)
		return r;
	(void)fprintf(stderr, "drive-box: %s: %s\n", what, err_name(r));
	_exit(125);
}

static double now(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static pid_t start(char **argv)
{
	struct clone_args args = {.exit_signal = SIGCHLD};

	if (box.cgroup.into >= 0) {
		args.flags = CLONE_INTO_CGROUP;
		args.cgroup = (uint64_t)box.cgroup.into;
	}
	pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof args);
	if (pid == 0) {
		(void)execvp(argv[0], argv);
		_exit(126);
	}
	return pid;
}

/* The first process of its pid namespace, as a box's is. */
static int be_init(char **argv, bool no_unified)
{
	int status = 0;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	check(mount("proc", "/proc", "proc", 0, NULL) < 0 ? -errno : 0, "proc");
	pid_t pid = check(start(argv), "clone3");
	if (no_unified)
		box.cgroup.into = fd_close(box.cgroup.into);
	/* How long a dyno may run before. */
	const char *late = getenv("DRIVE_JOIN_MS");
	if (late)
		(void)usleep((useconds_t)atoi(late) * 1000);
	for (const char *when = getenv("DRIVE_JOIN_WHEN"); when && access(when, F_OK) < 0;)
		(void)usleep(10000);
	double before = now();
	check(cgroup_join_late(&box.cgroup), "cgroup_join_late");
	if (getenv("DRIVE_TIMES"))
		(void)fprintf(stderr, "join %.0f\n", now() - before);
	for (pid_t ended; (ended = wait(&status)) != pid;)
		check(ended < 0 ? -errno : 0, "wait");
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void limit(char **argv)
{
	spec.box.memory = strtoull(argv[0], NULL, 10);
	spec.box.cpu_percent = (uint32_t)atoi(argv[1]);
	spec.box.processes = (uint32_t)atoi(argv[2]);
}

static int run_cgroup(int argc, char **argv)
{
	char link[40], path[PATH_MAX] = "none";

	if (argc != 4)
		return 124;
	spec.box_name = argv[0];
	limit(argv + 1);
	check(cgroup_find(&box), "cgroup_find");
	check(cgroup_make(&box, &box.cgroup), "cgroup_make");
	check(cgroup_make_late(&box), "cgroup_make_late");
	check(cgroup_open_late(&box, &box.cgroup), "cgroup_open_late");
	(void)snprintf(link, sizeof link, "/proc/self/fd/%d", box.cgroup.into);
	ssize_t len = readlink(link, path, sizeof path - 1);
	(void)printf("%.*s %u\n", len < 0 ? 4 : (int)len, path, box.cgroup.n_late);
	return 0;
}

static int run_box(int argc, char **argv)
{
	if (argc < 6)
		return 124;
	spec.box_name = argv[0];
	box.uid = box.gid = (uid_t)atoi(argv[1]);
	limit(argv + 2);
	spec.box.network = settings.network;
	if (!box_addresses(&settings, box.uid, &box.machine_address, &box.dyno_address))
		check(-ERANGE, "uid");
	check(box_claim(&box), "box_claim");
	check(cgroup_find(&box), "cgroup_find");
	check(cgroup_make(&box, &box.cgroup), "cgroup_make");
	check(cgroup_make_late(&box), "cgroup_make_late");
	check(cgroup_open_late(&box, &box.cgroup), "cgroup_open_late");
	check(setup_ensure(&settings), "setup_ensure");
	int machine = check(link_open(), "link_open");
	check(unshare(CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWPID) < 0 ? -errno : 0, "unshare");
	check(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ? -errno : 0, "private");
	int netns = check(open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), "netns");
	double start_of_links = now();
	if (settings.network == SPEC_BOX_NET_OWN)
		check(link_make(&box, machine, netns), "link_make");
	double made = now();
	check(link_configure(&box), "link_configure");
	if (getenv("DRIVE_TIMES"))
		(void)fprintf(
			stderr, "make %.0f configure %.0f\n", made - start_of_links, now() - made);
	pid_t pid = fork();
	if (pid == 0)
		_exit(be_init(argv + 5, getenv("DRIVE_NO_UNIFIED") != NULL));
	int status;
	check(waitpid(pid, &status, 0), "waitpid");
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int run_quotas(const char *folder)
{
	int fd = check(open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC), folder);
	/* Not QCMD(): it shifts an int into its sign. */
	unsigned next = (unsigned)Q_GETNEXTQUOTA << SUBCMDSHIFT | PRJQUOTA;
	struct if_nextdqblk q = {0};

	for (uint32_t id = 0; syscall(SYS_quotactl_fd, fd, next, id, &q) == 0; id = q.dqb_id + 1)
		if (q.dqb_bhardlimit || q.dqb_ihardlimit || q.dqb_id > 0)
			(void)printf("%u %llu %llu %llu\n", q.dqb_id,
				(unsigned long long)q.dqb_bhardlimit,
				(unsigned long long)q.dqb_ihardlimit,
				(unsigned long long)q.dqb_curspace / 1024);
	return errno == ENOENT || errno == ESRCH ? 0 : check(-errno, "quotactl_fd");
}

static int run_sweep(int argc, char **argv)
{
	const size_t size = sizeof(struct birth_failure);
	/* cppcheck-suppress invalidFunctionArg */
	void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct birth_failure *failure = at;
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		spec.argv[0] = argv[-1];
		for (int i = 0; i < argc; i++)
			spec.argv[i + 1] = argv[i];
		spec.n_args = (unsigned)argc + 1;
		box_report_to(failure);
		sweep_run(&box);
	}
	check(waitpid(pid, &status, 0), "waitpid");
	if (failure->stage)
		(void)fprintf(stderr, "drive-box: %s: %s\n", wire_stage_text(failure->stage),
			err_name(failure->error));
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int main(int argc, char **argv)
{
	struct err err;

	box_settings_init(&settings);
	if (argc < 2 || box_settings_load(&settings, environ, &err) < 0)
		return 124;
	box.root = geteuid() == 0;
	if (strcmp(argv[1], "setup") == 0)
		return setup_run(&settings);
	if (strcmp(argv[1], "sweep") == 0)
		return run_sweep(argc - 2, argv + 2);
	if (argc == 3 && strcmp(argv[1], "quotas") == 0)
		return run_quotas(argv[2]);
	if (strcmp(argv[1], "cgroup") == 0)
		return run_cgroup(argc - 2, argv + 2);
	if (strcmp(argv[1], "box") == 0)
		return run_box(argc - 2, argv + 2);
	return 124;
}
