#include "base/parse.h"

#include "base/mem.h"

#include <errno.h>
#include <signal.h>
#include <strings.h>

int parse_u64(const char *text, uint64_t max, uint64_t *ret_value)
{
	uint64_t value = 0;

	if (!text || !*text)
		return -EINVAL;
	for (const char *p = text; *p; p++) {
		if (*p < '0' || *p > '9')
			return -EINVAL;
		unsigned digit = (unsigned)(*p - '0');
		if (value > (UINT64_MAX - digit) / 10)
			return -ERANGE;
		value = value * 10 + digit;
	}
	if (value > max)
		return -ERANGE;
	*ret_value = value;
	return 0;
}

int parse_uint(const char *text, unsigned max, unsigned *ret_value)
{
	uint64_t value;
	int r = parse_u64(text, max, &value);

	if (r == 0)
		*ret_value = (unsigned)value;
	return r;
}

static const char signals[][8] = {
	[0] = "?",
	[SIGHUP] = "HUP",
	[SIGINT] = "INT",
	[SIGQUIT] = "QUIT",
	[SIGILL] = "ILL",
	[SIGTRAP] = "TRAP",
	[SIGABRT] = "ABRT",
	[SIGBUS] = "BUS",
	[SIGFPE] = "FPE",
	[SIGKILL] = "KILL",
	[SIGUSR1] = "USR1",
	[SIGSEGV] = "SEGV",
	[SIGUSR2] = "USR2",
	[SIGPIPE] = "PIPE",
	[SIGALRM] = "ALRM",
	[SIGTERM] = "TERM",
	[SIGSTKFLT] = "STKFLT",
	[SIGCHLD] = "CHLD",
	[SIGCONT] = "CONT",
	[SIGSTOP] = "STOP",
	[SIGTSTP] = "TSTP",
	[SIGTTIN] = "TTIN",
	[SIGTTOU] = "TTOU",
	[SIGURG] = "URG",
	[SIGXCPU] = "XCPU",
	[SIGXFSZ] = "XFSZ",
	[SIGVTALRM] = "VTALRM",
	[SIGPROF] = "PROF",
	[SIGWINCH] = "WINCH",
	[SIGIO] = "IO",
	[SIGPWR] = "PWR",
	[SIGSYS] = "SYS",
};

int parse_signal(const char *text)
{
	unsigned number;

	if (parse_uint(text, 64, &number) == 0)
		return number > 0 ? (int)number : -EINVAL;
	if (!text)
		return -EINVAL;
	if (strncasecmp(text, "SIG", 3) == 0)
		text += 3;
	for (int s = 1; s < (int)ARRAY_SIZE(signals); s++)
		if (strcasecmp(signals[s], text) == 0)
			return s;
	return -EINVAL;
}

const char *signal_name(int signo)
{
	return signo > 0 && signo < (int)ARRAY_SIZE(signals) ? signals[signo] : "?";
}
