/* What the files of the docker driver share.
 *
 * A life of a dyno is one container. What must survive a kill of the supervisor lies elsewhere: the
 * pipes of its output and its tag in the launcher (launch_keep, before the container is made), how
 * far its output has come in the place file, all the rest in the container's labels. */
#pragma once

#include "base/clock.h"
#include "drivers/docker/attach.h"
#include "drivers/docker/body.h"
#include "drivers/docker/engine.h"
#include "drivers/docker/exits.h"
#include "drivers/docker/follow.h"
#include "drivers/docker/image.h"
#include "drivers/docker/keeper.h"
#include "drivers/docker/labels.h"
#include "drivers/docker/place.h"
#include "drivers/docker/settings.h"
#include "drivers/driver.h"
#include "drivers/environment.h"
#include "drivers/port_life.h"

#define CONTAINER_BUCKETS 1024
#define CONTAINER_NAME	  256

enum phase {
	PHASE_FOUND,	/* an earlier supervisor's, not told yet */
	PHASE_QUEUED,	/* waits for its turn; nothing of it is made yet */
	PHASE_CREATING, /* POST create */
	PHASE_OPENING, /* what its standard input begins with, or the terminal, is being attached */
	PHASE_STARTING, /* POST start */
	PHASE_RUNNING,
	PHASE_ENDED, /* its exit has been told, or will be when its terminal is done */
};

/* One life, from its order to its removal. */
struct container {
	struct container *next_in_bucket;
	struct container *prev, *next; /* all, in the order of their starts */
	struct docker *owner;
	uint64_t id;
	uint32_t generation;
	enum phase phase;
	char name[LIMIT_NAME + 1];   /* "web.1" */
	char called[CONTAINER_NAME]; /* its name with the engine: known before its id is */
	char ref[80];		     /* its id; "" = not known */
	char shell[128];
	json_t *body; /* of create, until it was sent */

	struct engine_call *call; /* create, start or delete: what its phase waits for */
	struct engine_call *inspect, *kill, *stats;
	bool inspect_again; /* something has happened since the inspect was sent */
	bool slot;	    /* counts among the starts that are under way */
	bool kept;	    /* the launcher has an entry of it */
	bool made;	    /* the engine was asked for it: it may be there */
	bool unkilled;	    /* the engine would not send its SIGKILL; that was said */
	bool unheard;	    /* was signalled when only its terminal was waited for */
	bool told;	    /* `exited` */
	bool known;	    /* its pid and address were told */
	bool seen;	    /* in the list that is being looked at */
	bool broke;	    /* its log is not followed just now */
	bool again;	    /* something of it is tried again in a moment */
	bool releasing;	    /* DELETE as soon as it is its turn */
	bool waits;	    /* for that, after one that failed */
	bool wants_usage;
	unsigned tries;	 /* of its removal that failed */
	unsigned silent; /* looks at a running one whose log has ended */

	uint64_t signals;  /* bit n - 1 = signal n: to be sent */
	uint64_t sending;  /* on its way, with `kill` */
	uint64_t codes[4]; /* a bit each: ExitCodes, of which none is taken for a signal's */
	struct driver_exit exit;

	unsigned port; /* inside; 0 = none */
	struct driver_address address;

	int out, err;	    /* read ends for `started`, until then; -1 = none */
	int out_in, err_in; /* write ends, until the follow has them */
	bool recovers;
	struct place *place;
	struct follow *follow;

	int stdio[3]; /* of an attached `run` */
	bool attached, stdin_open, merged;
	struct strbuf first; /* what it reads first: DOCKER_SECRETS=file */
	struct attach *attach;
	struct handover *handover;
	struct feed *feed;

	unsigned char *tag; /* of an adopted one, until it is told */
	size_t tag_len;
};

/* A command beside a dyno. */
struct docker_exec {
	struct docker_exec *next;
	struct docker *owner;
	uint64_t id, dyno;
	uint32_t generation;
	char ref[80]; /* the engine's name of it; "" = not known yet */
	struct engine_call *call;
	struct engine_call *wait; /* podman: its start, which is answered at its end */
	bool running, doomed;
};

struct docker {
	struct driver_context *context;
	struct docker_settings settings;
	char keeper[KEEPER_SIZE];
	struct engine *engine;
	struct images *images;
	struct places *places;
	struct port_lives lives; /* which port belongs to which, on the machine's network */
	int proc;		 /* /proc/self/fd */

	struct container *buckets[CONTAINER_BUCKETS];
	struct container *first, *last;
	size_t n;
	unsigned starting, removing, measuring; /* under way */

	sd_event_source *work;	/* something may be ready to be begun */
	sd_event_source *later; /* what failed is tried again */
	sd_event_source *deadline;
	bool was_up, said_gone;

	struct engine_call *events; /* the stream of what happens to ours */
	struct strbuf event;	    /* a line of it, as far as it has come */
	struct engine_call *list;
	bool list_again, wants_list;
	enum { ADOPT_NONE, ADOPT_ENTRIES, ADOPT_ENGINE, ADOPT_LOOKING, ADOPT_DONE } adopting;
	unsigned looking; /* inspects of the adoption that are under way */

	struct docker_exec *execs;
	unsigned ticks; /* of `later` */
	enum { FINISH_NONE, FINISH_WAITING, FINISH_TOLD } finishing;
};

/* ---- containers.c: the table, and what a container has ---- */
struct container *container_find(struct docker *d, uint64_t id, uint32_t generation);
/* NULL = out of memory. */
struct container *container_new(
	struct docker *d, const char *name, uint64_t id, uint32_t generation);
struct container *container_free(struct container *c); /* NULL allowed */
/* "/containers/<ref><rest>". */
void container_path(const struct container *c, const char *rest, char ret_path[512]);
/* Its output's pipes: read ends for the supervisor and the launcher, write ends for its log. */
int container_pipes(struct container *c, bool merged) HSUP_MUST_CHECK;
/* The write ends of pipes that were there before. */
int container_reopen(struct container *c) HSUP_MUST_CHECK;
/* Follows its log, which may have begun already. */
int container_follow(struct container *c, struct err *err) HSUP_MUST_CHECK;
void container_note(const struct container *c, const char *fmt, ...) HSUP_PRINTF(2, 3);

/* ---- order.c ---- */
int docker_start(void *state, const struct driver_start *start, struct err *err);

/* ---- start.c ---- */
void starts_begin(struct docker *d); /* what waits, as far as there is room */

/* ---- signals.c ---- */
int docker_signal(void *state, uint64_t id, uint32_t generation, int signo);
void signals_send(struct container *c);

/* ---- ends.c ---- */
void container_inspect(struct container *c);
/* It has ended; told once. */
void container_ended(struct container *c, const struct driver_exit *exit);
void container_failed(struct container *c, const struct err *err);
void container_look(struct container *c, int r, const json_t *answer);
void container_again(struct container *c); /* what was put off */
/* Its log: the answers of follow.h. */
void container_broke(void *userdata, int r, const struct err *err);
void container_over(void *userdata, bool lost);

/* ---- events.c ---- */
void docker_listen(struct docker *d);

/* ---- remove.c ---- */
int docker_release(void *state, uint64_t id, uint32_t generation);
void docker_finish(void *state);
void removals_begin(struct docker *d);
/* Nobody is told of it, or any more: it is removed. */
void container_discard(struct container *c);

/* ---- adopt.c ---- */
extern const struct launch_child_events adopt_child_events;
int docker_adopt(void *state);
void adopt_list(struct docker *d, const json_t *list);
void adopt_looked(struct container *c, int r, const json_t *answer);
uint64_t label_number(const json_t *labels, const char *name);

/* ---- list.c ---- */
void docker_list(struct docker *d);

/* ---- exec.c ---- */
int docker_exec(void *state, const struct driver_exec *exec, struct err *err);
int docker_exec_kill(void *state, uint64_t id);
/* Its end came as an event; or NULL: perhaps that of any. */
void execs_look(struct docker *d, const char *ref);
void execs_of_ended(struct container *c);
void execs_kill_strays(struct container *c);
void execs_free(struct docker *d);

/* ---- usage.c ---- */
void docker_usage(void *state, uint64_t id, uint32_t generation);
void docker_measure(struct docker *d);

/* ---- docker.c ---- */
void docker_work(struct docker *d);  /* from the loop, soon */
void docker_later(struct docker *d); /* in a moment */
