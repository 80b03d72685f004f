#include "launcher/machine.h"

#include "base/err.h"
#include "base/log.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* /proc/self/ns/pid of the first pid namespace: PROC_PID_INIT_INO of linux/proc_ns.h. */
#define FIRST_PID_NAMESPACE 0xEFFFFFFCU

#define ENDS_WITHIN 20 /* tenths of a second, from TERM to KILL */

static void end_the_rest(void)
{
	const struct timespec tenth = {.tv_nsec = 100000000};

	(void)kill(-1, SIGTERM);
	for (int i = 0; i < ENDS_WITHIN; i++) {
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
		if (waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD)
			return;
		(void)nanosleep(&tenth, NULL);
	}
	(void)kill(-1, SIGKILL);
}

static bool is_machine(void)
{
	struct stat st;

	return getpid() == 1 && stat("/proc/self/ns/pid", &st) == 0 &&
	       st.st_ino == FIRST_PID_NAMESPACE;
}

void machine_begin(void)
{
	if (is_machine() && reboot(RB_DISABLE_CAD) < 0)
		log_warning("Ctrl-Alt-Del restarts the machine at once: %s", err_name(errno));
}

void machine_end(int signo)
{
	if (!is_machine())
		return;
	end_the_rest();
	sync();
	log_info("%s the machine", signo == SIGINT ? "restarting" : "powering off");
	(void)reboot(signo == SIGINT ? RB_AUTOBOOT : RB_POWER_OFF);
	log_error("the machine goes on: %s", err_name(errno));
}
