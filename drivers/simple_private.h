/* What the files of the simple driver share. */
#pragma once

#include "drivers/account.h"
#include "drivers/driver.h"
#include "drivers/port_life.h"
#include "wire/spec.h"

struct simple {
	struct driver_context *context;
	struct launch *launch;
	struct spec_builder spec;
	struct port_lives lives; /* which port belongs to which */
	struct account account;	 /* of the last User looked up */
	uint64_t first_exec; /* added to the ids of commands: above all that were given before */
	int null;	     /* /dev/null, once a command has run; -1 = not yet */
	bool has_stdin;	     /* the directory of the dynos' standard inputs is there */
};

/* ---- simple_compose.c ---- */

/* The launch spec of a dyno: a sealed memfd. port 0: the operator's own stands. */
int simple_compose(struct simple *s, const struct driver_start *start, unsigned port,
	struct err *err) HSUP_MUST_CHECK;
/* Of a command beside it. */
int simple_compose_exec(struct simple *s, const struct driver_exec *exec, unsigned port,
	struct err *err) HSUP_MUST_CHECK;

/* ---- simple_exec.c ---- */

/* Whether a child of the launcher is a command, not a dyno. */
bool simple_is_exec(uint64_t id);
int simple_exec(void *state, const struct driver_exec *exec, struct err *err);
int simple_exec_kill(void *state, uint64_t id);
void simple_exec_ended(struct simple *s, struct launch_child c, const struct dyno_exit *exit);
/* One that an earlier supervisor has left. */
void simple_exec_found(struct simple *s, struct launch_entry *entry);

/* ---- simple_stdin.c ---- */

/* Makes the standard input of this life, and opens it for its process: the caller's. */
int simple_stdin_make(struct simple *s, uint64_t id, uint32_t generation) HSUP_MUST_CHECK;
/* The life has ended: nobody reads it any more. */
void simple_stdin_remove(struct simple *s, uint64_t id, uint32_t generation);
int simple_open_stdin(void *state, uint64_t id, uint32_t generation);
void simple_stdin_begin(struct simple *s);
void simple_stdin_end(struct simple *s);
