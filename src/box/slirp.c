/* The same as pasta.c, by slirp4netns(1). Its own sandbox is for who is root in his user namespace,
 * as nobody is in ours; and one below ours would be the dyno's, who owns it by his uid, with all
 * that is in it. So it gets one from us: a root with programs and libraries only, and two
 * capabilities, which its filter then leaves little use for. */
#include "base/caps.h"
#include "base/fd.h"
#include "box/box_private.h"
#include "box/mnt.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define PROGRAM "slirp4netns"
#define NETNS	"netns"
#define ORDERS	"orders" /* its socket */
#define BITS	25	 /* of its network: no smaller one is taken */
/* To join the dyno's network, and to make an interface there. */
#define CAPS (UINT64_C(1) << CAP_SYS_ADMIN | UINT64_C(1) << CAP_NET_ADMIN)

/* ---- its root ---- */

static void put(int mount, int root, const char *name, uint64_t attributes)
{
	_cleanup_close_ int owned = box_must(mount, WIRE_STAGE_NETWORK);

	box_must(mnt_set(owned, MOUNT_ATTR_NOSUID | attributes, -1, true), WIRE_STAGE_NETWORK);
	box_must(mnt_attach(owned, root, name), WIRE_STAGE_NETWORK);
}

static void put_file(int mount, int root, const char *name)
{
	box_must_call(mknodat(root, name, S_IFREG | 0444, 0), WIRE_STAGE_NETWORK);
	put(mount, root, name, MOUNT_ATTR_RDONLY);
}

/* The machine's, where it has it: a folder, or the link to one. */
static void put_folder(int root, const char *path)
{
	const char *name = path + 1;
	char link[64] = "";
	struct stat st;

	if (lstat(path, &st) < 0)
		return;
	if (S_ISLNK(st.st_mode)) {
		box_must_call(readlink(path, link, sizeof link - 1), WIRE_STAGE_NETWORK);
		box_must_call(symlinkat(link, root, name), WIRE_STAGE_NETWORK);
		return;
	}
	box_must_call(mkdirat(root, name, 0755), WIRE_STAGE_NETWORK);
	put(mnt_copy(AT_FDCWD, path, true), root, name, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV);
}

static void enter_root(const char *program, int netns)
{
	static const struct mnt_option size[] = {{"size", "64k"}, {NULL, NULL}};
	static const char *const folders[] = {"/usr", "/lib", "/lib64", "/bin", "/nix"};
	static const char *const dirs[] = {"etc", "dev", "dev/net"};
	static const char cache[] = "/etc/ld.so.cache", tun[] = "/dev/net/tun";
	static char real[PATH_MAX];

	if (unshare(CLONE_NEWNS) < 0)
		box_fail(WIRE_STAGE_NAMESPACES, errno);
	box_must(mnt_private(), WIRE_STAGE_NETWORK);
	if (!realpath(program, real))
		box_fail(WIRE_STAGE_NETWORK, errno);
	_cleanup_close_ int root = box_must(
		mnt_new("tmpfs", size, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV), WIRE_STAGE_NETWORK);
	_cleanup_close_ int file = box_must(mnt_copy(AT_FDCWD, real, false), WIRE_STAGE_NETWORK);
	box_must(mnt_attach(root, AT_FDCWD, "/proc"), WIRE_STAGE_NETWORK);
	for (unsigned i = 0; i < ARRAY_SIZE(dirs); i++)
		box_must_call(mkdirat(root, dirs[i], 0755), WIRE_STAGE_NETWORK);
	for (unsigned i = 0; i < ARRAY_SIZE(folders); i++)
		put_folder(root, folders[i]);
	if (access(cache, R_OK) == 0)
		put_file(mnt_copy(AT_FDCWD, cache, false), root, cache + 1);
	put_file(mnt_copy(AT_FDCWD, tun, false), root, tun + 1);
	put_file(mnt_copy(netns, "", false), root, NETNS);
	put_file(TAKE_FD(file), root, PROGRAM);
	box_must_call(fchdir(root), WIRE_STAGE_NETWORK);
	box_must(mnt_pivot(), WIRE_STAGE_NETWORK);
}

/* ---- what runs in it ---- */

HSUP_NORETURN static void become(const struct box *b, int ready)
{
	static char ready_fd[12], network[sizeof "255.255.255.255/25"];
	uint32_t net = b->settings->subnet.address & UINT32_MAX << (32 - BITS);
	const char *const args[] = {
		PROGRAM,
		"--configure",
		"--mtu",
		"65520",
		"--cidr",
		network,
		"--disable-host-loopback",
		/* It would ask the machine's own resolver. */
		"--disable-dns",
		"--enable-seccomp",
		"--api-socket",
		"/" ORDERS,
		"--ready-fd",
		ready_fd,
		"--netns-type",
		"path",
		"/" NETNS,
		"eth0",
		NULL,
	};
	char *words[ARRAY_SIZE(args)], *const nothing[] = {NULL};

	(void)snprintf(ready_fd, sizeof ready_fd, "%d", ready);
	(void)snprintf(network, sizeof network, "%u.%u.%u.%u/%d", net >> 24, net >> 16 & 255,
		net >> 8 & 255, net & 255, BITS);
	/* What is sent to all of our group is not for it. */
	(void)setsid();
	box_must(fd_cloexec(ready, false), WIRE_STAGE_NETWORK);
	box_must(caps_pass_on(CAPS), WIRE_STAGE_NETWORK);
	memcpy(words, args, sizeof words);
	(void)execve("/" PROGRAM, words, nothing);
	box_fail(WIRE_STAGE_NETWORK, errno);
}

/* From 127.0.0.1:port of the machine to the dyno's. */
static void forward(unsigned port)
{
	static const struct sockaddr_un to = {.sun_family = AF_UNIX, .sun_path = "/" ORDERS};
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char text[200];

	box_must_call(fd, WIRE_STAGE_NETWORK);
	box_must_call(connect(fd, (const struct sockaddr *)&to, sizeof to), WIRE_STAGE_NETWORK);
	int len = snprintf(text, sizeof text,
		"{\"execute\":\"add_hostfwd\",\"arguments\":{\"proto\":\"tcp\","
		"\"host_addr\":\"127.0.0.1\",\"host_port\":%u,\"guest_port\":%u}}",
		port, port);
	box_must(fd_write_all(fd, text, (size_t)len), WIRE_STAGE_NETWORK);
	box_must_call(shutdown(fd, SHUT_WR), WIRE_STAGE_NETWORK);
	ssize_t got = fd_read_full(fd, text, sizeof text - 1);
	text[got > 0 ? got : 0] = '\0';
	if (!strstr(text, "\"return\""))
		box_fail(WIRE_STAGE_NETWORK, EADDRINUSE);
}

void slirp_run(const struct box *b, struct gate *gate)
{
	int netns = gate_wait(gate), ready[2];
	char byte;

	box_must_call(netns, WIRE_STAGE_NETWORK);
	pasta_hush(-1);
	enter_root(b->settings->passer, netns);
	box_must_call(pipe2(ready, O_CLOEXEC), WIRE_STAGE_NETWORK);
	pid_t pid = fork();
	if (pid < 0)
		box_fail(WIRE_STAGE_FORK, errno);
	if (pid == 0)
		become(b, ready[1]);
	ready[1] = fd_close(ready[1]);
	if (read(ready[0], &byte, 1) != 1)
		box_fail(WIRE_STAGE_NETWORK, ENONET);
	unsigned port = publish_port(b->spec);
	if (port)
		forward(port);
	_exit(0);
}
