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

/* What `stage` is when the process that hsup-box has started has ended: `error` is its status, as
 * waitpid() gives it. A signal that ended it could not be told by hsup-box's own exit: init of a
 * pid namespace cannot die of one it sends itself. */
#define BOX_ENDED 0x656e64u

/* Descriptors that hsup-box is executed with, besides 0, 1 and 2, which are the dyno's. */
#define BOX_FD_SPEC	3 /* the sealed memfd, checked here */
#define BOX_FD_FAILURES 4 /* memfd of struct birth_failure[]; its own is that of --slot */
#define BOX_FD_END	5 /* of an init: a pipe for one struct box_end; not every launcher has one */

/* Init of a pid namespace tells it when nothing of the dyno runs any more and nothing that the next
 * life needs is held: what the kernel has yet to tear down before init can be reaped, nobody waits
 * for. In its failure slot is what it would find there after a reap. */
struct box_end {
	int32_t status; /* as waitpid() would give it of init */
	uint32_t zero;
	uint64_t user_usec, system_usec, max_rss_kb; /* of init and of all it has waited for */
};
#define BOX_FD_WARM 6 /* with --warm: the launcher's, of a box that is parked */

/* What becomes of a spec with a box. */
struct birth_box {
	const char *program;  /* hsup-box */
	char *const *options; /* "NAME=VALUE", for it to understand */
	unsigned n_options;   /* at most BOX_SETTINGS */
	int failures;	      /* the memfd that `failure` is in, there the slot-th */
	int end;	      /* where init tells its end; -1: the reap tells it */
	unsigned slot;
	bool first;	 /* the child is the first of a pid namespace */
	bool foreground; /* our group has our terminal: a `first` child cannot see that */
	int parent;	 /* a pidfd of `parent`, whose number means nothing to a `first` child */
	int warm;	 /* it is parked, and waits here for its order; -1 = it is not */
	bool reserve;	 /* `spec` is a socket, by which that comes, and all that it is to be */
};

#define BIRTH_MARK_SIZE 80

/* What a parked box gets by BOX_FD_WARM, a SOCK_SEQPACKET: a packet of WIRE_SPAWN_WARM with this as
 * its body, and with the spec, standard input, output and error. Before that it has sent one byte:
 * it is ready. At the end of file, or by any signal, it ends. A reserve does the same by
 * BOX_FD_SPEC, with a WIRE_SPAWN_BOX. */
struct birth_warm {
	char mark[BIRTH_MARK_SIZE]; /* from now on; what is behind its end is zero */
	uint32_t owns_output;	    /* 1: as in struct birth */
	uint32_t slot;		    /* of a reserve: its place among the failures */
};

/* All descriptors are close-on-exec and above 2; the child's own 0, 1 and 2 are replaced. */

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
	struct birth_box box;
};

/* In the child: expects every signal blocked and every disposition default. The dyno's program is
 * executed with none blocked, hsup-box with all: init of a pid namespace would lose what comes
 * before it has said that it wants it. */
HSUP_NORETURN void stages_run(const struct birth *b);

/* The same, for a reserve: of `b`, mark, failure, owns_output and slot are not looked at. */
HSUP_NORETURN void stages_run_reserve(const struct birth *b);

/* Its last stage for a spec with a box: executes hsup-box with what it needs and `mark` as its only
 * variable. Returns only to say why not: a positive errno. */
int birth_exec_box(const struct birth *b, char *mark) HSUP_MUST_CHECK;
