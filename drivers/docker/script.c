#include "drivers/docker/script.h"

#include "drivers/docker/attach.h"
#include "drivers/profile.h"

#include <stdio.h>

/* For any POSIX shell: the stack may have no bash. `read` of a shell takes no byte beyond its line,
 * so what follows is the dyno's. */
#define READ_SECRETS                                                                               \
	"hsup_m=$(umask); umask 077\n"                                                             \
	"IFS= read -r hsup_n || exit 126\n"                                                        \
	"while [ \"$hsup_n\" -gt 0 ]; do\n"                                                        \
	"IFS= read -r hsup_l || exit 126\n"                                                        \
	"printf '%s\\n' \"$hsup_l\"\n"                                                             \
	"hsup_n=$((hsup_n - 1))\n"                                                                 \
	"done >" SCRIPT_SECRETS "/env || exit 126\n"                                               \
	"umask \"$hsup_m\"\n"                                                                      \
	"unset hsup_m hsup_n hsup_l\n"

#define SOURCE_SECRETS "[ -r " SCRIPT_SECRETS "/env ] && . " SCRIPT_SECRETS "/env\n"

#define PROFILES "unset TINI_KILL_PROCESS_GROUP\n" PROFILE_SCRIPT

/* These are of the dyno itself. */
#define FORGET_LIFE "unset HEROKU_DYNO_ID NOTIFY_SOCKET WATCHDOG_USEC\n"

static void compose(int umask, const char *rest, char ret_script[SCRIPT_SIZE])
{
	char mask[24] = "";

	if (umask >= 0)
		(void)snprintf(mask, sizeof mask, "umask %03o\n", (unsigned)umask & 0777);
	(void)snprintf(ret_script, SCRIPT_SIZE, "%s%s", mask, rest);
}

void script_start(int umask, bool merged, bool secrets, bool terminal, char ret_script[SCRIPT_SIZE])
{
	char text[SCRIPT_SIZE - 24];

	(void)snprintf(text, sizeof text, "%s%s%s%s", merged ? "exec 2>&1\n" : "",
		secrets ? READ_SECRETS SOURCE_SECRETS : "", terminal ? ATTACH_SCRIPT : "",
		PROFILES);
	compose(umask, text, ret_script);
}

void script_exec(int umask, char ret_script[SCRIPT_SIZE])
{
	compose(umask, "exec </dev/null\n" FORGET_LIFE SOURCE_SECRETS PROFILES, ret_script);
}

void script_exec_kill(const char *mark, char ret_script[SCRIPT_SIZE])
{
	(void)snprintf(ret_script, SCRIPT_SIZE,
		"for p in /proc/[0-9]*; do\n"
		"tr '\\000' '\\n' <\"$p/environ\" 2>/dev/null | grep -q '^" SCRIPT_MARK
		"=%s' && kill -KILL \"${p#/proc/}\" 2>/dev/null\n"
		"done\n"
		"exit 0\n",
		mark);
}
