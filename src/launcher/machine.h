/* The end of a launcher that is the init of a whole machine. */
#pragma once

/* Of a machine: that Ctrl-Alt-Del asks us, and does not restart it at once. */
void machine_begin(void);

/* Of a machine (and not of a container): ends what still runs, syncs, and powers the machine off,
 * or restarts it after Ctrl-Alt-Del (SIGINT); the kernel would panic if we just left. Else returns.
 */
void machine_end(int signo);
