#include "drivers/docker/image_pack.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/str.h"
#include "io/worker.h"
#include "wire/job.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIPE_SIZE   (512 << 10)
#define LATE_SLACK  10000			       /* us */
#define MAX_ENTRIES (2 * (uint64_t)LIMIT_SLUG_ENTRIES) /* directories that no entry was of */

struct image_pack {
	struct image_pack_setup setup;
	struct worker *worker;
	int pipe;
	sd_event_source *readable;
	sd_event_source *late; /* on while the helper is waited for */
	bool drained;	       /* the pipe has ended */
	bool answered;
	struct err failed;
};

static void settle(struct image_pack *p)
{
	p->answered = true;
	p->worker = worker_free(p->worker);
	(void)sd_event_source_set_enabled(p->late, SD_EVENT_OFF);
	if (p->drained)
		p->setup.ready(p->setup.userdata);
}

static void take_failure(struct image_pack *p, const struct packet *packet)
{
	struct job_failed failed;
	const char *text;
	char shown[300];

	if (job_parse_failed(packet, &failed, &text) < 0)
		(void)err_set(&p->failed, -EBADMSG, "the slug helper said something malformed");
	else
		(void)err_set(&p->failed, -failed.error, "%s",
			str_printable(text, failed.text_length, shown, sizeof shown));
}

static void on_packet(void *userdata, struct worker *w, int socket)
{
	struct image_pack *p = userdata;
	struct packet packet;
	struct job_done done;

	int r = job_receive(socket, false, &packet);
	if (r == -EAGAIN)
		return;
	if (r <= 0) { /* its end says why, or that there is no answer */
		worker_kill(w);
		return;
	}
	if (job_parse_done(&packet, &done) < 0)
		take_failure(p, &packet);
	packet_done(&packet);
	settle(p);
}

static void on_ended(void *userdata, struct worker *w, int status)
{
	struct image_pack *p = userdata;

	(void)w;
	(void)status;
	(void)err_set(&p->failed, -EIO, "the slug helper ended without an answer");
	settle(p);
}

static int on_pipe(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct image_pack *p = userdata;

	(void)fd;
	(void)revents;
	(void)sd_event_source_set_enabled(source, SD_EVENT_OFF);
	p->setup.ready(p->setup.userdata);
	return 0;
}

/* Nobody else would ever end it: who reads us waits as long as we say so. */
static int on_late(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct image_pack *p = userdata;

	(void)source;
	(void)usec;
	(void)err_set(&p->failed, -ETIMEDOUT, "the slug helper has been silent for %.3g s",
		(double)p->setup.patience / (double)NSEC_PER_SEC);
	p->drained = true;
	(void)sd_event_source_set_enabled(p->readable, SD_EVENT_OFF);
	settle(p);
	return 0;
}

static int wait_for_helper(struct image_pack *p)
{
	(void)sd_event_source_set_time_relative(p->late, p->setup.patience / NSEC_PER_USEC);
	(void)sd_event_source_set_enabled(p->late, SD_EVENT_ONESHOT);
	return -EAGAIN;
}

ssize_t image_pack_read(struct image_pack *p, char *data, size_t size)
{
	(void)sd_event_source_set_enabled(p->late, SD_EVENT_OFF);
	if (!p->drained) {
		ssize_t n = read(p->pipe, data, size);
		if (n > 0)
			return n;
		if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
			(void)sd_event_source_set_enabled(p->readable, SD_EVENT_ON);
			return wait_for_helper(p);
		}
		/* The end of the pipe is no answer: a helper that dies has one, too. */
		p->drained = true;
	}
	if (!p->answered)
		return wait_for_helper(p);
	return p->failed.code < 0 ? -ECANCELED : 0;
}

const struct err *image_pack_error(const struct image_pack *p)
{
	return &p->failed;
}

/* The helper becomes whose the slug is: nobody else may be able to read all of it. */
static int order(struct image_pack *p, int folder, int out, struct err *err)
{
	struct job_pack job = {
		.uid = UINT32_MAX,
		.gid = UINT32_MAX,
		.owner_uid = p->setup.uid,
		.owner_gid = p->setup.gid,
		.max_entries = MAX_ENTRIES,
	};
	struct packet_part part = {&job, sizeof job};
	const int fds[] = {folder, out};
	struct stat st;

	if (fstat(folder, &st) < 0)
		return err_errno(err, -errno, "%.300s", p->setup.slug_path);
	if (geteuid() == 0 && st.st_uid != 0) {
		job.uid = st.st_uid;
		job.gid = st.st_gid;
	}
	int r = packet_send(worker_socket(p->worker), JOB_PACK, 0, &part, 1, fds, ARRAY_SIZE(fds));
	/* One that has ended already is told of by its end. */
	return r < 0 && r != -EPIPE && r != -ECONNRESET
		       ? err_errno(err, r, "cannot order the packed slug")
		       : 0;
}

static int start(struct image_pack *p, struct err *err)
{
	static const struct worker_events events = {on_packet, on_ended};
	const struct image_pack_setup *s = &p->setup;
	char name[] = "hsup-slug", job[] = "--job";
	char *argv[] = {name, job, NULL};
	int ends[2];

	_cleanup_close_ int folder = open(s->slug_path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (folder < 0)
		return err_errno(err, -errno, "%.300s", s->slug_path);
	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_errno(err, -errno, "cannot make a pipe");
	p->pipe = ends[0];
	_cleanup_close_ int out = ends[1];
	/* Less than wished for is only slower. */
	(void)fcntl(out, F_SETPIPE_SZ, PIPE_SIZE);
	int r = fd_nonblock(p->pipe, true);
	if (r == 0)
		r = sd_event_add_io(s->loop, &p->readable, p->pipe, EPOLLIN, on_pipe, p);
	if (r >= 0)
		r = sd_event_source_set_enabled(p->readable, SD_EVENT_OFF);
	if (r >= 0)
		r = sd_event_add_time_relative(
			s->loop, &p->late, CLOCK_MONOTONIC, 0, LATE_SLACK, on_late, p);
	if (r >= 0)
		r = sd_event_source_set_enabled(p->late, SD_EVENT_OFF);
	if (r < 0)
		return err_errno(err, r, "cannot watch a pipe");
	/* Silent as long as the engine takes nothing: that is the engine's to be asked of. */
	r = worker_start(s->loop, s->helper, argv, 0, &events, p, &p->worker, err);
	return r < 0 ? r : order(p, folder, out, err);
}

int image_pack_start(
	const struct image_pack_setup *setup, struct image_pack **ret_pack, struct err *err)
{
	struct image_pack *p = calloc(1, sizeof *p);

	if (!p)
		return err_set(err, -ENOMEM, "out of memory");
	p->setup = *setup;
	p->pipe = -1;
	int r = start(p, err);
	if (r < 0) {
		(void)image_pack_free(p);
		return r;
	}
	*ret_pack = p;
	return 0;
}

struct image_pack *image_pack_free(struct image_pack *p)
{
	if (!p)
		return NULL;
	p->worker = worker_free(p->worker);
	p->readable = sd_event_source_disable_unref(p->readable);
	p->late = sd_event_source_disable_unref(p->late);
	(void)fd_close(p->pipe);
	free(p);
	return NULL;
}
