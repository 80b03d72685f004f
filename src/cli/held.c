#include "cli/held.h"

#include "base/fd.h"
#include "base/file.h"
#include "base/parse.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/file.h>

bool control_dir_holder(const char *control_dir, pid_t *ret_pid)
{
	char path[PATH_MAX];
	_cleanup_free_ char *text = NULL;
	size_t len;
	unsigned pid = 0;

	if ((size_t)snprintf(path, sizeof path, "%s/.hsup/lock", control_dir) >= sizeof path)
		return false;
	_cleanup_close_ int lock = open(path, O_RDONLY | O_NOFOLLOW | O_NOCTTY | O_CLOEXEC);
	if (lock < 0 || flock(lock, LOCK_SH | LOCK_NB) == 0 || errno != EWOULDBLOCK)
		return false;
	if (file_read_fd(lock, 64, &text, &len) == 0) {
		text[strcspn(text, "\n")] = '\0';
		if (parse_uint(text, INT_MAX, &pid) < 0)
			pid = 0;
	}
	*ret_pid = (pid_t)pid;
	return true;
}
