/* What the forked child does before it becomes the dyno's program: stage by stage, with
 * async-signal-safe calls only, without allocating. */
#pragma once

#include "spawn/policy.h"

#include <sys/resource.h>

/* Why a child never became the program. In memory shared with the parent, one per child, all zero
 * before the fork. */
struct birth_failure {
	uint32_t stage; /* enum wire_stage; 0 = it did become the program */
	int32_t error;	/* positive errno */
};

/* All descriptors are close-on-exec and above 2; the child's own 0, 1 and 2 are replaced. */
#define BIRTH_MARK_SIZE 80

struct birth {
	const struct policy *policy;
	struct birth_failure *failure;
	int spec; /* the memfd; whether it is sealed is checked here */
	int stdio[3];
	bool owns_output; /* stdio[1] and [2] are pipes made for this child: they become its user's
			   */
	/* A variable "NAME=value" for its environment, by which its process is known again. */
	char mark[BIRTH_MARK_SIZE];
	pid_t parent;	      /* when that dies, so does the child; 0: it lives on */
	struct rlimit nofile; /* what the launcher itself was started with */
};

/* In the child: expects every signal blocked and every disposition default. */
HSUP_NORETURN void stages_run(const struct birth *b);
