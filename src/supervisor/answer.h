/* A sign of life: whoever connects to a socket in the runtime directory gets one line from the
 * loop, and the end. Nothing is read. `hsup up` asks there whether a daemon that runs is well. */
#pragma once

#include "base/err.h"

#include <systemd/sd-event.h>

struct answer;

/* Listens on folder/hsup.sock, in the place of any that is there. `say` writes the line, without a
 * newline. */
int answer_open(sd_event *loop, const char *folder,
	void (*say)(void *userdata, char *ret_line, size_t size), void *userdata,
	struct answer **ret_answer, struct err *err) HSUP_MUST_CHECK;
struct answer *answer_close(struct answer *a); /* NULL is fine */
