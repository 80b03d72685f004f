/* What drivers have in common whose dynos are children of the launcher. */
#pragma once

#include "drivers/driver.h"

/* How it ended, as the launcher tells it. */
struct driver_exit child_exit(const struct wire_exited *x);
struct driver_exit child_failure(unsigned stage, int error);

/* What a driver adds to the supervisor's tag stands in front of it. The length, or -E2BIG. */
int child_tag(const void *own, size_t own_len, const void *tag, size_t tag_len,
	unsigned char ret_tag[LIMIT_TAG]) HSUP_MUST_CHECK;
/* What adopt says of a child: its descriptors, and the tag behind own_len bytes, which are copied
 * to ret_own; they are left alone when the tag is shorter. */
struct driver_entry child_entry(const struct launch_entry *entry, void *ret_own, size_t own_len);

/* It is another driver's, which may come back for it: closes what came with it. */
bool child_is_kept(struct launch_entry *entry);

/* Jobs: children of the launcher like dynos, but nobody's to adopt. Their ids have a bit that no
 * dyno's has, by which a later supervisor knows them. */
#define CHILD_EXEC  (UINT64_C(1) << 63) /* a command beside a dyno: a later supervisor ends it */
#define CHILD_SWEEP (UINT64_C(1) << 62) /* removes what ended dynos left: runs to its end */
/* A box that waits for a dyno. Older supervisors take it for a command, and end it. */
#define CHILD_PARK (CHILD_EXEC | UINT64_C(1) << 61)

struct child_jobs {
	uint64_t first; /* added to the ids: above all that were given before; 0 = none yet */
	int null;	/* /dev/null, once a job has run; -1 = not yet */
};

void child_jobs_begin(struct child_jobs *jobs);
void child_jobs_end(struct child_jobs *jobs);
/* 0: it is a dyno; else its bit. */
uint64_t child_job_kind(uint64_t id);
/* The launcher's name for job `id`, which is never 0. */
struct launch_child child_job(struct child_jobs *jobs, uint64_t kind, uint64_t id);
/* /dev/null, of the jobs. Or negative errno. */
int child_nowhere(struct child_jobs *jobs, struct err *err) HSUP_MUST_CHECK;
/* Orders one that reads and writes nothing. */
int child_job_order(struct child_jobs *jobs, struct launch *launch, struct launch_child job,
	const char *name, int spec, struct err *err) HSUP_MUST_CHECK;
/* Acknowledges its end. Its id; 0 = an earlier supervisor's. */
uint64_t child_job_ended(struct child_jobs *jobs, struct launch *launch, struct launch_child job);
