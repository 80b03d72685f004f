/* What the shell of a container reads before it becomes the dyno. Pure. */
#pragma once

#include "base/mem.h"

/* For any POSIX shell: the stack may have no bash. "$@" is the command. */
#define PROFILE_SCRIPT                                                                             \
	"for hsup_f in /etc/profile.d/*.sh /app/.profile.d/*.sh /app/.profile; do\n"               \
	"[ -s \"$hsup_f\" ] && [ -r \"$hsup_f\" ] && . \"$hsup_f\"\n"                              \
	"done\n"                                                                                   \
	"unset hsup_f\n"                                                                           \
	"exec \"$@\"\n"

#define PROFILE_SH   "/bin/sh"
#define PROFILE_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* A shell's own settings (Debian's bash.bashrc) come after its environment: what is to be seen is
 * set behind them, once. */
#define PROFILE_PROMPT	      "(dyno console) \\w $ "
#define PROFILE_PROMPT_SETTER "PS1='" PROFILE_PROMPT "'; unset PROMPT_COMMAND"

/* The whole command, a word at a time: the shell with a script that ends as PROFILE_SCRIPT does,
 * and as its "$@" the args; a single one is a line for the shell. name: the script's $0. */
struct profile_sink {
	void (*add)(void *userdata, const char *word);
	void *userdata;
};
void profile_command(const struct profile_sink *sink, const char *shell, const char *script,
	const char *name, char *const *args, size_t n_args);

/* The dyno's working directory: Directory, relative to the slug's. 0 or -ENAMETOOLONG. */
int profile_directory(const char *own, char ret_path[4096]) HSUP_MUST_CHECK;
