#include "cli/operate.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

unsigned patience_of(const struct options *o)
{
	return o->timeout == OPTIONS_NO_TIMEOUT ? OPERATE_PATIENCE : o->timeout;
}

void progress_show(bool *shown, const char *fmt, ...)
{
	va_list ap;

	if (!isatty(STDERR_FILENO))
		return;
	va_start(ap, fmt);
	(void)fputs("\r\033[K", stderr);
	(void)vfprintf(stderr, fmt, ap);
	va_end(ap);
	(void)fflush(stderr);
	*shown = true;
}

void progress_clear(bool *shown)
{
	if (*shown)
		(void)fputs("\r\033[K", stderr);
	*shown = false;
}
