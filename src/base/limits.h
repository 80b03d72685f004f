/* Every cap of the system, each with what happens at it. A user can grow nothing past these. */
#pragma once

#include <stddef.h>

/* A release document. */
#define LIMIT_RELEASE_BYTES  ((size_t)4 << 20) /* rejected before it is parsed */
#define LIMIT_RELEASE_DEPTH  16		       /* nesting; the schema needs 6 */
#define LIMIT_RELEASE_ERRORS 100	       /* reported of one document, then "and more" */
#define LIMIT_TYPES	     64		       /* process types of a release */
#define LIMIT_TYPE_NAME	     63		       /* bytes; [A-Za-z0-9_-]+ */
#define LIMIT_ARGS	     1024	       /* of one process type */
#define LIMIT_ENV	     4096	       /* variables of one dyno */
#define LIMIT_ENV_BYTES	     ((size_t)1 << 20) /* all variables of one dyno; execve allows 2 MiB */
#define LIMIT_QUANTITY	     4096	       /* of one type, and of all types together */
#define LIMIT_EXIT_CODES     32
#define LIMIT_AFTER	     16 /* other types that one type waits for */
#define LIMIT_BINDS	     64
#define LIMIT_ENV_FILES	     64

/* Control directories that one daemon looks after; it says which it passes over. */
#define LIMIT_APPS	   1000
#define LIMIT_CONFIG_BYTES ((size_t)1 << 20) /* of hsup.json; refused above it */

/* Dynos alive at once, the surge of a rollout included: the launcher refuses a spawn above it
 * (-EAGAIN). Each costs the launcher two descriptors, with hsup-box three. */
#define LIMIT_DYNOS 6000

/* Boxes that are parked at once: the launcher refuses one more. */
#define LIMIT_WARM 64

/* The wire between supervisor and launcher. */
#define LIMIT_PACKET	 8192 /* bytes of one message: a longer one is malformed */
#define LIMIT_PACKET_FDS 4
#define LIMIT_NAME	 80		   /* bytes of a child's name: "<type>.<instance>" */
#define LIMIT_TAG	 1024		   /* bytes of the supervisor's opaque tag */
#define LIMIT_SPEC	 ((size_t)3 << 20) /* bytes of a launch spec */
#define LIMIT_GROUPS	 64		   /* supplementary groups of a dyno */

/* Seconds that the launcher bears a silent supervisor: unless told otherwise, and at most. */
#define LIMIT_SILENCE	  30
#define LIMIT_SILENCE_MAX 86400

/* Logs. */
#define LIMIT_LOGS 5	 /* places that one log goes to */
#define LIMIT_LINE 10000 /* bytes; a longer line is cut in pieces of this size (as Heroku does) */
/* Dynos' streams with a history: who was silent for longest gives way. */
#define LIMIT_RINGS	  16384
#define LIMIT_RINGS_BYTES ((size_t)256 << 20) /* of all rings together: likewise */
#define LIMIT_RING_BYTES  ((size_t)64 << 20)  /* of one ring; more is not kept */
#define LIMIT_RING_SYSTEM ((size_t)1 << 20)   /* of the one with the supervisor's own lines */
#define LIMIT_FOLLOWERS	  64		      /* of the log at once; one more is refused */

/* Slugs: defaults, each can be set by an option of hsup-slug. */
#define LIMIT_SLUG_BYTES    ((unsigned long long)4 << 30) /* unpacked */
#define LIMIT_SLUG_ENTRIES  500000
#define LIMIT_SLUG_DOWNLOAD ((unsigned long long)2 << 30) /* packed */
#define LIMIT_SLUG_PATH	    4000
#define LIMIT_SLUG_DEPTH    128

/* Stacks: roots of dynos. Refused above. */
#define LIMIT_STACK_BYTES   ((unsigned long long)32 << 30) /* unpacked, all layers together */
#define LIMIT_STACK_ENTRIES 2000000
#define LIMIT_STACK_LAYERS  256
#define LIMIT_STACK_JSON    ((size_t)4 << 20) /* each of index, manifest and configuration */

/* Checks of dynos (Ready, Healthy) that are at work at once; the others wait their turn. */
#define LIMIT_CHECKS_AT_ONCE 64

/* Helper processes. */
#define LIMIT_HELPERS	   4	/* of one supervisor at once; further jobs wait in their order */
#define LIMIT_JOBS	   64	/* at work and waiting: one more is -EBUSY */
#define LIMIT_HELPER_TRIES 3	/* of one that ends without an answer */
#define LIMIT_JOB_SECONDS  3600 /* one job, all attempts: -ETIMEDOUT */

/* One answer of a container engine (streams have none): -E2BIG. */
#define LIMIT_ENGINE_ANSWER ((size_t)64 << 20)

/* History in releases/. */
#define LIMIT_HISTORY 20

/* The control API (src/control). What is above one of these is answered with 413 or 429. */
#define LIMIT_CONTROL_BODY     ((size_t)4 << 20)  /* a release; LIMIT_CONTROL_WORDS of others */
#define LIMIT_CONTROL_WORDS    ((size_t)64 << 10) /* bytes of a body that is no release */
#define LIMIT_CONTROL_BODIES   ((size_t)32 << 20) /* of all clients together */
#define LIMIT_CONTROL_DRAINED  ((size_t)16 << 20) /* read and forgotten of one that is too large */
#define LIMIT_CONTROL_URI      8192		  /* bytes of a path with its query */
#define LIMIT_CONTROL_PARAMS   64		  /* of a query */
#define LIMIT_CONTROL_NAMES    1024		  /* in one request */
#define LIMIT_CONTROL_CLIENTS  256		  /* at once */
#define LIMIT_CONTROL_RESERVED 32 /* of those, for who may operate, by the Unix socket */
#define LIMIT_CONTROL_STREAMS  64 /* followers, and logs that are being read */
#define LIMIT_CONTROL_IDLE     30 /* seconds without a byte: the connection is closed */
#define LIMIT_CONTROL_LOGS     ((size_t)4 << 20)   /* of one answer; the oldest lines go */
#define LIMIT_CONTROL_TAIL     ((size_t)256 << 10) /* not yet read of a follower */
#define LIMIT_CONTROL_TOKENS   64
#define LIMIT_CONTROL_GRANTS   32 /* --operate-uid and the like */
