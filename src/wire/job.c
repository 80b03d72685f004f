#include "wire/job.h"

#include "base/fd.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define JOB_PARTS 4

int job_send(
	int socket, enum job_type type, const struct packet_part *parts, unsigned n_parts, int fd)
{
	struct wire_header header = {
		.magic = WIRE_MAGIC,
		.version = WIRE_VERSION,
		.type = (uint16_t)type,
	};
	struct iovec iov[1 + JOB_PARTS] = {{.iov_base = &header, .iov_len = sizeof header}};
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof fd)] = {0};
	struct msghdr m = {.msg_iov = iov, .msg_iovlen = 1 + n_parts};
	size_t total = sizeof header;

	if (n_parts > JOB_PARTS)
		return -EMSGSIZE;
	for (unsigned i = 0; i < n_parts; i++) {
		memcpy(&iov[1 + i].iov_base, &parts[i].data, sizeof(void *));
		iov[1 + i].iov_len = parts[i].len;
		total += parts[i].len;
	}
	if (total > LIMIT_PACKET)
		return -EMSGSIZE;
	header.length = (uint32_t)total;

	if (fd >= 0) {
		m.msg_control = control;
		m.msg_controllen = sizeof control;
		struct cmsghdr *c = CMSG_FIRSTHDR(&m);
		*c = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof fd),
			.cmsg_level = SOL_SOCKET,
			.cmsg_type = SCM_RIGHTS};
		memcpy(CMSG_DATA(c), &fd, sizeof fd);
	}
	for (;;) {
		if (sendmsg(socket, &m, MSG_NOSIGNAL) >= 0)
			return 0;
		if (errno != EINTR)
			return -errno;
	}
}

int job_receive(int socket, bool wait, struct packet *ret_packet)
{
	struct packet *p = ret_packet;
	struct iovec iov = {.iov_base = p->data, .iov_len = sizeof p->data};
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof p->fds)];
	struct msghdr m;
	ssize_t n;

	do {
		m = (struct msghdr){.msg_iov = &iov,
			.msg_iovlen = 1,
			.msg_control = control,
			.msg_controllen = sizeof control};
		n = recvmsg(socket, &m, MSG_CMSG_CLOEXEC | (wait ? 0 : MSG_DONTWAIT));
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	if (n == 0)
		return 0;

	p->len = (size_t)n;
	p->n_fds = 0;
	bool all = packet_take_fds(&m, p);
	const struct wire_header *h = packet_header(p);
	if (!all || (m.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) || p->len < sizeof *h ||
		h->magic != WIRE_MAGIC || h->version != WIRE_VERSION || h->length != p->len ||
		h->type < JOB_SLUG || h->type >= JOB_TYPE_MAX) {
		for (unsigned i = 0; i < p->n_fds; i++)
			(void)fd_close(p->fds[i]);
		p->n_fds = 0;
		return -EBADMSG;
	}
	return 1;
}

/* The fixed struct of a packet of this type; *ret_tail is what follows it. */
static int body(const struct packet *p, enum job_type type, void *ret_fixed, size_t size,
	const char **ret_tail, size_t *ret_tail_len)
{
	size_t head = sizeof(struct wire_header);

	if (packet_header(p)->type != type || p->len < head + size)
		return -EBADMSG;
	memcpy(ret_fixed, p->data + head, size);
	*ret_tail = (const char *)p->data + head + size;
	*ret_tail_len = p->len - head - size;
	return 0;
}

int job_parse_slug(const struct packet *p, struct job_slug *ret_job, const char **ret_source,
	const char **ret_checksum)
{
	struct job_slug job;
	const char *tail;
	size_t len;

	if (body(p, JOB_SLUG, &job, sizeof job, &tail, &len) < 0 || p->n_fds != 1 ||
		job.source_length == 0 || (size_t)job.source_length + job.checksum_length != len ||
		memchr(tail, '\0', len))
		return -EBADMSG;
	*ret_job = job;
	*ret_source = tail;
	*ret_checksum = tail + job.source_length;
	return 0;
}

int job_parse_pack(const struct packet *p, struct job_pack *ret_job)
{
	struct job_pack job;
	const char *tail;
	size_t len;

	if (body(p, JOB_PACK, &job, sizeof job, &tail, &len) < 0 || len != 0 || p->n_fds != 2 ||
		job.owner_uid == UINT32_MAX || job.owner_gid == UINT32_MAX)
		return -EBADMSG;
	*ret_job = job;
	return 0;
}

int job_parse_progress(const struct packet *p, struct job_progress *ret_progress)
{
	struct job_progress progress;
	const char *tail;
	size_t len;

	if (body(p, JOB_PROGRESS, &progress, sizeof progress, &tail, &len) < 0 || len != 0 ||
		(progress.phase != JOB_FETCHING && progress.phase != JOB_UNPACKING))
		return -EBADMSG;
	*ret_progress = progress;
	return 0;
}

static bool is_hex(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!((text[i] >= '0' && text[i] <= '9') || (text[i] >= 'a' && text[i] <= 'f')))
			return false;
	return true;
}

static bool is_stack_kind(uint32_t kind)
{
	return kind == JOB_STACK_ROOTFS || kind == JOB_STACK_IMAGE;
}

int job_parse_stack(const struct packet *p, struct job_stack *ret_job)
{
	struct job_stack job;
	const char *tail;
	size_t len;

	if (body(p, JOB_STACK, &job, sizeof job, &tail, &len) < 0 || len != 0 || p->n_fds != 2 ||
		(job.flags & ~JOB_STACK_OWNERS))
		return -EBADMSG;
	*ret_job = job;
	return 0;
}

int job_parse_verify(const struct packet *p, struct job_verify *ret_job)
{
	struct job_verify job;
	const char *tail;
	size_t len;

	if (body(p, JOB_VERIFY, &job, sizeof job, &tail, &len) < 0 || len != 0 || p->n_fds != 2 ||
		!is_hex(job.tree, sizeof job.tree) || !is_stack_kind(job.kind))
		return -EBADMSG;
	*ret_job = job;
	return 0;
}

int job_parse_stack_done(const struct packet *p, struct job_stack_done *ret_done)
{
	struct job_stack_done done;
	const char *tail;
	size_t len;

	if (body(p, JOB_STACK_DONE, &done, sizeof done, &tail, &len) < 0 || len != 0 ||
		!is_hex(done.source, sizeof done.source) || !is_hex(done.tree, sizeof done.tree) ||
		!is_stack_kind(done.kind) || done.from >= JOB_FROM_MAX)
		return -EBADMSG;
	*ret_done = done;
	return 0;
}

int job_parse_done(const struct packet *p, struct job_done *ret_done)
{
	struct job_done done;
	const char *tail;
	size_t len;

	if (body(p, JOB_DONE, &done, sizeof done, &tail, &len) < 0 || len != 0 || done.cached > 1)
		return -EBADMSG;
	if (!is_hex(done.digest, sizeof done.digest))
		return -EBADMSG;
	*ret_done = done;
	return 0;
}

int job_parse_failed(const struct packet *p, struct job_failed *ret_failed, const char **ret_text)
{
	struct job_failed failed;
	const char *tail;
	size_t len;

	if (body(p, JOB_FAILED, &failed, sizeof failed, &tail, &len) < 0 ||
		failed.text_length != len || failed.error <= 0 || failed.error > 4095)
		return -EBADMSG;
	*ret_failed = failed;
	*ret_text = tail;
	return 0;
}
