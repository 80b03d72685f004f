#include "drivers/child.h"

#include "base/clock.h"
#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/wait.h>

static struct dyno_exit exit_of(int32_t status)
{
	if (status == WIRE_STATUS_UNKNOWN)
		return (struct dyno_exit){.kind = EXIT_UNKNOWN};
	if (WIFSIGNALED(status))
		return (struct dyno_exit){.kind = EXIT_SIGNAL, .value = WTERMSIG(status)};
	return (struct dyno_exit){.kind = EXIT_CODE, .value = WEXITSTATUS(status)};
}

struct driver_exit child_exit(const struct wire_exited *x)
{
	return (struct driver_exit){
		.exit = exit_of(x->status),
		.at = x->exit_time,
		.user_usec = x->user_usec,
		.system_usec = x->system_usec,
		.max_rss_kb = x->max_rss_kb,
	};
}

struct driver_exit child_failure(unsigned stage, int error)
{
	return (struct driver_exit){
		.exit = {.kind = EXIT_STAGE, .value = (int)stage, .error = error}};
}

int child_tag(const void *own, size_t own_len, const void *tag, size_t tag_len,
	unsigned char ret_tag[LIMIT_TAG])
{
	if (own_len + tag_len > LIMIT_TAG)
		return -E2BIG;
	memcpy(ret_tag, own, own_len);
	memcpy(ret_tag + own_len, tag, tag_len);
	return (int)(own_len + tag_len);
}

struct driver_entry child_entry(const struct launch_entry *entry, void *ret_own, size_t own_len)
{
	struct driver_entry found = {
		.id = entry->child.id,
		.generation = entry->child.generation,
		.pid = entry->pid,
		.left = entry->state == WIRE_ENTRY_LEFT,
		.ended = entry->state == WIRE_ENTRY_EXITED,
		.started = entry->spawn_time,
		.out = entry->out,
		.err = entry->err,
	};

	if (entry->tag_len >= own_len) {
		memcpy(ret_own, entry->tag, own_len);
		found.tag = entry->tag + own_len;
		found.tag_len = entry->tag_len - own_len;
	}
	return found;
}

bool child_is_kept(struct launch_entry *entry)
{
	if (entry->state != WIRE_ENTRY_KEPT)
		return false;
	entry->out = fd_close(entry->out);
	entry->err = fd_close(entry->err);
	return true;
}

/* ---- jobs ---- */

void child_jobs_begin(struct child_jobs *jobs)
{
	*jobs = (struct child_jobs){.null = -1};
}

void child_jobs_end(struct child_jobs *jobs)
{
	jobs->null = fd_close(jobs->null);
}

uint64_t child_job_kind(uint64_t id)
{
	if ((id & CHILD_PARK) == CHILD_PARK)
		return CHILD_PARK;
	return id & CHILD_EXEC ? CHILD_EXEC : id & CHILD_SWEEP;
}

/* An id is not given again while the launcher may still know it from an earlier supervisor. */
struct launch_child child_job(struct child_jobs *jobs, uint64_t kind, uint64_t id)
{
	if (jobs->first == 0)
		jobs->first = clock_now() / NSEC_PER_USEC;
	return (struct launch_child){.id = kind | (jobs->first + id), .generation = 1};
}

int child_nowhere(struct child_jobs *jobs, struct err *err)
{
	if (jobs->null < 0)
		jobs->null = open("/dev/null", O_RDWR | O_CLOEXEC);
	return jobs->null < 0 ? err_errno(err, -errno, "/dev/null") : jobs->null;
}

int child_job_order(struct child_jobs *jobs, struct launch *launch, struct launch_child job,
	const char *name, int spec, struct err *err)
{
	int null = child_nowhere(jobs, err);
	if (null < 0)
		return null;
	const struct launch_stdio nowhere = {.given = (const int[3]){null, null, null}};
	int r = launch_spawn(launch, job, name, "", 0, spec, &nowhere);
	return r < 0 ? err_errno(err, r, "order to the launcher") : 0;
}

uint64_t child_job_ended(struct child_jobs *jobs, struct launch *launch, struct launch_child job)
{
	uint64_t id = job.id & ~(CHILD_PARK | CHILD_SWEEP);

	/* If this fails, what stays is an entry that the next supervisor acknowledges. */
	int r = launch_ack(launch, job);
	(void)r;
	return jobs->first > 0 && id > jobs->first ? id - jobs->first : 0;
}
