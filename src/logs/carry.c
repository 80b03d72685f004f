#include "logs/carry_private.h"

#include "base/err.h"
#include "base/fd.h"
#include "base/parse.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define WANTED_PIPE (256 << 10) /* so that one look at a pipe, and one fill, pass at once */

struct carry *carry_new(void)
{
	struct carry *c = calloc(1, sizeof *c);

	if (!c)
		return NULL;
	c->h = c->o = c->null = -1;
	c->j = mmap(NULL, sizeof *c->j, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (c->j == MAP_FAILED) {
		free(c);
		return NULL;
	}
	return c;
}

static const char *map_journal(struct carry *c, int fd, bool *ret_new)
{
	struct stat st;

	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return "it is not a file";
	/* A hole would be a SIGBUS where the file system is full. */
	if (posix_fallocate(fd, 0, sizeof *c->j) != 0)
		return "there is no room for it";
	void *map = mmap(NULL, sizeof *c->j, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return "it cannot be mapped";
	(void)munmap(c->j, sizeof *c->j);
	c->j = map;
	*ret_new = st.st_size == 0;
	return NULL;
}

static bool own_pipe(int fd, uint64_t *ret_ino)
{
	struct stat st;

	if (fstat(fd, &st) < 0 || !S_ISFIFO(st.st_mode) ||
		(fcntl(fd, F_GETFL) & (O_ACCMODE | O_NONBLOCK)) != (O_RDWR | O_NONBLOCK))
		return false;
	/* May be refused to a user who has many. */
	if (fcntl(fd, F_GETPIPE_SZ) < WANTED_PIPE)
		(void)fcntl(fd, F_SETPIPE_SZ, WANTED_PIPE);
	*ret_ino = st.st_ino;
	return true;
}

struct carry *carry_open(const int fds[3])
{
	_cleanup_close_ int file = fds[0], h = fds[1], o = fds[2],
			    null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	struct carry *c = carry_new();
	uint64_t h_ino, o_ino;
	bool is_new;

	if (!c)
		return NULL;
	if (null < 0 || !own_pipe(h, &h_ino) || !own_pipe(o, &o_ino))
		c->refused = "there are no pipes for it";
	else
		c->refused = map_journal(c, file, &is_new);
	if (c->refused)
		return c;
	c->h = TAKE_FD(h);
	c->o = TAKE_FD(o);
	c->null = TAKE_FD(null);
	carry_recover(c, is_new, h_ino, o_ino);
	return c;
}

struct carry *carry_inherit(void)
{
	const char *text = getenv(CARRY_FD_ENV);
	unsigned first = 0;
	int fds[3] = {-1, -1, -1};

	if (!text)
		return carry_new();
	int r = parse_uint(text, INT_MAX - 2, &first);
	(void)unsetenv(CARRY_FD_ENV);
	for (int i = 0; i < 3 && r == 0; i++) {
		fds[i] = (int)first + i;
		r = fd_cloexec(fds[i], true);
	}
	return carry_open(fds);
}

struct carry *carry_free(struct carry *c)
{
	if (!c)
		return NULL;
	(void)munmap(c->j, sizeof *c->j);
	fd_close(c->h);
	fd_close(c->o);
	fd_close(c->null);
	free(c);
	return NULL;
}

bool carry_survives(const struct carry *c)
{
	return c->h >= 0;
}

const char *carry_refused(const struct carry *c)
{
	return c->refused;
}
