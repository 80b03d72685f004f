#include "base/fd.h"
#include "box/box.h"
#include "box/sweep.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Who is waited for has next to nothing left to do, but where many run he may not for long. */
#define WAIT_SECONDS 4
#define STEP_MS	     2

#define LAYERS_PATH (PATH_MAX + sizeof BOX_LAYERS + 1)

int claims_open(const struct box_settings *s)
{
	if (mkdir(s->run, 0755) < 0 && errno != EEXIST)
		return -errno;
	_cleanup_close_ int run = open(s->run, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
	if (run < 0 || (mkdirat(run, BOX_CLAIMS, 0700) < 0 && errno != EEXIST))
		return -errno;
	int fd = openat(run, BOX_CLAIMS, O_DIRECTORY | O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* The bytes `start` to `start` + `len` (0: to the end) of a file of that name, which is made. */
static int take(int dir, const char *name, off_t start, off_t len)
{
	struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = start, .l_len = len};
	struct stat st;

	for (;;) {
		_cleanup_close_ int fd =
			openat(dir, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
		if (fd < 0)
			return -errno;
		/* Of the open file, not of the process: it is inherited. */
		if (fcntl(fd, F_OFD_SETLK, &l) < 0)
			return errno == EAGAIN || errno == EACCES ? -EBUSY : -errno;
		if (fstat(fd, &st) < 0)
			return -errno;
		/* Else it was swept between the two. */
		if (st.st_nlink > 0)
			return TAKE_FD(fd);
	}
}

int claims_look(int claims, const char *name)
{
	int fd = claims < 0 ? -1 : openat(claims, name, O_RDWR | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? -ENOENT : fd;
}

bool claim_is_free(int claim)
{
	struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	return claim < 0 || (fcntl(claim, F_OFD_GETLK, &whole) == 0 && whole.l_type == F_UNLCK);
}

int claims_take(int claims, const char *name)
{
	return take(claims, name, 0, 0);
}

static void path_of(const struct box_settings *s, char ret_path[LAYERS_PATH])
{
	(void)snprintf(ret_path, LAYERS_PATH, "%s/" BOX_LAYERS, s->state);
}

/* Which byte is the name's (FNV-1a). Two that share one are never alive together: among so many
 * nobody has seen that. */
static off_t byte_of(const char *name)
{
	uint64_t hash = UINT64_C(14695981039346656037);

	for (; *name; name++)
		hash = (hash ^ (unsigned char)*name) * UINT64_C(1099511628211);
	return (off_t)(hash >> 2);
}

int layer_lock(const struct box_settings *s, const char *name)
{
	char path[LAYERS_PATH];

	if (!s->state[0])
		return -ENOENT;
	path_of(s, path);
	int r = take(AT_FDCWD, path, byte_of(name), 1);
	/* Some servers of files know no locks. */
	return r == -ENOLCK || r == -EOPNOTSUPP ? -ENOENT : r;
}

bool layer_is_locked(const struct box_settings *s, const char *name)
{
	struct flock l = {
		.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = byte_of(name), .l_len = 1};
	char path[LAYERS_PATH];

	path_of(s, path);
	_cleanup_close_ int fd = open(path, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	return fd >= 0 && fcntl(fd, F_OFD_GETLK, &l) == 0 && l.l_type != F_UNLCK;
}

void layers_unlock_all(int state)
{
	_cleanup_close_ int fd = take(state, BOX_LAYERS, 0, 0);

	if (fd >= 0)
		(void)unlinkat(state, BOX_LAYERS, 0);
}

static int claim_once(struct box *b)
{
	_cleanup_close_ int claims = claims_open(b->settings);
	_cleanup_close_ int claim = claims < 0 ? claims : claims_take(claims, b->spec->box_name);

	if (claim < 0)
		return claim;
	int lock = layer_lock(b->settings, b->spec->box_name);
	/* Who makes the layer says that there is no place for it. */
	if (lock < 0 && lock != -ENOENT)
		return lock;
	b->layer_lock = lock < 0 ? -1 : lock;
	b->claim = TAKE_FD(claim);
	return 0;
}

bool box_wait(struct box *b)
{
	static const struct timespec step = {.tv_nsec = STEP_MS * 1000000};
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	if (b->waits_until == 0)
		b->waits_until = now.tv_sec + WAIT_SECONDS;
	if (now.tv_sec >= b->waits_until)
		return false;
	(void)nanosleep(&step, NULL);
	return true;
}

int box_claim(struct box *b)
{
	int r;

	/* A sweep that has seen our file before it was locked takes it for one that was left; or it
	 * has just removed the folder. */
	do
		r = claim_once(b);
	while ((r == -EBUSY || r == -ENOENT) && box_wait(b));
	return r;
}
