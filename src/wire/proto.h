/* The wire between the supervisor and the launcher: the privilege seam.
 *
 * SOCK_SEQPACKET, one message a packet, a fixed header, descriptors by SCM_RIGHTS. Both are
 * programs of one build on one machine: integers are in host order, structs have no padding that
 * matters (checked below). Numbers are never reused; a retired one keeps its line. The receiver
 * checks the length, then every value's range; a malformed message costs its sender the
 * connection, never the launcher its life.
 *
 * A child is named by (id, generation): `id` is the dyno's, unique in time; `generation` counts
 * its lives, from 1. The launcher keeps one entry per child from spawn until the exit was
 * acknowledged.
 *
 * A body marked [] below is 1..WIRE_RECORDS structs, and nothing else: to stop a hundred dynos is
 * four packets there and four back, not two hundred. */
#pragma once

#include "base/limits.h"

#include <stdint.h>
#include <sys/resource.h>

#define WIRE_MAGIC   UINT32_C(0x68737570) /* "hsup" */
#define WIRE_VERSION 1

/* Of one packet; the largest record times this is well below LIMIT_PACKET. */
#define WIRE_RECORDS 32

/* The supervisor finds the socket here (a number, from the environment). */
#define WIRE_FD_ENV "HSUP_LAUNCHER_FD"

/* Exit codes of the supervisor (DESIGN 5). Anything else, or a signal: a crash. */
#define SUPERVISOR_EXIT_DONE	0  /* all is stopped: leave, with the code of WIRE_LEAVE */
#define SUPERVISOR_EXIT_STOP	84 /* stop everything, do not restart */
#define SUPERVISOR_EXIT_RESTART 85 /* start me again now, dynos untouched */
#define SUPERVISOR_EXIT_FATAL	86 /* cannot go on; do not restart */

enum wire_type {
	WIRE_HELLO = 1,	  /* S->L first message, L->S answer: struct wire_hello */
	WIRE_SPAWN = 2,	  /* S->L struct wire_spawn; fds: spec memfd [, stdin [, stdout, stderr]] */
	WIRE_SPAWNED = 3, /* L->S struct wire_spawned; fds: stdout, stderr read ends (piped) */
	WIRE_FAILED = 4,  /* L->S struct wire_failed: the child never became the program */
	WIRE_SIGNAL = 5,  /* S->L struct wire_signal[]: to the child's whole group; no answer */
	WIRE_LEFT = 6,	  /* L->S struct wire_child: the leader is gone, others of its group live */
	WIRE_EXITED = 7,  /* L->S struct wire_exited[]: nothing of the child's group is left */
	WIRE_LIST = 8,	  /* S->L header only; answer: WIRE_ENTRY each, then WIRE_LIST_END */
	WIRE_ENTRY = 9,	  /* L->S struct wire_entry; fds as WIRE_SPAWNED. Exits follow as EXITED */
	WIRE_LIST_END = 10, /* L->S header only */
	WIRE_ACK = 11,	    /* S->L struct wire_child[]: exit (or failure) seen; forget the child */
	WIRE_PING = 12,	    /* L->S header only */
	WIRE_PONG = 13,	    /* S->L header only */
	WIRE_SHUTDOWN = 14, /* L->S struct wire_shutdown: the launcher was told to end */
	WIRE_LEAVE = 15,    /* S->L struct wire_leave: before exit 0: the launcher's exit code */
	WIRE_UPGRADE = 16,  /* S->L header only: replace yourself in place; no answer */
	WIRE_RESTART = 17,  /* L->S header only: exit with SUPERVISOR_EXIT_RESTART, dynos run on */
	WIRE_TAG = 18,	    /* S->L struct wire_tag: the child's tag is another from now on */
	WIRE_KEEP = 19, /* S->L struct wire_spawn (output PIPES, or MERGED: one descriptor); fds:
			 * stdout [, stderr] read ends. A child that somebody else runs: kept
			 * and listed until it is acknowledged; no answer: what cannot be kept
			 * (its id is there already, no pipe, no room) is logged */
	WIRE_SPAWN_BOX = 20,  /* S->L as WIRE_SPAWN: the child is the first of a pid namespace, and
			       * becomes hsup-box: it is init of a dyno. Its exit tells how the
			       * dyno's own process ended */
	WIRE_PARK = 21,	      /* S->L as WIRE_SPAWN_BOX (output GIVEN), for a spec of SPEC_BOX_PARK:
			       * the box is made, and waits to be somebody's */
	WIRE_SPAWN_WARM = 22, /* S->L struct wire_spawn_warm; fds as WIRE_SPAWN: the child that was
			       * parked is this one from now on: it has its name, and its pid, and
			       * becomes its program. WIRE_FAILED with WIRE_STAGE_WARM, before it
			       * was spawned: there was none to be had, and nothing has happened */
	WIRE_TYPE_MAX,
};

struct wire_header {
	uint32_t magic;
	uint16_t version;
	uint16_t type;	   /* enum wire_type */
	uint32_t sequence; /* counts this sender's messages, from 1; an answer is not tied to it */
	uint32_t length;   /* of the whole packet, this header included */
};

/* What a launcher can that older ones of the same version could not: a supervisor asks it for
 * nothing else, so that either may be the older one. */
#define WIRE_CAN_STDIO 1u  /* WIRE_OUTPUT_MERGED; a standard input for a child with pipes */
#define WIRE_CAN_NPROC 2u  /* the spec's limit of processes */
#define WIRE_CAN_KEEP  4u  /* WIRE_KEEP, WIRE_ENTRY_KEPT */
#define WIRE_CAN_BOX   8u  /* WIRE_SPAWN_BOX and specs with a box: it was told of an hsup-box */
#define WIRE_CAN_WARM  16u /* WIRE_PARK, WIRE_SPAWN_WARM */

struct wire_hello {
	uint32_t wire_version; /* WIRE_VERSION of the sender */
	uint32_t pid;	       /* sender's */
	uint32_t children;     /* L->S: entries it holds; S->L: 0 */
	uint32_t can;	       /* L->S: WIRE_CAN_ or-ed; S->L: 0 */
};

struct wire_child {
	uint64_t id;	     /* never 0 */
	uint32_t generation; /* never 0 */
	uint32_t reserved;
};

enum wire_output {
	WIRE_OUTPUT_PIPES = 0, /* the launcher makes pipes and keeps and hands out the read ends */
	WIRE_OUTPUT_GIVEN = 1, /* the packet carries stdin, stdout and stderr behind the spec */
	WIRE_OUTPUT_MERGED =
		2, /* as PIPES, but one pipe for both. It is told of with two descriptors, because
		    * older supervisors expect as many; the second leads nowhere */
	WIRE_OUTPUT_MAX,
};

struct wire_spawn {
	struct wire_child child;
	uint16_t output;      /* enum wire_output */
	uint16_t name_length; /* 1..LIMIT_NAME */
	uint32_t tag_length;  /* 0..LIMIT_TAG */

	/* then the name, then the tag, without terminators */
};

struct wire_spawn_warm {
	struct wire_spawn spawn;
	struct wire_child parked; /* of a WIRE_PARK */

	/* then the name, then the tag */
};

struct wire_spawned {
	struct wire_child child;
	int32_t pid;
	uint32_t output;     /* enum wire_output */
	uint64_t start_time; /* field 22 of /proc/PID/stat: clock ticks after boot; 0 = unknown */
};

/* What a child was about to do when it could not go on. The texts are in spec.h. */
enum wire_stage {
	WIRE_STAGE_REFUSED = 1, /* by the launcher before the fork: limits, duplicate id */
	WIRE_STAGE_FORK = 2,
	WIRE_STAGE_SPEC = 3,   /* the spec is malformed */
	WIRE_STAGE_POLICY = 4, /* the spec asks for what the policy forbids */
	WIRE_STAGE_SESSION = 5,
	WIRE_STAGE_OUTPUT = 6,
	WIRE_STAGE_TERMINAL = 7,
	WIRE_STAGE_LIMITS = 8,
	WIRE_STAGE_GROUPS = 9,
	WIRE_STAGE_USER = 10,
	WIRE_STAGE_DIRECTORY = 11,
	WIRE_STAGE_EXEC = 12,
	/* Of hsup-box. */
	WIRE_STAGE_BOX = 13, /* starting it, or its own settings */
	WIRE_STAGE_UID = 14, /* taking a uid of its range */
	WIRE_STAGE_CGROUP = 15,
	WIRE_STAGE_NAMESPACES = 16,
	WIRE_STAGE_STACK = 17, /* the root that is shown */
	WIRE_STAGE_APP = 18,   /* the slug and the layer above it */
	WIRE_STAGE_MOUNTS = 19,
	WIRE_STAGE_BINDS = 20,
	WIRE_STAGE_PIVOT = 21,
	WIRE_STAGE_NETWORK = 22,
	WIRE_STAGE_SANDBOX = 23, /* capabilities, seccomp */
	WIRE_STAGE_SWEEP = 24,
	WIRE_STAGE_WARM = 25, /* taking, or being, a parked box */
	WIRE_STAGE_MAX,
};

struct wire_failed {
	struct wire_child child;
	uint32_t stage; /* enum wire_stage */
	int32_t error;	/* positive errno */
};

struct wire_signal {
	struct wire_child child;
	int32_t signo; /* 1..64 */
	uint32_t reserved;
};

/* Of a child whose parent the launcher is not: it was found after its launcher was killed. */
#define WIRE_STATUS_UNKNOWN INT32_MIN

struct wire_exited {
	struct wire_child child;
	int32_t status; /* the leader's, as waitpid() gives it, or WIRE_STATUS_UNKNOWN */
	uint32_t reserved;
	uint64_t exit_time; /* CLOCK_MONOTONIC, ns: when the leader was reaped */
	uint64_t user_usec; /* CPU time of the leader and what it waited for */
	uint64_t system_usec;
	uint64_t max_rss_kb;
};

enum wire_entry_state {
	WIRE_ENTRY_RUNNING = 1,
	WIRE_ENTRY_LEFT = 2,   /* as WIRE_LEFT */
	WIRE_ENTRY_EXITED = 3, /* a WIRE_EXITED or WIRE_FAILED follows this entry at once */
	WIRE_ENTRY_KEPT = 4,   /* of WIRE_KEEP: no pid, and nothing of its end is known */
};

struct wire_entry {
	struct wire_child child;
	int32_t pid;
	uint16_t state;	     /* enum wire_entry_state */
	uint16_t output;     /* enum wire_output */
	uint64_t start_time; /* as in wire_spawned */
	uint64_t spawn_time; /* CLOCK_MONOTONIC, ns */
	uint32_t name_length;
	uint32_t tag_length;
	/* then the name, then the tag */
};

struct wire_shutdown {
	uint32_t urgency; /* 1 = orderly, 2 = at once (a second INT or TERM) */
	int32_t signo;	  /* what the launcher received */
};

struct wire_leave {
	uint32_t code; /* 0..255: the launcher's exit code */
	uint32_t reserved;
};

struct wire_tag {
	struct wire_child child;
	uint32_t tag_length; /* 0..LIMIT_TAG */
	uint32_t reserved;

	/* then the tag */
};

#define WIRE_SIZED(type, size) _Static_assert(sizeof(type) == (size), #type " changed its size")
WIRE_SIZED(struct wire_header, 16);
WIRE_SIZED(struct wire_hello, 16);
WIRE_SIZED(struct wire_child, 16);
WIRE_SIZED(struct wire_spawn, 24);
WIRE_SIZED(struct wire_spawn_warm, 40);
WIRE_SIZED(struct wire_spawned, 32);
WIRE_SIZED(struct wire_failed, 24);
WIRE_SIZED(struct wire_signal, 24);
WIRE_SIZED(struct wire_exited, 56);
WIRE_SIZED(struct wire_entry, 48);
WIRE_SIZED(struct wire_shutdown, 8);
WIRE_SIZED(struct wire_leave, 8);
WIRE_SIZED(struct wire_tag, 24);
