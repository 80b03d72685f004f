/* What makes the daemon start with the machine. */
#pragma once

#include "base/str.h"
#include "cli/private.h"

#include <limits.h>

#define BOOT_MARK "Installed by 'hsup boot install', removed by 'hsup boot remove'"

enum boot_way {
	BOOT_SYSTEMD,
	BOOT_CRON_FILE, /* /etc/cron.d/hsup */
	BOOT_CRONTAB,	/* of the user, by crontab(1) */
};

#define BOOT_FILE_BYTES ((size_t)1 << 20)

struct boot {
	struct options *o;
	enum boot_way way;
	bool runs; /* systemd does, here and now */
	char path[PATH_MAX];
	struct strbuf text;
};

/* The unit, or the line of the crontab, for this program with the options that were given. */
int boot_text(enum boot_way way, const struct options *o, const char *program,
	struct strbuf *ret) HSUP_MUST_CHECK;

/* Runs a program found in PATH; input may be NULL, then it gets none; its standard output is
 * appended to *output when that is not NULL. Its exit code, 127 when there is none. */
int boot_run(const char *const *words, const char *input, struct strbuf *output);

/* Puts our line into the user's crontab, or takes it out; an exit code. */
int boot_change_crontab(struct boot *b, bool install);
