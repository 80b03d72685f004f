/* Engines with a bug on purpose: the simulator must find each. */
#pragma once

#include "world.h"

struct mutant {
	const char *name;
	enum dyno_state state;
	enum dyno_event event;
	struct dyno_cell cell;
	const char *what;
	unsigned lost; /* enum lost: then no cell is changed */
	enum bug bug;  /* the same */
};

const struct mutant *mutant_find(const char *name); /* NULL = there is none */
const struct mutant *mutant_at(size_t index);	    /* NULL behind the last */

/* The real grid with this one cell changed. */
void mutant_grid(const struct mutant *m, dyno_grid *ret_grid);
