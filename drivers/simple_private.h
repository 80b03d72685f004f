/* What the files of the simple driver share. */
#pragma once

#include "drivers/account.h"
#include "drivers/child.h"
#include "drivers/driver.h"
#include "drivers/port_life.h"
#include "drivers/stdin_dir.h"
#include "wire/spec.h"

struct simple {
	struct driver_context *context;
	struct launch *launch;
	struct spec_builder spec;
	struct port_lives lives; /* which port belongs to which */
	struct account account;	 /* of the last User looked up */
	struct child_jobs jobs;	 /* commands */
	struct stdin_dir stdin_dir;
};

/* ---- simple_compose.c ---- */

/* The launch spec of a dyno: a sealed memfd. port 0: the operator's own stands. */
int simple_compose(struct simple *s, const struct driver_start *start, unsigned port,
	struct err *err) HSUP_MUST_CHECK;
/* Of a command beside it. */
int simple_compose_exec(struct simple *s, const struct driver_exec *exec, unsigned port,
	struct err *err) HSUP_MUST_CHECK;

/* ---- simple_exec.c ---- */

int simple_exec(void *state, const struct driver_exec *exec, struct err *err);
int simple_exec_kill(void *state, uint64_t id);
void simple_exec_ended(struct simple *s, struct launch_child c, const struct dyno_exit *exit);
/* One that an earlier supervisor has left. */
void simple_exec_found(struct simple *s, struct launch_entry *entry);
