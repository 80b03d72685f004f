#include "base/log.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

static const char *program_name = "hsup";
static enum log_level max_level = LOG_LEVEL_INFO;
static log_sink_fn current_sink;
static void *sink_data;

void log_open(const char *program, enum log_level max)
{
	program_name = program;
	max_level = max;
}

void log_set_sink(log_sink_fn sink, void *userdata)
{
	current_sink = sink;
	sink_data = userdata;
}

void log_write(enum log_level level, const char *fmt, ...)
{
	char line[1024];
	int saved = errno;
	va_list ap;

	if (level > max_level)
		return;

	size_t at = 0;
	if (!current_sink)
		at = (size_t)snprintf(line, sizeof line, "%.40s: ", program_name);
	va_start(ap, fmt);
	int n = vsnprintf(line + at, sizeof line - at - 1, fmt, ap);
	va_end(ap);
	if (n >= 0) {
		at += (size_t)n < sizeof line - at - 1 ? (size_t)n : sizeof line - at - 2;
		if (current_sink) {
			current_sink(level, line, sink_data);
		} else {
			line[at++] = '\n';
			ssize_t ignored = write(STDERR_FILENO, line, at);
			(void)ignored;
		}
	}
	errno = saved;
}
