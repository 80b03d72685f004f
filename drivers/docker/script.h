/* What a container's shell does before it becomes the dyno. Pure. */
#pragma once

#include "base/mem.h"

#include <stdbool.h>

#define SCRIPT_SIZE    1536
#define SCRIPT_SECRETS "/run/hsup" /* a tmpfs: DOCKER_SECRETS=file */
#define SCRIPT_MARK    "HSUP_CHECK"

/* With podman: its init tells only its child of a signal, and takes no wish from the environment.
 * That child is the same init once more, which is told to tell the whole process group. */
#define SCRIPT_GROUP                                                                               \
	"for hsup_i in /run/podman-init /dev/init; do\n"                                           \
	"[ ! -x \"$hsup_i\" ] || exec \"$hsup_i\" -g -- \"$@\"\n"                                  \
	"done\n"                                                                                   \
	"exec \"$@\""

/* umask: -1 = as it is. merged: RedirectStderr; an engine keeps no order between two streams.
 * secrets: its standard input begins with a number and as many lines, which are the config vars.
 * terminal: it waits until that has a size. "$@" is the command. */
void script_start(
	int umask, bool merged, bool secrets, bool terminal, char ret_script[SCRIPT_SIZE]);
/* Of a command beside it. */
void script_exec(int umask, char ret_script[SCRIPT_SIZE]);
/* Kills every process that has SCRIPT_MARK=mark in its environment; "" = whatever it is. */
void script_exec_kill(const char *mark, char ret_script[SCRIPT_SIZE]);
