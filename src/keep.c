#include "keep.h"

#include "cli/cli.h"
#include "config.h"

#include "base/fd.h"
#include "base/log.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static void add(struct keep *k, const char *arg)
{
	k->args[k->n_args++] = arg;
}

/* One table for what is kept by one launcher: a control directory, or a folder of them. A `run` is
 * of its terminal, and nobody's to be found again. */
static void add_table(const struct options *o, uid_t uid, gid_t gid, struct keep *k)
{
	struct err err;

	if (o->mode != MODE_START && o->mode != MODE_UP)
		return;
	if (cli_make_app_dir(o, uid, gid, &err) < 0) {
		log_warning("%s; nobody can ask how its dynos are, and if hsup-launcher is killed, "
			    "nobody will find them",
			err.text);
		return;
	}
	int n = snprintf(k->table, sizeof k->table, "--table=%s.table", o->app_dir);
	if (n > 0 && (size_t)n < sizeof k->table)
		add(k, k->table);
}

/* Installed, the newest version is taken; in a build tree, what was built. */
static void add_versions(bool beside, struct keep *k)
{
	const char *given = getenv("HSUP_LIBEXEC_DIR");
	const char *folder = given && *given ? given : HSUP_LIBEXEC_DIR;
	char self[PATH_MAX];
	ssize_t len = readlink("/proc/self/exe", self, sizeof self - 1);

	self[len > 0 ? len : 0] = '\0';
	if (beside && !(given && *given) && strncmp(self, folder, strlen(folder)) != 0)
		return;
	int n = snprintf(k->versions, sizeof k->versions, "--versions=%s", folder);
	if (n > 0 && (size_t)n < sizeof k->versions)
		add(k, k->versions);
}

/* What hangs up is a terminal: then hsup ends with it, as all that was started there. */
static bool has_terminal(void)
{
	_cleanup_close_ int fd = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);

	return fd >= 0;
}

void keep_options(const struct options *o, uid_t uid, gid_t gid, bool beside, struct keep *k)
{
	*k = (struct keep){0};
	if (o->verbose)
		add(k, "--verbose");
	(void)snprintf(k->watchdog, sizeof k->watchdog, "--watchdog=%u", o->watchdog);
	add(k, k->watchdog);
	if (o->die_with_launcher)
		add(k, "--die-with-launcher");
	if (o->mode == MODE_RUN || o->mode == MODE_BUILD || has_terminal())
		add(k, "--hup-stops");
	add_table(o, uid, gid, k);
	add_versions(beside, k);
}
