#include "cli/boot.h"

#include <pwd.h>

/* A word as systemd reads it: in double quotes, where \ and " are escaped, % and $ doubled. */
static void add_unit_word(struct strbuf *b, const char *word)
{
	(void)strbuf_puts(b, "\"");
	for (; *word; word++) {
		if (*word == '\\' || *word == '"')
			(void)strbuf_puts(b, "\\");
		if (*word == '%' || *word == '$')
			(void)strbuf_add(b, word, 1);
		(void)strbuf_add(b, word, 1);
	}
	(void)strbuf_puts(b, "\"");
}

/* A word as cron and then its shell read it: in single quotes, % escaped, which ends a line. */
static void add_cron_word(struct strbuf *b, const char *word)
{
	(void)strbuf_puts(b, "'");
	for (; *word; word++) {
		if (*word == '\'')
			(void)strbuf_puts(b, "'\\''");
		else if (*word == '%')
			(void)strbuf_puts(b, "'\\%'");
		else
			(void)strbuf_add(b, word, 1);
	}
	(void)strbuf_puts(b, "'");
}

static void add_command(
	struct strbuf *b, enum boot_way way, const struct options *o, const char *program)
{
	void (*add)(struct strbuf *, const char *) =
		way == BOOT_SYSTEMD ? add_unit_word : add_cron_word;
	const struct {
		enum option_id id;
		const char *value;
	} given[] = {
		{OPT_DIR, o->apps_dir},
		{OPT_CONFIG, o->config},
		{OPT_STATE_DIR, o->state_dir},
		{OPT_RUNTIME_DIR, o->runtime_dir},
		{OPT_LOG, o->log ? o->log : o->log_file},
		/* What parses and listens is not root, once there is somebody else for it to be. */
		{OPT_USER, !o->user && getpwnam("hsup") ? "hsup" : NULL},
	};

	add(b, program);
	(void)strbuf_puts(b, way == BOOT_SYSTEMD ? " up --foreground" : " up");
	for (size_t i = 0; i < ARRAY_SIZE(given); i++) {
		if (!given[i].value)
			continue;
		(void)strbuf_printf(b, " --%s ", option_by_id(given[i].id)->name);
		add(b, given[i].value);
	}
}

static void add_unit(struct strbuf *b, const struct options *o, const char *program)
{
	(void)strbuf_puts(b, "# " BOOT_MARK ".\n"
			     "[Unit]\n"
			     "Description=hsup: apps from their releases\n"
			     "Documentation=man:hsup(1)\n");
	if (!o->user)
		(void)strbuf_puts(b, "Wants=network-online.target\n"
				     "After=network-online.target\n");
	(void)strbuf_puts(b, "\n"
			     "[Service]\n"
			     "Type=notify\n"
			     "# The supervisor speaks, a child of the main process.\n"
			     "NotifyAccess=all\n"
			     "ExecStart=");
	add_command(b, BOOT_SYSTEMD, o, program);
	(void)strbuf_puts(b,
		"\n"
		"ExecReload=/bin/kill -HUP $MAINPID\n"
		"# A stop is hsup's own, in order; dynos outlive a launcher that was killed.\n"
		"KillMode=process\n"
		"TimeoutStopSec=5min\n"
		"Restart=on-failure\n"
		"RestartSec=1\n"
		"# One dyno that is out of memory is not the end of all.\n"
		"OOMPolicy=continue\n"
		"Delegate=yes\n"
		"TasksMax=infinity\n"
		"\n"
		"[Install]\n");
	(void)strbuf_printf(b, "WantedBy=%s\n", o->user ? "default.target" : "multi-user.target");
}

int boot_text(enum boot_way way, const struct options *o, const char *program, struct strbuf *ret)
{
	if (way == BOOT_SYSTEMD) {
		add_unit(ret, o, program);
		return ret->error;
	}
	if (way == BOOT_CRON_FILE)
		(void)strbuf_puts(ret, "# " BOOT_MARK ".\n@reboot root ");
	else
		(void)strbuf_puts(ret, "@reboot ");
	add_command(ret, way, o, program);
	(void)strbuf_puts(ret, way == BOOT_CRONTAB ? " # " BOOT_MARK "\n" : "\n");
	return ret->error;
}
