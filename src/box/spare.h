/* Layers that are made ahead: a disk takes half a millisecond and more to make the folders of one,
 * and a few microseconds to give one another name. They lie in STATE/spares, named by a number, of
 * root, and are new: what a dyno has had is never another's. */
#pragma once

#include "base/mem.h"

#include <stdbool.h>

/* What a layer is made of. */
#define LAYER_MODE  0711
#define LAYER_WORK  "work" /* the kernel's own, where there is an overlay */
#define LAYER_UPPER "upper"
#define LAYER_TMP   "tmp"

/* A folder of ours in `dir`, that nobody else writes to: O_PATH. -EPERM: it is not. */
int spare_open_ours(int dir, const char *name) HSUP_MUST_CHECK;
/* Makes what of a layer is not there yet; `work`: there will be an overlay. */
int spare_make_parts(int layer, bool work) HSUP_MUST_CHECK;
/* Gives one the name `name` in `boxes`; any will do, hint says which to try first. -ENOENT: there
 * is none; -EEXIST: the name is taken. */
int spare_take(int state, int boxes, const char *name, unsigned hint) HSUP_MUST_CHECK;
/* Makes as many as there may be, unless somebody else is just doing so. What fails is not made. */
void spare_fill(const char *state);
/* All go: nobody is left who may take one. */
void spare_remove(int state);
