#include "launcher/upgrade.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "launcher/versions.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define HANDOVER_MAGIC	 UINT32_C(0x68736877) /* "hshw" */
#define HANDOVER_VERSION 1		      /* counted up with every change of what is below */
#define ANSWER_WITHIN	 (10 * NSEC_PER_SEC)
#define PAUSE		 (100 * NSEC_PER_MSEC) /* between two upgrades */

struct handover {
	uint32_t magic, version, size;
	int table, failures; /* descriptors */
	struct carry carry;
	struct keeper keeper;
	struct channel channel;
	struct policy policy;
	struct rlimit nofile;
	sigset_t mask;
	bool hup_ignored, has_terminal;
	struct termios terminal;
};

/* ---- the old program ---- */

static int write_handover(const struct launcher *l)
{
	struct handover h = {
		.magic = HANDOVER_MAGIC,
		.version = HANDOVER_VERSION,
		.size = sizeof h,
		.table = children_table(l->children)->fd,
		.failures = l->failures_fd,
		.carry = l->carry,
		.keeper = l->keeper,
		.channel = l->channel,
		.policy = *l->policy,
		.nofile = l->nofile,
		.mask = l->mask,
		.hup_ignored = l->hup_ignored,
		.has_terminal = l->has_terminal,
		.terminal = l->terminal,
	};
	_cleanup_close_ int fd = memfd_create("hsup-handover", MFD_CLOEXEC);

	if (fd < 0)
		return -errno;
	int r = fd_write_all(fd, &h, sizeof h);
	return r < 0 ? r : TAKE_FD(fd);
}

/* The arguments of the new program: ours, with the handover in front. */
static void exec_new(const struct launcher *l, const char *path, const char *option, int handover)
{
	char resume[64];
	size_t n = 0, at = 0;

	while (l->options.argv[n])
		n++;
	_cleanup_free_ const char **args = calloc(n + 2, sizeof *args);
	if (!args)
		return;
	(void)snprintf(
		resume, sizeof resume, "--%s=%d:%u", option, handover, l->options.resume_count + 1);
	args[at++] = path;
	args[at++] = resume;
	for (size_t i = 1; i < n; i++)
		if (i > 1 || strncmp(l->options.argv[i], "--resume=", 9) != 0)
			args[at++] = l->options.argv[i];
	args[at] = NULL;
	char **list;
	memcpy(&list, &args, sizeof list);
	(void)execv(path, list);
}

static void choose(struct launcher *l)
{
	char version[VERSION_MAX];

	if (!versions_newest(l->options.versions, "hsup-launcher", "", l->upgrade.path, version))
		(void)snprintf(l->upgrade.path, sizeof l->upgrade.path, "%s", l->options.argv[0]);
}

/* The table itself is not there in a fork: its descriptor is. */
HSUP_NORETURN static void become_asked(const struct launcher *l, int handover, int table)
{
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)sigprocmask(SIG_SETMASK, &l->mask, NULL);
	(void)fd_cloexec(handover, false);
	(void)fd_cloexec(table, false);
	exec_new(l, l->upgrade.path, "check-resume", handover);
	log_error("%s: %s", l->upgrade.path, err_name(errno));
	_exit(127);
}

void upgrade_begin(struct launcher *l)
{
	uint64_t now = clock_now();

	if (l->keeper.signo || l->keeper.stopping) {
		log_warning("no upgrade now: all is being stopped");
		return;
	}
	if (l->upgrade.pid)
		return;
	/* A supervisor may wish for it as often as it likes, and gets it now and then. */
	if (l->keeper.upgraded_at && now - l->keeper.upgraded_at < PAUSE) {
		l->upgrade.begin_at = l->keeper.upgraded_at + PAUSE;
		return;
	}
	l->upgrade.begin_at = 0;
	l->keeper.upgraded_at = now;
	choose(l);
	_cleanup_close_ int handover = write_handover(l);
	int table = children_table(l->children)->fd;
	pid_t pid = handover < 0 ? -1 : fork();
	if (pid == 0)
		become_asked(l, handover, table);
	if (pid < 0) {
		log_warning("no upgrade: %s", err_name(handover < 0 ? handover : errno));
		return;
	}
	l->upgrade.pid = pid;
	l->upgrade.ended = false;
	l->upgrade.deadline = clock_now() + ANSWER_WITHIN;
	log_info("asking %s whether it can take over", l->upgrade.path);
}

void upgrade_late(struct launcher *l)
{
	log_warning("%s does not answer: killed", l->upgrade.path);
	(void)kill(l->upgrade.pid, SIGKILL);
}

/* What must outlive execve, and nothing else does. */
static void keep_open(struct launcher *l, int handover)
{
	const int own[] = {handover, children_table(l->children)->fd, l->failures_fd,
		l->carry.fds[0], l->carry.fds[1], l->carry.fds[2], l->channel.socket};

	for (size_t i = 0; i < ARRAY_SIZE(own); i++)
		if (own[i] >= 0)
			(void)fd_cloexec(own[i], false);
	for (struct child *c = NULL; (c = children_next(l->children, c));) {
		if (c->out >= 0)
			(void)fd_cloexec(c->out, false);
		if (c->err >= 0)
			(void)fd_cloexec(c->err, false);
		if (c->watched >= 0 && !c->found)
			(void)fd_cloexec(c->watched, false);
	}
}

void upgrade_go(struct launcher *l)
{
	int status = l->upgrade.status;

	l->upgrade.pid = 0;
	l->upgrade.deadline = 0;
	l->upgrade.ended = false;
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
		log_error("%s cannot take over (%s %d): this one runs on", l->upgrade.path,
			WIFEXITED(status) ? "exit code" : "signal",
			WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
		return;
	}
	if (l->keeper.signo || l->keeper.stopping)
		return;
	_cleanup_close_ int handover = write_handover(l);
	if (handover < 0) {
		log_error("no upgrade: %s", err_name(handover));
		return;
	}
	store_drop_spares(&l->store);
	reserve_drop(l);
	keep_open(l, handover);
	exec_new(l, l->upgrade.path, "resume", handover);
	log_error("%s: %s: this one runs on", l->upgrade.path, err_name(errno));
	fd_from(3, true);
}

/* ---- the new one ---- */

static int read_handover(int fd, struct handover *ret, struct err *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_errno(err, -errno, "handover");
	if (pread(fd, ret, sizeof *ret, 0) != (ssize_t)sizeof *ret || st.st_size != sizeof *ret ||
		ret->magic != HANDOVER_MAGIC || ret->version != HANDOVER_VERSION ||
		ret->size != sizeof *ret)
		return err_set(
			err, -EPROTO, "what the old launcher hands over is of another version");
	return 0;
}

int upgrade_check(int fd, struct err *err)
{
	struct handover h = {0};

	int r = read_handover(fd, &h, err);
	return r < 0 ? r : table_check(h.table, err);
}

int upgrade_resume(struct launcher *l, int fd, struct err *err)
{
	struct table_file table;
	struct handover h = {0};

	int r = read_handover(fd, &h, err);
	if (r < 0)
		return r;
	r = table_resume(h.table, &table, err);
	if (r < 0)
		return r;
	l->children = children_new(&table, launcher_limit(l));
	/* An older launcher had never heard of it, nor of the option. */
	h.policy.box = l->options.box != NULL;
	l->policy = launcher_seal(&h.policy);
	l->failures_fd = h.failures;
	l->carry = h.carry;
	l->keeper = h.keeper;
	l->channel = h.channel;
	l->nofile = h.nofile;
	l->mask = h.mask;
	l->hup_ignored = h.hup_ignored;
	l->has_terminal = h.has_terminal;
	l->terminal = h.terminal;
	if (!l->children || !l->policy)
		return err_errno(err, -ENOMEM, "upgrade");
	return 0;
}
