/* Whose a container is: a number of the control directory's own, with the place where it lies. The
 * number keeps two machines apart that share an engine; the place, a directory from its copy. */
#include "supervisor/private.h"

#include "base/fd.h"
#include "base/file.h"
#include "base/hash.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define NUMBER_LEN 16

static bool is_number(const char *text, size_t len)
{
	return len >= NUMBER_LEN && strspn(text, "0123456789abcdef") >= NUMBER_LEN;
}

/* Whole or not at all, and the first one wins: two that start at once agree. */
static int make_number(int dir)
{
	char text[NUMBER_LEN + 2], temporary[40];
	uint64_t number;

	if (getrandom(&number, sizeof number, 0) != sizeof number)
		return -EIO;
	(void)snprintf(text, sizeof text, "%016llx\n", (unsigned long long)number);
	(void)snprintf(temporary, sizeof temporary, "owner-%d", (int)getpid());
	int r = file_replace(dir, temporary, text, NUMBER_LEN + 1, 0600);
	if (r == 0 && linkat(dir, temporary, dir, "owner", 0) < 0 && errno != EEXIST)
		r = -errno;
	(void)unlinkat(dir, temporary, 0);
	return r;
}

static int read_number(int dir, char ret_number[NUMBER_LEN + 1])
{
	_cleanup_free_ char *text = NULL;
	size_t len;

	int r = file_read(dir, "owner", 100, &text, &len);
	if (r < 0)
		return r;
	if (!is_number(text, len))
		return -EBADMSG;
	(void)snprintf(ret_number, NUMBER_LEN + 1, "%s", text);
	return 0;
}

int owner_find(const char *control_dir, char ret_owner[OWNER_SIZE], struct err *err)
{
	char path[PATH_MAX], number[NUMBER_LEN + 1];
	_cleanup_free_ char *real = realpath(control_dir, NULL);

	if (!real)
		return err_errno(err, -errno, "%.300s", control_dir);
	if ((size_t)snprintf(path, sizeof path, "%s/.hsup", real) >= sizeof path)
		return err_errno(err, -ENAMETOOLONG, "%.300s", real);
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return err_errno(err, -errno, "%.300s", path);
	_cleanup_close_ int dir = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir < 0)
		return err_errno(err, -errno, "%.300s", path);
	int r = read_number(dir, number);
	if (r == -ENOENT) {
		r = make_number(dir);
		if (r == 0)
			r = read_number(dir, number);
	}
	if (r == -EBADMSG)
		return err_set(err, r, "%.300s/owner: holds no number: remove it", path);
	if (r < 0)
		return err_errno(err, r, "%.300s/owner", path);
	(void)snprintf(ret_owner, OWNER_SIZE, "%s%016llx", number,
		(unsigned long long)hash_str(HASH_INIT, real));
	return 0;
}
