/* The control API: HTTP/1.1 on a Unix socket, and on loopback TCP when told to (docs/api.md).
 * main.c hands this to the supervisor. */
#pragma once

#include "supervisor/supervisor.h"

extern const struct control_ops control_api;
