/* What the files of the simple driver share. */
#pragma once

#include "drivers/abspath_root.h"
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
	struct abspath_root *root; /* of the driver abspath; NULL: the simple one */
};

/* ---- simple.c: what the driver abspath does in the same way ---- */

int simple_open(struct driver_context *context, void **ret_state, struct err *err);
int simple_start(void *state, const struct driver_start *start, struct err *err);
int simple_signal(void *state, uint64_t id, uint32_t generation, int signo);
int simple_retag(void *state, uint64_t id, uint32_t generation, const void *tag, size_t tag_len);
int simple_release(void *state, uint64_t id, uint32_t generation);
int simple_adopt(void *state);
bool simple_address(
	void *state, uint64_t id, uint32_t generation, struct driver_address *ret_address);
int simple_open_stdin(void *state, uint64_t id, uint32_t generation);
void simple_close(void *state);

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
