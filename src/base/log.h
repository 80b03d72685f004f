/* A program's own voice. Programs set it up once; libraries below the supervisor do not log above
 * debug: they return (STYLE: a function logs or returns, not both).
 *
 * The default target is standard error: "hsup-launcher: text". */
#pragma once

#include "base/mem.h"

#include <stdarg.h>

enum log_level {
	LOG_LEVEL_ERROR,
	LOG_LEVEL_WARNING,
	LOG_LEVEL_INFO,
	LOG_LEVEL_DEBUG,
};

/* Receives one formatted line without newline. */
typedef void (*log_sink_fn)(enum log_level level, const char *line, void *userdata);

void log_open(const char *program, enum log_level max);
void log_set_sink(log_sink_fn sink, void *userdata); /* NULL: back to standard error */

void log_write(enum log_level level, const char *fmt, ...) HSUP_PRINTF(2, 3);

#define log_error(...)	 log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_write(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...)	 log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)	 log_write(LOG_LEVEL_DEBUG, __VA_ARGS__)
