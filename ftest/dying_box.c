/* In place of hsup-box, which it executes: a box that is parked is told to die after the step whose
 * number is in the file DIE, if it is there; a line in DIED says that it was. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define OPTION "HSUP_BOX_DIE_AFTER="

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
	int fd = parked ? open(DIE, O_RDONLY | O_CLOEXEC) : -1;
	if (fd >= 0 && read(fd, option + strlen(OPTION), 10) > 0) {
		int died = open(DIED, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
		if (died < 0 || dprintf(died, "%s\n", option) < 0)
			return 98;
		(void)close(died);
		args[argc] = option;
	}
	if (fd >= 0)
		(void)close(fd);
	(void)execv(BOX, args);
	return 99;
}
