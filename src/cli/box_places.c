/* The folders of native dynos: for who makes them, and for who shows them. */
#include "cli/cli.h"

#include "base/str.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* One for all hsups of a machine: the lock of the uids is there. */
#define LOCKS_OF_ROOT "/run/hsup"

const struct cli_box_place cli_box_places[BOX_PLACES] = {
	[BOX_PLACE_NATIVE] = {"native", "HSUP_BOX_STATE"},
	[BOX_PLACE_STACKS] = {"stacks", "HSUP_BOX_STACKS"},
	[BOX_PLACE_LOCKS] = {"locks", "HSUP_BOX_RUN"},
};

/* The launcher and hsup-box, who read it too, have other working directories. */
static int check_settled(const char *variable, const char *value, struct err *err)
{
	char shown[120];

	if (value[0] == '/')
		return 0;
	return err_set(err, -EINVAL, "%s: '%s' is not an absolute path", variable,
		str_printable(value, strlen(value), shown, sizeof shown));
}

int cli_box_place(const struct options *o, enum box_place which, char ret_path[PATH_MAX],
	const char **ret_why, struct err *err)
{
	const struct cli_box_place *f = &cli_box_places[which];
	const char *value = getenv(f->variable), *below = "";

	*ret_why = f->variable;
	if (value && *value) {
		int r = check_settled(f->variable, value, err);
		if (r < 0)
			return r;
	} else if (which != BOX_PLACE_LOCKS) {
		value = o->state_dir;
		below = f->name;
		*ret_why = "in the state directory";
	} else if (geteuid() == 0) {
		value = LOCKS_OF_ROOT;
		*ret_why = "of root";
	} else {
		value = o->runtime_dir;
		*ret_why = "the runtime directory";
	}
	int n = snprintf(ret_path, PATH_MAX, "%s%s%s", value, *below ? "/" : "", below);
	return n < PATH_MAX ? 0 : err_errno(err, -ENAMETOOLONG, "%s", f->variable);
}
