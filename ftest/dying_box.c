/* In place of hsup-box, real/hsup-box beside it, which it executes: a box that is parked is told to die after
 * the step whose number is in the file `die` there, if there is one; a line in `died` says that it was. */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define OPTION "HSUP_BOX_DIE_AFTER="

static char place[PATH_MAX];

static const char *beside(const char *name)
{
	static char path[PATH_MAX + 16];

	(void)snprintf(path, sizeof path, "%s/%s", place, name);
	return path;
}

int main(int argc, char **argv)
{
	static char option[64] = OPTION;
	char *args[argc + 2];
	int parked = 0;

	for (int i = 0; i < argc; i++) {
		args[i] = argv[i];
		parked |= strcmp(argv[i], "--warm") == 0;
	}
	args[argc] = args[argc + 1] = NULL;
	if (readlink("/proc/self/exe", place, sizeof place - 1) < 0)
		return 97;
	*strrchr(place, '/') = '\0';
	int fd = parked ? open(beside("die"), O_RDONLY | O_CLOEXEC) : -1;
	if (fd >= 0 && read(fd, option + strlen(OPTION), 10) > 0) {
		int died = open(beside("died"), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
		if (died < 0 || dprintf(died, "%s\n", option) < 0)
			return 98;
		(void)close(died);
		args[argc] = option;
	}
	if (fd >= 0)
		(void)close(fd);
	(void)execv(beside("real/hsup-box"), args);
	return 99;
}
