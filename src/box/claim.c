#include "base/fd.h"
#include "box/sweep.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define WAIT_MS 100
#define STEP_MS 2

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

int claims_take(int claims, const char *name)
{
	struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	struct stat st;

	for (;;) {
		_cleanup_close_ int fd =
			openat(claims, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
		if (fd < 0)
			return -errno;
		/* Of the open file, not of the process: it is inherited. */
		if (fcntl(fd, F_OFD_SETLK, &whole) < 0)
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

int box_claim(const struct box_settings *s, const char *name)
{
	const struct timespec step = {.tv_nsec = STEP_MS * 1000000};
	int waited = 0, r;

	for (;;) {
		_cleanup_close_ int claims = claims_open(s);
		r = claims < 0 ? claims : claims_take(claims, name);
		/* A sweep that has seen our file before it was locked takes it for one that was
		 * left; or it has just removed the folder. */
		if ((r != -EBUSY && r != -ENOENT) || waited >= WAIT_MS)
			return r;
		(void)nanosleep(&step, NULL);
		waited += STEP_MS;
	}
}
