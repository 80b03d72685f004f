/* What native dynos need before the launcher starts: what the operator has settled for them, the
 * folders, and a machine that was made ready. For hsup while it is still root (or whoever it will
 * be all the time), just before it becomes the launcher. */
#pragma once

#include "model/options.h"
#include "wire/box_settings.h"

#include <stdbool.h>

struct boxes {
	char *args[1 + BOX_SETTINGS]; /* for the launcher: --box and its options; owned */
	unsigned n_args;
};

/* Does what is started with these options need hsup-box? */
bool boxes_wanted(const struct options *o);

/* What is not settled by the environment is, from now on. 0 or negative errno. */
int boxes_settle(const struct options *o, struct err *err) HSUP_MUST_CHECK;

/* program: hsup-box. What is not settled by the environment is, from now on: the supervisor finds
 * there what the launcher was told; o->network is settled against the environment. Makes the
 * folders, and runs `hsup-box --setup`. 0; or -1: it has been said why not. *ret_boxes is
 * boxes_done()'s either way. */
int boxes_prepare(
	const struct options *o, const char *program, struct boxes *ret_boxes) HSUP_MUST_CHECK;
void boxes_done(struct boxes *b);
