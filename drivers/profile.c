#include "drivers/profile.h"

#include <errno.h>
#include <stdio.h>

/* What follows is given to the shell that is there. */
static void find_shell(const struct profile_sink *sink)
{
	sink->add(sink->userdata, PROFILE_SH);
	sink->add(sink->userdata, "-c");
	sink->add(sink->userdata,
		"[ ! -x /bin/bash ] || exec /bin/bash -c \"$@\"\nexec " PROFILE_SH " -c \"$@\"");
	sink->add(sink->userdata, PROFILE_SH);
}

static void add_shell(const struct profile_sink *sink, const char *shell)
{
	if (!shell) {
		find_shell(sink);
		return;
	}
	sink->add(sink->userdata, shell);
	sink->add(sink->userdata, "-c");
}

void profile_command(const struct profile_sink *sink, const char *shell, const char *script,
	const char *name, char *const *args, size_t n_args)
{
	add_shell(sink, shell);
	sink->add(sink->userdata, script);
	sink->add(sink->userdata, name);
	if (n_args == 1)
		add_shell(sink, shell);
	for (size_t i = 0; i < n_args; i++)
		sink->add(sink->userdata, args[i]);
}

int profile_directory(const char *own, char ret_path[4096])
{
	int n = own && own[0] == '/'
			? snprintf(ret_path, 4096, "%s", own)
			: snprintf(ret_path, 4096, "/app%s%s", own ? "/" : "", own ? own : "");

	return n < 4096 ? 0 : -ENAMETOOLONG;
}
