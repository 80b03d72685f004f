/* For ftest/test_box_root.py: a root of hsup-box, and a command in it; without network, cgroup and
 * seccomp. With -c, how long it takes to make it, so often. */
#include "base/fd.h"
#include "box/box_private.h"
#include "box/mnt.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static struct box_settings settings;
static struct spec spec;
static uint32_t owner = UINT32_MAX;
static unsigned times;
static bool rootless;
static struct birth_failure failure;

static void write_map(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || fd_write_all(fd, text, strlen(text)) < 0)
		err(70, "%s", path);
	(void)close(fd);
}

/* A user namespace with this map of uids and gids. */
static int userns(const char *map)
{
	int go[2];
	char path[64];

	if (pipe2(go, O_CLOEXEC) < 0)
		err(70, "pipe");
	pid_t pid = fork();
	if (pid == 0) {
		(void)close(go[0]);
		if (unshare(CLONE_NEWUSER) < 0)
			err(70, "unshare");
		(void)close(go[1]);
		(void)pause();
	}
	char byte;
	(void)close(go[1]);
	(void)!read(go[0], &byte, 1);
	(void)close(go[0]);
	snprintf(path, sizeof path, "/proc/%d/uid_map", pid);
	write_map(path, map);
	snprintf(path, sizeof path, "/proc/%d/gid_map", pid);
	write_map(path, map);
	snprintf(path, sizeof path, "/proc/%d/ns/user", pid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		err(70, "%s", path);
	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
	return fd;
}

static int dyno_userns(uid_t uid)
{
	char map[200];

	snprintf(map, sizeof map, "0 %u %u\n%u %u 1\n%u %u %u\n", BOX_ROOT_ID, uid, uid, uid,
		uid + 1, BOX_ROOT_ID + uid + 1, BOX_IDS - uid - 1);
	return userns(map);
}

static int slug_userns(uid_t uid)
{
	char map[64];

	snprintf(map, sizeof map, "%u %u 1\n", owner, uid);
	return userns(map);
}

static uint64_t now(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* In the child: first of its pid namespace. */
static uint64_t enter(struct box *b, struct box_root *r)
{
	enum wire_stage stage = WIRE_STAGE_MAX;

	r->proc = mnt_new("proc", NULL, 0);
	if (r->proc < 0)
		errx(70, "proc: %s", strerror(-r->proc));
	uint64_t start = now();
	int e = root_open(b, r, &stage);
	if (e == 0) {
		stage = WIRE_STAGE_APP;
		e = root_layer_make(b);
	}
	r->root_id = r->userns >= 0 ? BOX_ROOT_ID : 0;
	if (e == 0)
		e = root_begin(b, r, &stage);
	if (e == 0)
		e = root_enter(r, &stage);
	uint64_t took = now() - start;
	if (e < 0)
		errx(1, "%s: %s", wire_stage_text(stage), strerror(-e));
	return took;
}

static void become(struct box *b, struct box_root *r)
{
	if (r->userns >= 0 && setns(r->userns, CLONE_NEWUSER) < 0)
		err(70, "setns");
	if (!rootless && (setgroups(0, NULL) < 0 || setresgid(b->gid, b->gid, b->gid) < 0 ||
				 setresuid(b->uid, b->uid, b->uid) < 0))
		err(70, "becoming the dyno");
	fd_from(3, true);
	(void)execv(spec.program, spec.argv);
	err(70, "%s", spec.program);
}

static uint64_t in_child(struct box *b, struct box_root *r)
{
	uint64_t *took =
		mmap(NULL, sizeof *took, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	pid_t pid = fork();
	if (pid == 0) {
		if (unshare(CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS |
			    (r->sys ? CLONE_NEWNET : 0)) < 0)
			err(70, "unshare");
		*took = enter(b, r);
		if (times == 0)
			become(b, r);
		_exit(0);
	}
	int status;
	(void)waitpid(pid, &status, 0);
	if (status != 0)
		exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
	return *took;
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void measure(struct box *b, struct box_root *r)
{
	static uint64_t took[10000];
	static char name[32];

	for (unsigned i = 0; i < times; i++) {
		snprintf(name, sizeof name, "m%u", i);
		spec.box_name = name;
		pid_t pid = fork();
		if (pid == 0) {
			if (unshare(CLONE_NEWPID) < 0)
				err(70, "unshare");
			int fd = open("took", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
			uint64_t one = in_child(b, r);
			(void)!write(fd, &one, sizeof one);
			_exit(0);
		}
		(void)waitpid(pid, NULL, 0);
		int fd = open("took", O_RDONLY | O_CLOEXEC);
		(void)!read(fd, &took[i], sizeof took[i]);
		(void)close(fd);
	}
	(void)unlink("took");
	qsort(took, times, sizeof took[0], compare);
	printf("min %lu p25 %lu median %lu p90 %lu us\n", took[0] / 1000, took[times / 4] / 1000,
		took[times / 2] / 1000, took[times * 9 / 10] / 1000);
}

static void read_options(int argc, char **argv, struct box *b, struct box_root *r)
{
	struct err e;

	for (int o; (o = getopt(argc, argv, "+s:n:l:o:u:b:h:S:c:HR")) != -1;)
		switch (o) {
		case 's':
			spec.box_stack = optarg;
			break;
		case 'n':
			spec.box_name = optarg;
			break;
		case 'l':
			spec.box_slug = optarg;
			break;
		case 'o':
			owner = (uint32_t)strtoul(optarg, NULL, 10);
			break;
		case 'u':
			b->uid = b->gid = (uid_t)strtoul(optarg, NULL, 10);
			break;
		case 'b':
			spec.binds[spec.n_binds++] = optarg;
			break;
		case 'h':
			spec.hostname = optarg;
			break;
		case 'S':
			if (box_settings_set(&settings, optarg, &e) < 0)
				errx(70, "%s", e.text);
			break;
		case 'c':
			times = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 'H':
			r->sys = false;
			spec.box.network = SPEC_BOX_NET_HOST;
			break;
		case 'R':
			rootless = true;
			break;
		default:
			exit(70);
		}
}

int main(int argc, char **argv)
{
	struct box b = {.settings = &settings, .spec = &spec, .uid = 4200, .gid = 4200};
	struct box_root r = {.userns = -1, .slug_userns = -1, .sys = true};

	box_settings_init(&settings);
	spec.box_name = "drive";
	box_report_to(&failure);
	read_options(argc, argv, &b, &r);
	b.root = !rootless;
	if (!rootless) {
		r.userns = dyno_userns(b.uid);
		if (owner != UINT32_MAX)
			r.slug_userns = slug_userns(b.uid);
		b.dyno_address = 0x0ac90202;
	}
	for (int i = optind; i < argc; i++)
		spec.argv[spec.n_args++] = argv[i];
	spec.program = spec.argv[0];
	if (times > 0) {
		measure(&b, &r);
		return 0;
	}
	if (unshare(CLONE_NEWPID | (rootless ? CLONE_NEWUSER : 0)) < 0)
		err(70, "unshare");
	if (rootless) {
		char map[64];
		snprintf(map, sizeof map, "%u %u 1\n", b.uid, owner);
		write_map("/proc/self/setgroups", "deny");
		write_map("/proc/self/uid_map", map);
		write_map("/proc/self/gid_map", map);
	}
	(void)in_child(&b, &r);
	return 0;
}
