/* Tells who started us, systemd or `hsup up`, how we are, by sd_notify(3). Where nobody asked (no
 * NOTIFY_SOCKET) all of this does nothing. A watchdog that was asked for is fed by the loop itself.
 *
 * We are not the process that was started, that is our parent, the launcher: systemd hears us with
 * NotifyAccess=all only. */
#pragma once

#include "base/err.h"

#include <systemd/sd-event.h>

void notify_begin(sd_event *loop);
void notify_ready(const char *status);
void notify_status(const char *status);
void notify_reloading(void);
void notify_stopping(void);
/* It is the end: why. */
void notify_failed(const struct err *err);
