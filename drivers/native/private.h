/* What the files of the native driver share.
 *
 * A life of a dyno is one box: hsup-box makes it out of the spec, and is its init. What must
 * survive a kill of the supervisor lies elsewhere: the box's name and port in the tag that the
 * launcher keeps, its uid with its init, who is alive in locks. */
#pragma once

#include "base/cgroup.h"
#include "drivers/child.h"
#include "drivers/driver.h"
#include "drivers/native/warm.h"
#include "drivers/port_life.h"
#include "drivers/stdin_dir.h"
#include "io/stack_dir.h"
#include "wire/box_settings.h"
#include "wire/spec.h"

#define NATIVE_PORT    5000 /* with a network of its own, unless Env says otherwise */
#define NATIVE_BUCKETS 1024

/* One life, from its order to its release. */
struct native_life {
	struct native_life *next; /* in its bucket */
	uint64_t id;
	uint32_t generation;
	int pid;		  /* of its init; 0 = none yet, or ended */
	unsigned port;		  /* 0 = none, or the operator's own */
	uint32_t uid;		  /* 0 = not known yet */
	unsigned looks;		  /* for its uid, that were in vain */
	bool told;		  /* `known` was told */
	bool swept;		  /* what it left is removed, or waits for that */
	uint64_t kind;		  /* id; 0 = none, or it has ended; that kind may be gone */
	struct native_wish *wish; /* NULL = none that is open */
	char box[SPEC_BOX_NAME_MAX + 1];
};

/* What the dynos of a release run on. */
struct native_stack {
	struct native_stack *next;
	struct release *release;   /* a reference: another one cannot lie where it does */
	char folder[STACK_FOLDER]; /* NAME-VERSION, or "host" */
	const char *shell;	   /* NULL = it is looked for in the dyno */
	bool used;		   /* dynos run on it, and it is written down */
};

/* A release that was made ready; it is told from the loop. */
struct native_ready {
	struct native_ready *next;
	uint64_t handle;
};

/* A box whose leavings are to be removed. */
struct native_left {
	struct native_left *next;
	char box[SPEC_BOX_NAME_MAX + 1];
};

struct native {
	struct driver_context *context;
	struct box_settings settings;
	bool root;	  /* the launcher is */
	bool all_on_host; /* HSUP_NATIVE_STACK=host */
	int lock;	  /* wire/box_presence.h; -1 = not held */
	struct spec_builder spec;
	struct child_jobs jobs;
	struct stdin_dir stdin_dir;
	struct port_lives ports; /* of the machine's network */
	struct native_life *buckets[NATIVE_BUCKETS];
	unsigned n_lives;
	struct native_warm warm;
	struct native_stack *stacks;
	char *found_stacks; /* what an earlier supervisor wrote down of them; NULL = nothing */
	struct native_ready *ready;
	sd_event_source *telling; /* while `ready` holds any */
	sd_event_source *looking; /* while there are lives whose address is not known */
	uint64_t look_after;	  /* ns: of the next look, from the one before */
	struct cgroup_layout cgroups;
	unsigned lacks;	  /* 1 << enum cgroup_controller: that it is not there was said */
	bool lacks_quota; /* that Limits.Disk has no effect was said */

	struct native_left *left;   /* wait for a sweep */
	sd_event_source *gathering; /* others that end with the first of them */
	uint64_t n_sweeps;	    /* that were ordered: the id of the last */
	uint64_t sweeping;	    /* that is under way; 0 = none */
	sd_event_source *patience;
	enum { FINISH_NONE, FINISH_NAMED, FINISH_REST, FINISH_TOLD } finishing;
};

/* ---- native.c ---- */

void native_note(const struct native *n, const char *fmt, ...) HSUP_PRINTF(2, 3);

/* ---- lives.c ---- */

struct native_life *native_find(const struct native *n, uint64_t id, uint32_t generation);
/* -ENOMEM. box: NULL = named after the owner of the context. */
int native_add(struct native *n, uint64_t id, uint32_t generation, const char *name,
	const char *box, struct native_life **ret_life) HSUP_MUST_CHECK;
void native_forget(struct native *n, uint64_t id, uint32_t generation);
/* What its box is called; unique in time by the id. */
void native_name_box(const struct native *n, const char *name, uint64_t id, uint32_t generation,
	char ret_box[SPEC_BOX_NAME_MAX + 1]);

/* ---- children.c: what the launcher says ---- */

extern const struct launch_child_events native_child_events;
/* The tag that the launcher keeps. The length, or -E2BIG. */
int native_tag(const struct native_life *l, const void *tag, size_t tag_len,
	unsigned char ret_tag[LIMIT_TAG]) HSUP_MUST_CHECK;

/* ---- prepare.c ---- */

int native_prepare(void *state, uint64_t handle, const struct release *release, struct err *err);
void native_prepare_stop(void *state, uint64_t handle);
int native_tell_ready(sd_event_source *source, void *userdata);
void native_prepare_done(struct native *n);

/* ---- stack.c ---- */

/* What a release asks for. */
const char *native_stack_name(const struct native *n, const struct release *release);
/* From now on the dynos of this release run on the newest version that there is, or on what they
 * run on since an earlier supervisor's time. */
int native_stack_look(
	struct native *n, const struct release *release, struct err *err) HSUP_MUST_CHECK;
/* What a release's dynos run on, whatever others were made ready with since: looked for when it was
 * not, or when it is gone. Valid until the next call of any of these. */
int native_stack_of(struct native *n, const struct release *release,
	const struct native_stack **ret_stack, struct err *err) HSUP_MUST_CHECK;
/* A dyno of it is started: the next supervisor is to know. */
void native_stack_use(struct native *n, const struct release *release);
/* Of releases that nobody else has. */
void native_stacks_tidy(struct native *n);
void native_stacks_done(struct native *n);

/* ---- stack_file.c ---- */

void native_stacks_save(const struct native *n);
/* When all that runs was told. */
void native_stacks_load(struct native *n);
/* No dyno is left. */
void native_stacks_remove(const struct native *n);
/* One that is not in it, and not later than all that are, is the end of what was found. */
bool native_stacks_recall(
	struct native *n, const struct release *release, char ret_folder[STACK_FOLDER]);
void native_stacks_unlearn(struct native *n);

/* ---- compose.c: a sealed memfd ---- */

int native_compose(struct native *n, const struct driver_start *start,
	const struct native_life *life, struct err *err) HSUP_MUST_CHECK;
/* Of a parked box for such a start: all but its name, in n->spec, not sealed. */
int native_compose_park(
	struct native *n, const struct driver_start *start, struct err *err) HSUP_MUST_CHECK;
int native_compose_exec(struct native *n, const struct driver_exec *exec,
	const struct native_life *life, struct err *err) HSUP_MUST_CHECK;
/* With none: whatever nobody owns. As many of `names` as go into one; *ret_n says how many. */
int native_compose_sweep(struct native *n, const struct native_left *names, unsigned *ret_n,
	struct err *err) HSUP_MUST_CHECK;

/* ---- missing.c ---- */

/* Says, once of each, which limits of a release this machine cannot give. */
void native_warn_of_limits(struct native *n, const struct release *release);
const char *native_missing(void *state, size_t index);
/* All of it, on one line of the log; none, when nothing is. */
void native_tell_missing(struct native *n);

/* ---- start.c ---- */

int native_start(void *state, const struct driver_start *start, struct err *err);
/* With a network of its own the same for all, unless Env says otherwise; 0: it has none. */
unsigned native_port(const struct native *n, const struct driver_start *start);

/* ---- exec.c ---- */

int native_exec(void *state, const struct driver_exec *exec, struct err *err);
int native_exec_kill(void *state, uint64_t id);

/* ---- sweep.c ---- */

/* It has ended: its leavings are to be removed, soon. Of the same life only once. */
void native_sweep(struct native *n, struct native_life *l);
/* False: there is no memory for it, and the sweep of all is left to find it. */
bool native_sweep_box(struct native *n, const char *box);
int native_on_gathered(sd_event_source *source, uint64_t usec, void *userdata);
/* Whatever is left of any box that nobody runs. */
void native_sweep_all(struct native *n);
void native_sweep_ended(struct native *n, uint64_t id, const struct dyno_exit *exit);
void native_finish(void *state);
void native_sweeps_done(struct native *n);

/* ---- usage.c, address.c ---- */

void native_usage(void *state, uint64_t id, uint32_t generation);
/* A process of it was killed for the limit of its memory. */
bool native_out_of_memory(const struct native *n, const struct native_life *life);
bool native_address(
	void *state, uint64_t id, uint32_t generation, struct driver_address *ret_address);
unsigned native_network(const struct native *n); /* enum spec_box_network */
/* Each dyno has a port of the machine's, where it is reached on this machine's loopback: its
 * network is the machine's, or it is passed on. */
bool native_shares_ports(const struct native *n);
/* One has started: `known` follows when its address is. */
void native_look(struct native *n);
int native_on_look(sd_event_source *source, uint64_t usec, void *userdata);

/* ---- gc.c ---- */

int native_gc(const struct gc_order *order, struct err *err);
