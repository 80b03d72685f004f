#include "supervisor/notify.h"

#include "base/clock.h"
#include "base/parse.h"

#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

void notify_begin(sd_event *loop)
{
	const char *of = getenv("WATCHDOG_PID");
	unsigned pid;

	/* Meant for the process that was started: it has become our parent, and cannot speak. */
	if (of && parse_uint(of, INT_MAX, &pid) == 0 && (pid_t)pid == getppid())
		(void)unsetenv("WATCHDOG_PID");
	(void)sd_event_set_watchdog(loop, true);
}

void notify_ready(const char *status)
{
	(void)sd_notifyf(0, "READY=1\nSTATUS=%s", status);
}

void notify_status(const char *status)
{
	(void)sd_notifyf(0, "STATUS=%s", status);
}

void notify_reloading(void)
{
	(void)sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%llu\nSTATUS=the supervisor starts again",
		(unsigned long long)(clock_now() / NSEC_PER_USEC));
}

void notify_stopping(void)
{
	(void)sd_notify(0, "STOPPING=1\nSTATUS=stopping");
}

void notify_failed(const struct err *err)
{
	(void)sd_notifyf(0, "STATUS=%s\nERRNO=%d", err->text, -err->code);
}
