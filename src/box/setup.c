#include "base/fd.h"
#include "box/box.h"
#include "box/nft.h"
#include "box/sweep.h"
#include "wire/box_presence.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define FORWARD "/proc/sys/net/ipv4/ip_forward"
#define PORTS	"/proc/sys/net/ipv4/ip_local_port_range"

/* With all folders above it. */
static int make_folders(const char *path)
{
	char text[PATH_MAX];

	(void)snprintf(text, sizeof text, "%s", path);
	for (char *p = text + 1; (p = strchr(p, '/')); *p++ = '/') {
		*p = '\0';
		if (mkdir(text, 0755) < 0 && errno != EEXIST)
			return -errno;
	}
	return mkdir(text, 0755) < 0 && errno != EEXIST ? -errno : 0;
}

static int make_file(int dir, const char *name, mode_t mode)
{
	_cleanup_close_ int fd = openat(dir, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, mode);

	if (fd < 0)
		return -errno;
	return fchmod(fd, mode) < 0 ? -errno : 0;
}

static int setup_run_folder(const char *path, struct err *err)
{
	int r = make_folders(path);

	_cleanup_close_ int dir = open(path, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
	if (r == 0 && dir < 0)
		r = -errno;
	/* Who has a lock of the uids decides which are free: nobody else's matter. */
	if (r == 0)
		r = make_file(dir, BOX_UIDS, 0600);
	if (r == 0)
		r = make_file(dir, BOX_PRESENT, 0644);
	return r < 0 ? err_errno(err, r, "cannot make %s", path) : 0;
}

static int setup_state(const char *path, struct err *err)
{
	int r = path[0] ? make_folders(path) : -EINVAL;

	_cleanup_close_ int dir = r < 0 ? -1 : open(path, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
	if (r == 0 && (dir < 0 || (mkdirat(dir, BOX_CLAIMS, 0700) < 0 && errno != EEXIST)))
		r = -errno;
	if (r < 0)
		return err_errno(err, r,
			"cannot make the folder of the dynos' files, HSUP_BOX_STATE=%s", path);
	return 0;
}

/* Without it no packet of a dyno leaves the machine. In a container it may be for others to set. */
static int setup_forwarding(struct err *err)
{
	_cleanup_close_ int fd = open(FORWARD, O_RDONLY | O_CLOEXEC);
	char now = '1';

	if (fd < 0 || read(fd, &now, 1) < 0)
		return err_errno(err, -errno, "cannot read " FORWARD);
	if (now != '0')
		return 0;
	_cleanup_close_ int set = open(FORWARD, O_WRONLY | O_CLOEXEC);
	if (set < 0 || write(set, "1", 1) < 0)
		return err_errno(err, -errno, "cannot set " FORWARD);
	(void)dprintf(STDERR_FILENO,
		"hsup-box: note: " FORWARD " was 0 and is 1 now: dynos' packets are forwarded\n");
	return 0;
}

int setup_ensure(const struct box_settings *s)
{
	struct err err;

	if (s->network != SPEC_BOX_NET_OWN || nft_stands(s))
		return 0;
	return nft_make(s, &err);
}

/* What would be surprising, and is no error. */
static void note_overlaps(const struct box_settings *s)
{
	char text[40];
	unsigned min, max;

	_cleanup_close_ int fd = s->publish.min ? open(PORTS, O_RDONLY | O_CLOEXEC) : -1;
	ssize_t got = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
	text[got < 0 ? 0 : got] = '\0';
	if (sscanf(text, "%u %u", &min, &max) == 2 && s->publish.min <= max &&
		s->publish.max >= min)
		(void)dprintf(STDERR_FILENO,
			"hsup-box: note: ports of HSUP_BOX_PUBLISH=%u-%u are of those that "
			"programs "
			"of this machine are given, " PORTS
			" (%u to %u): see ip_local_reserved_ports\n",
			s->publish.min, s->publish.max, min, max);
	if (s->extra_parent[0] && !s->extra_last && box_uids(s) > 1)
		(void)dprintf(STDERR_FILENO, "hsup-box: note: LIBCONTAINER_DYNO_EXTRA_INTERFACE "
					     "gives every dyno the same "
					     "address; FIRST-LAST/BITS would give each its own\n");
}

static void note_macvlan(const struct box_settings *s)
{
	_cleanup_close_ int fd = s->extra_parent[0] ? link_open() : -1;

	if (fd >= 0 && !link_has_ipvlan(fd))
		(void)dprintf(STDERR_FILENO, "hsup-box: note: this kernel has no ipvlan: "
					     "eth1 of dynos is a macvlan\n");
}

static int setup(const struct box_settings *s, struct err *err)
{
	if (geteuid() != 0)
		return err_set(err, -EPERM, "native dynos are set up by root");
	int r = setup_run_folder(s->run, err);
	if (r == 0)
		r = setup_state(s->state, err);
	if (r < 0 || s->network != SPEC_BOX_NET_OWN)
		return r;
	note_overlaps(s);
	note_macvlan(s);
	r = setup_forwarding(err);
	return r < 0 ? r : nft_make(s, err);
}

int setup_run(const struct box_settings *s)
{
	struct err err;

	if (setup(s, &err) == 0)
		return 0;
	(void)dprintf(STDERR_FILENO, "hsup-box: %s\n", err.text);
	return 1;
}

int setup_undo(const struct box_settings *s)
{
	char path[PATH_MAX + sizeof BOX_PRESENT + 1];
	struct err err;

	(void)snprintf(path, sizeof path, "%s/" BOX_PRESENT, s->run);
	if (geteuid() != 0 || access(path, F_OK) < 0)
		return 0;
	/* That nobody is being born is seen by this folder being empty. */
	_cleanup_close_ int claims = claims_open(s);
	int r = claims < 0 ? claims : sweep_setup(s);
	if (r == 0)
		return 0;
	(void)err_errno(&err, r, "what was set up for native dynos is not removed");
	(void)dprintf(STDERR_FILENO, "hsup-box: %s\n", err.text);
	return 1;
}
