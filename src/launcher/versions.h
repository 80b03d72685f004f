/* Which program to start: the newest that is installed. */
#pragma once

#include <limits.h>
#include <stdbool.h>

#define VERSION_MAX 64 /* bytes of a version's name, its NUL included */

/* The folder below `dir` with the greatest version as its name ("1.10.0" is above "1.9.2"; only
 * numbers and dots are one) that holds a program `name` which can be executed. Passed over: the one
 * named `except` ("" = none). False when there is none, or dir is NULL. */
bool versions_newest(const char *dir, const char *name, const char *except, char ret_path[PATH_MAX],
	char ret_version[VERSION_MAX]);
