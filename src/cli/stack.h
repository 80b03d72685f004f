/* `hsup stack`: what its files share. */
#pragma once

#include "cli/private.h"
#include "io/stack_dir.h"
#include "model/stack.h"

#include <limits.h>

struct stacks {
	const struct options *options;
	const struct stack_helper *helper;
	char path[PATH_MAX]; /* the folder of the stacks */
	int fd;		     /* of it; -1 = it is not there */
	int locks;	     /* of .locks in it; -1 = they are not ours, or cannot be had */
};

/* Each is a word behind `stack`, with the operands behind that. An exit code. */
int stack_add(struct stacks *s, int n, char **operands);
int stack_show(struct stacks *s, int n, char **operands);
int stack_remove(struct stacks *s, int n, char **operands);
int stack_verify(struct stacks *s, int n, char **operands);

/* Opens the folder: made when `make` and it is not there. Then removes what an interrupted add has
 * left, if we may. 0, or negative errno and err. */
int stacks_open(struct stacks *s, bool make, struct err *err) HSUP_MUST_CHECK;
void stacks_done(struct stacks *s);

/* A stack's folder, for reading; or negative errno. */
int stacks_enter(const struct stacks *s, const char *folder) HSUP_MUST_CHECK;

/* What lies in its manifest; NULL: it has none, or it is damaged. The caller's. */
struct json_t *stack_manifest(const struct stacks *s, const struct stack_entry *entry);

/* ---- stack_users.c ---- */
/* Who has it as his root: "web.1, pid 1234", one a line; "" = nobody that can be seen, and then
 * nobody comes before stack_hold_done(). 0 or negative errno. */
struct strbuf;
struct stack_hold {
	int lock, folder; /* -1 = none */
};
int stack_users(const struct stacks *s, const char *folder, struct strbuf *ret_users,
	struct stack_hold *ret_hold) HSUP_MUST_CHECK;
void stack_hold_done(struct stack_hold *h);

/* ---- stack_lock.c ---- */
/* The folder of the locks, made when it is missing; or negative errno. */
int stack_locks_open(const struct stacks *s) HSUP_MUST_CHECK;
/* That of a stack, made when it is missing, and not taken; or negative errno. */
int stack_lock_open(const struct stacks *s, const char *folder) HSUP_MUST_CHECK;
/* Takes it alone. -EBUSY: a box has it; *ret_fd is it then, too. */
int stack_lock_take(const struct stacks *s, const char *folder, int *ret_fd) HSUP_MUST_CHECK;
