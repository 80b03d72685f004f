/* `hsup boot`: the daemon starts with the machine. */
#include "cli/boot.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define UNIT "hsup.service"

static const enum option_id takes[] = {
	OPT_USER_UNIT, OPT_ROOT, OPT_DIR, OPT_CONFIG, OPT_STATE_DIR, OPT_RUNTIME_DIR, OPT_LOG, 0};

static bool exists(const char *root, const char *path)
{
	char whole[PATH_MAX];

	(void)snprintf(whole, sizeof whole, "%s%s", root ? root : "", path);
	return access(whole, F_OK) == 0;
}

static int find_path(struct boot *b)
{
	const char *root = b->o->root ? b->o->root : "";
	const char *config = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
	int n = 0;

	if (b->way == BOOT_CRON_FILE)
		n = snprintf(b->path, sizeof b->path, "%s/etc/cron.d/hsup", root);
	else if (b->way == BOOT_SYSTEMD && !b->o->user)
		n = snprintf(b->path, sizeof b->path, "%s/etc/systemd/system/" UNIT, root);
	else if (b->way == BOOT_SYSTEMD && config && config[0] == '/')
		n = snprintf(b->path, sizeof b->path, "%s%s/systemd/user/" UNIT, root, config);
	else if (b->way == BOOT_SYSTEMD && home && home[0] == '/')
		n = snprintf(
			b->path, sizeof b->path, "%s%s/.config/systemd/user/" UNIT, root, home);
	else if (b->way == BOOT_SYSTEMD)
		return command_error(&command_boot, "HOME is not set: whose systemd is not known");
	return (size_t)n < sizeof b->path
		       ? EXIT_OK
		       : command_error(&command_boot, "%s: %s", root, err_name(ENAMETOOLONG));
}

static int prepare(struct boot *b)
{
	char program[PATH_MAX];
	const char *root = b->o->root;

	if (geteuid() != 0 && !root)
		b->o->user = true;
	bool installed = exists(root, "/run/systemd/system") ||
			 exists(root, "/usr/lib/systemd/systemd") ||
			 exists(root, "/lib/systemd/systemd");
	b->way = installed ? BOOT_SYSTEMD : b->o->user ? BOOT_CRONTAB : BOOT_CRON_FILE;
	b->runs = !root && exists(NULL, "/run/systemd/system");
	ssize_t n = readlink("/proc/self/exe", program, sizeof program - 1);
	if (n < 0)
		return command_error(&command_boot, "/proc/self/exe: %s", err_name(errno));
	program[n] = '\0';
	int r = boot_text(b->way, b->o, program, &b->text);
	return r < 0 ? command_error(&command_boot, "%s", err_name(r)) : find_path(b);
}

/* ---- a file ---- */

/* EXIT_OK and its text, NULL = it is not there; or another exit code after saying that it is not
 * ours. */
static int read_ours(const struct boot *b, char **ret_text)
{
	_cleanup_free_ char *text = NULL;
	size_t len;
	int r = file_read(AT_FDCWD, b->path, BOOT_FILE_BYTES, &text, &len);

	*ret_text = NULL;
	if (r == -ENOENT)
		return EXIT_OK;
	if (r < 0)
		return command_error(&command_boot, "%s: %s", b->path, err_name(r));
	if (!strstr(text, BOOT_MARK))
		return command_error(&command_boot,
			"%s was not installed by 'hsup boot': it is left alone", b->path);
	*ret_text = TAKE_PTR(text);
	return EXIT_OK;
}

static int systemctl(const struct boot *b, const char *verb, const char *unit)
{
	const char *words[6] = {"systemctl"};
	size_t n = 1;

	if (b->o->user)
		words[n++] = "--user";
	words[n++] = verb;
	if (unit)
		words[n++] = unit;
	int code = boot_run(words, NULL, NULL);
	if (code != 0)
		return command_error(&command_boot, "systemctl %s%s%s: exit code %d", verb,
			unit ? " " : "", unit ? unit : "", code);
	return EXIT_OK;
}

static void say_next(const struct boot *b)
{
	const char *user = b->o->user ? " --user" : "";

	if (b->way == BOOT_CRON_FILE)
		(void)printf("it starts when the machine does; 'hsup up' starts it now\n");
	else if (b->runs)
		(void)printf("next: systemctl%s start hsup\n", user);
	else
		(void)printf("next: systemctl%s daemon-reload && systemctl%s enable --now hsup\n",
			user, user);
	if (b->way == BOOT_SYSTEMD && b->o->user)
		(void)printf("to run without a login: loginctl enable-linger\n");
}

static int install_file(struct boot *b)
{
	_cleanup_free_ char *there = NULL, *folder = strdup(b->path);
	struct err err;

	int code = read_ours(b, &there);
	if (code != EXIT_OK)
		return code;
	const char *wanted = b->text.data ? b->text.data : "";
	if (there && strcmp(there, wanted) == 0) {
		(void)printf("%s is installed already\n", b->path);
	} else {
		char *slash = folder ? strrchr(folder, '/') : NULL;
		if (!slash)
			return command_error(&command_boot, "out of memory");
		*slash = '\0';
		if (path_make(folder, 0755, &err) < 0)
			return command_error(&command_boot, "%s", err.text);
		int r = file_replace(AT_FDCWD, b->path, wanted, b->text.len, 0644);
		if (r < 0)
			return command_error(&command_boot, "%s: %s", b->path, err_name(r));
		(void)printf("installed %s\n", b->path);
	}
	if (b->way == BOOT_SYSTEMD && b->runs) {
		code = systemctl(b, "daemon-reload", NULL);
		if (code == EXIT_OK)
			code = systemctl(b, "enable", UNIT);
	}
	if (code == EXIT_OK)
		say_next(b);
	return code;
}

static int remove_file(struct boot *b)
{
	_cleanup_free_ char *there = NULL;
	int code = read_ours(b, &there);

	if (code != EXIT_OK)
		return code;
	if (!there) {
		(void)printf("%s is not installed\n", b->path);
		return EXIT_OK;
	}
	if (b->way == BOOT_SYSTEMD && b->runs)
		code = systemctl(b, "disable", UNIT);
	if (unlink(b->path) < 0)
		return command_error(&command_boot, "%s: %s", b->path, err_name(errno));
	(void)printf("removed %s; a daemon that runs is not stopped\n", b->path);
	if (b->way == BOOT_SYSTEMD && b->runs && code == EXIT_OK)
		code = systemctl(b, "daemon-reload", NULL);
	return code;
}

static int act(struct boot *b, const char *verb)
{
	bool install = strcmp(verb, "install") == 0;

	if (!install && strcmp(verb, "remove") != 0 && strcmp(verb, "show") != 0)
		return usage_error(&command_boot, "takes install, remove or show, not '%s'", verb);
	int code = prepare(b);
	if (code != EXIT_OK)
		return code;
	if (strcmp(verb, "show") == 0) {
		(void)fputs(b->text.data, stdout);
		return EXIT_OK;
	}
	if (b->way == BOOT_CRONTAB)
		return boot_change_crontab(b, install);
	return install ? install_file(b) : remove_file(b);
}

static int run(struct options *o, int n_operands, char **operands)
{
	struct boot b = {.o = o, .text = STRBUF(BOOT_FILE_BYTES)};

	if (n_operands != 1)
		return usage_error(&command_boot, "takes one of install, remove, show");
	int code = act(&b, operands[0]);
	strbuf_done(&b.text);
	return code;
}

const struct command command_boot = {
	.name = "boot",
	.operands = "install|remove|show",
	.summary = "start the daemon with the machine",
	.help = "Installs a systemd unit, of the machine or with --user of this user, or where "
		"there\n"
		"is no systemd a line of cron, that runs `hsup up` with the options given here.\n"
		"Removes only what it has installed; show prints it.\n"
		"\n"
		"Examples:\n"
		"  hsup boot install\n"
		"  hsup boot show --user --dir ~/apps\n",
	.options = takes,
	.run = run,
};
