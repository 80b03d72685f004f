/* The folder of the dynos' notify sockets: in the app's own runtime directory, each named after the
 * life that has it. */
#include "supervisor/private.h"

#include "base/fd.h"
#include "checks/checks.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define FOLDER "notify"
#define MODE   0711 /* others may reach a socket whose name they were given */

static int folder_path(const struct supervisor *s, char ret_path[PATH_MAX])
{
	int n = s->options->app_dir
			? snprintf(ret_path, PATH_MAX, "%s/" FOLDER, s->options->app_dir)
			: -1;

	return n > 0 && n < PATH_MAX ? n : -ENAMETOOLONG;
}

static int open_folder(struct supervisor *s, bool make)
{
	char path[PATH_MAX];
	int n = folder_path(s, path);

	if (s->notify_dir > 0 || n < 0)
		return n < 0 ? n : 0;
	if (make && mkdirat(AT_FDCWD, path, MODE) < 0 && errno != EEXIST)
		return -errno;
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	/* The umask may have taken something away. */
	(void)fchmod(fd, MODE);
	s->notify_dir = fd;
	return 0;
}

int checks_notify_path(struct supervisor *s, const struct life *l, struct err *err)
{
	char path[PATH_MAX];

	int r = folder_path(s, path);
	if (r < 0)
		return err_set(err, r, "notify socket: there is no runtime directory for it");
	int n = snprintf(s->notify_path, sizeof s->notify_path, "%s/%llu.%u", path,
		(unsigned long long)l->id, l->generation);
	if (n < 0 || (size_t)n >= sizeof s->notify_path)
		return err_set(err, -ENAMETOOLONG,
			"notify socket: %.200s/ is too long for a socket's path (%zu bytes in "
			"all); choose a shorter --runtime-dir",
			path, sizeof s->notify_path - 1);
	r = open_folder(s, true);
	return r < 0 ? err_errno(err, r, "notify socket: %.300s", path) : 0;
}

/* Whose is it? */
static bool is_alive(struct supervisor *s, const char *name)
{
	unsigned long long id;
	unsigned generation;
	char rest;

	if (sscanf(name, "%llu.%u%c", &id, &generation, &rest) != 2)
		return false;
	const struct life *l = life_find(s, id, generation);
	return l && !l->ended;
}

void checks_forget_notify(struct supervisor *s, const struct life *l)
{
	struct err err;

	if (checks_notify_path(s, l, &err) == 0)
		(void)unlinkat(s->notify_dir, strrchr(s->notify_path, '/') + 1, 0);
}

void checks_sweep(struct supervisor *s)
{
	if (open_folder(s, false) < 0)
		return;
	/* The descriptor that is read is closed with the stream. */
	int copy = fcntl(s->notify_dir, F_DUPFD_CLOEXEC, 3);
	DIR *dir = copy < 0 ? NULL : fdopendir(copy);
	if (!dir) {
		(void)fd_close(copy);
		return;
	}
	rewinddir(dir);
	for (const struct dirent *e; (e = readdir(dir));)
		if (e->d_name[0] != '.' && !is_alive(s, e->d_name))
			(void)unlinkat(s->notify_dir, e->d_name, 0);
	(void)closedir(dir);
}

void checks_close(struct supervisor *s)
{
	char path[PATH_MAX];

	s->checks = checks_free(s->checks);
	free(TAKE_PTR(s->commands));
	if (s->exit_code == SUPERVISOR_EXIT_DONE && s->notify_dir > 0) {
		checks_sweep(s);
		if (folder_path(s, path) > 0)
			(void)unlinkat(AT_FDCWD, path, AT_REMOVEDIR);
	}
	if (s->notify_dir > 0)
		s->notify_dir = fd_close(s->notify_dir);
}
