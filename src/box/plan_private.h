#pragma once

#include "box/plan.h"

struct planning {
	const struct spec *spec;
	const struct plan_facts *facts;
	struct plan *plan;
	enum wire_stage stage; /* of the steps that come */
	int error;	       /* the first; 0 = none */
	const char *targets[SPEC_BOX_BINDS];
};

struct plan_step *plan_add(struct planning *p, enum plan_type type, const char *target);
void plan_mount(struct planning *p, enum plan_type type, const char *target, uint64_t attributes);

/* plan_bind.c: what binds need in the skeleton; and the binds. */
void plan_bind_targets(struct planning *p);
void plan_binds(struct planning *p);
