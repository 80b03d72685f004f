/* What found*.c share. */
#pragma once

#include "launcher/found.h"
#include "launcher/procs.h"

struct search {
	const char *mark;
	int32_t group; /* 0 = any */
	bool init;     /* none but the first of a pid namespace */
	struct proc found;
};

/* A number of a group that has died out may be another's: the mark decides. */
bool found_member(const struct proc *p, const struct search *s);

/* Opens the pipes of its output again, by whoever of the dyno still has them. */
void found_output(struct launcher *l, struct child *c);
