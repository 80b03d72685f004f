#include "spawn/stages.h"

#include "base/caps.h"
#include "wire/box_settings.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define FIXED_ARGS  6 /* and before the settings */
#define NUMBER_SIZE 21
/* For a longer mark in place of the first. */
#define MARK_ROOM                                                                                  \
	"HSUP_ROOM=                                                                             "
_Static_assert(sizeof MARK_ROOM > BIRTH_MARK_SIZE, "any mark has room");
#define BOX_FD_ABOVE (BOX_FD_WARM + 1)

/* Where it ends. snprintf() is none of what a child may call. */
static char *put_number(char *at, uint64_t number)
{
	char digits[NUMBER_SIZE];
	size_t n = 0;

	do
		digits[n++] = (char)('0' + number % 10);
	while ((number /= 10) > 0);
	while (n > 0)
		*at++ = digits[--n];
	*at = '\0';
	return at;
}

/* "NUMBER:NUMBER" behind what is there. */
static void put_pair(char *text, uint64_t first, uint64_t second)
{
	char *end = put_number(text + strlen(text), first);

	*end = ':';
	(void)put_number(end + 1, second);
}

/* Each may be where another is to go: first all out of the way. */
static int place_descriptors(const struct birth *b)
{
	int spec = fcntl(b->spec, F_DUPFD_CLOEXEC, BOX_FD_ABOVE),
	    failures = fcntl(b->box.failures, F_DUPFD_CLOEXEC, BOX_FD_ABOVE),
	    end = b->box.end < 0 ? -1 : fcntl(b->box.end, F_DUPFD_CLOEXEC, BOX_FD_ABOVE),
	    warm = b->box.warm < 0 ? -1 : fcntl(b->box.warm, F_DUPFD_CLOEXEC, BOX_FD_ABOVE);

	if (b->box.warm >= 0 && (warm < 0 || dup2(warm, BOX_FD_WARM) < 0))
		return errno;
	if (spec < 0 || failures < 0 || dup2(spec, BOX_FD_SPEC) < 0 ||
		dup2(failures, BOX_FD_FAILURES) < 0)
		return errno;
	if (b->box.end >= 0 && (end < 0 || dup2(end, BOX_FD_END) < 0))
		return errno;
	return 0;
}

int birth_exec_box(const struct birth *b, char *mark)
{
	static char name[] = "hsup-box", owns[] = "--owns-output", warm[] = "--warm",
		    reserve[] = "--reserve", room[] = MARK_ROOM;
	char slot[8 + NUMBER_SIZE] = "--slot=", nofile[12 + 2 * NUMBER_SIZE] = "--nofile=",
		      ids[8 + 2 * NUMBER_SIZE] = "--ids=";
	bool rootless = b->box.first && !b->policy->change_user;
	char *args[FIXED_ARGS + BOX_SETTINGS + 1],
		*environment[] = {mark, b->box.warm >= 0 || b->box.reserve ? room : NULL, NULL};
	size_t n = 0;

	int error = place_descriptors(b);
	if (error == 0 && rootless)
		error = -caps_pass_on(CAPS_ALL);
	if (error)
		return error;
	(void)put_number(slot + strlen(slot), b->box.slot);
	put_pair(nofile, b->nofile.rlim_cur, b->nofile.rlim_max);
	put_pair(ids, b->policy->own_uid, b->policy->own_gid);
	args[n++] = name;
	if (b->owns_output)
		args[n++] = owns;
	if (b->box.warm >= 0)
		args[n++] = warm;
	args[n++] = b->box.reserve ? reserve : slot;
	args[n++] = nofile;
	/* In its user namespace, which has no map yet, there is no way to find out. */
	if (rootless)
		args[n++] = ids;
	for (unsigned i = 0; i < b->box.n_options; i++)
		args[n++] = b->box.options[i];
	args[n] = NULL;
	(void)execve(b->box.program, args, environment);
	return errno;
}
