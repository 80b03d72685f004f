/* The stacks that releases ask for, and making releases ready. */
#include "drivers/native/private.h"

#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BASH "/bin/bash"
#define SH   "/bin/sh"

/* As the dyno will see it: links of a stack lead nowhere but into it. */
static bool has_program(int root, const char *path)
{
	const struct open_how how = {
		.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
	struct stat st;

	_cleanup_close_ int fd = (int)syscall(SYS_openat2, root, path, &how, sizeof how);
	return fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & 0111);
}

/* The folder of a stack's files, or of its image. */
static int open_stack(const struct native *n, const char *folder, bool *ret_image, struct err *err)
{
	char path[PATH_MAX + STACK_FOLDER];

	*ret_image = false;
	(void)snprintf(path, sizeof path, "%s/%s", n->settings.stacks, folder);
	int top = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (top < 0)
		return err_errno(err, -errno, "Stack: %s cannot be opened", path);
	int tree = openat(top, STACK_ROOTFS, O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (tree < 0) {
		*ret_image = faccessat(top, STACK_IMAGE, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
		return top;
	}
	(void)close(top);
	return tree;
}

static int choose_shell(
	const struct native *n, const char *folder, const char **ret_shell, struct err *err)
{
	bool host = strcmp(folder, STACK_HOST) == 0, image = false;

	_cleanup_close_ int root = host ? open("/", O_PATH | O_DIRECTORY | O_CLOEXEC)
					: open_stack(n, folder, &image, err);
	if (root < 0)
		return host ? err_errno(err, -errno, "/") : root;
	*ret_shell = image ? NULL : has_program(root, BASH) ? BASH : SH;
	if (*ret_shell && strcmp(*ret_shell, SH) == 0 && !has_program(root, SH))
		return err_set(err, -ENOENT, "Stack: %s has neither " BASH " nor " SH, folder);
	return 0;
}

static const char *name_of(const struct native *n, const struct release *release)
{
	return n->all_on_host || !release->stack ? STACK_HOST : release->stack;
}

static struct native_stack *find(const struct native *n, const char *name)
{
	struct native_stack *s = n->stacks;

	while (s && strcmp(s->name, name) != 0)
		s = s->next;
	return s;
}

static struct native_stack *add(struct native *n, const char *name)
{
	struct native_stack *s = calloc(1, sizeof *s);

	if (s)
		s->name = strdup(name);
	if (!s || !s->name) {
		free(s);
		return NULL;
	}
	s->next = n->stacks;
	n->stacks = s;
	return s;
}

/* The newest there is now. */
static int look(
	struct native *n, const char *name, struct native_stack **ret_stack, struct err *err)
{
	struct native_stack *s = find(n, name);
	char folder[STACK_FOLDER];
	const char *shell = NULL;

	int r = stack_find(n->settings.stacks, name, folder, err);
	if (r < 0)
		return err_wrap(err, "Stack");
	r = choose_shell(n, folder, &shell, err);
	if (r < 0)
		return r;
	if (!s)
		s = add(n, name);
	if (!s)
		return err_errno(err, -ENOMEM, "Stack");
	(void)snprintf(s->folder, sizeof s->folder, "%s", folder);
	s->shell = shell;
	*ret_stack = s;
	return 0;
}

/* Dynos that are started again keep the version that their release was made ready with, as long as
 * it is there. */
int native_stack_of(struct native *n, const struct release *release,
	const struct native_stack **ret_stack, struct err *err)
{
	const char *name = name_of(n, release);
	struct native_stack *s = find(n, name);
	char path[PATH_MAX + STACK_FOLDER];
	int r = 0;

	if (s)
		(void)snprintf(path, sizeof path, "%s/%s", n->settings.stacks, s->folder);
	if (!s || (strcmp(s->folder, STACK_HOST) != 0 && access(path, F_OK) < 0))
		r = look(n, name, &s, err);
	if (r == 0)
		*ret_stack = s;
	return r;
}

/* ---- prepare ---- */

/* A uid that is no other dyno's is what makes one safe from the others. */
static int check_users(const struct release *release, struct err *err)
{
	for (size_t i = 0; i < release->n_processes; i++) {
		const struct process *p = &release->processes[i];

		if (p->user)
			return err_set(err, -EOPNOTSUPP,
				"User of %s: a native dyno has a user of its own and cannot be %s",
				p->type, p->user);
	}
	return 0;
}

/* One more is that of NOTIFY_SOCKET. */
static int check_binds(const struct release *release, struct err *err)
{
	if (release->n_binds >= SPEC_BOX_BINDS)
		return err_set(
			err, -E2BIG, "Binds: a native dyno has %d at most", SPEC_BOX_BINDS - 1);
	for (size_t i = 0; i < release->n_binds; i++) {
		const struct bind_mount *b = &release->binds[i];

		if (strchr(b->host, ':') || strchr(b->container, ':'))
			return err_set(err, -EINVAL,
				"Binds: %s to %s: a native dyno cannot have a path with a colon",
				b->host, b->container);
	}
	return 0;
}

int native_prepare(void *state, uint64_t handle, const struct release *release, struct err *err)
{
	struct native *n = state;
	struct native_stack *stack;

	int r = check_users(release, err);
	if (r == 0)
		r = check_binds(release, err);
	if (r == 0)
		r = look(n, name_of(n, release), &stack, err);
	if (r < 0)
		return r;
	struct native_ready *ready = calloc(1, sizeof *ready);
	if (!ready)
		return err_errno(err, -ENOMEM, "native driver");
	native_warn_of_limits(n, release);
	*ready = (struct native_ready){.next = n->ready, .handle = handle};
	n->ready = ready;
	r = sd_event_source_set_enabled(n->telling, SD_EVENT_ONESHOT);
	return r < 0 ? err_errno(err, r, "event loop") : 0;
}

void native_prepare_stop(void *state, uint64_t handle)
{
	struct native *n = state;

	for (struct native_ready **at = &n->ready; *at;) {
		struct native_ready *one = *at;

		if (one->handle != handle) {
			at = &one->next;
			continue;
		}
		*at = one->next;
		free(one);
	}
}

int native_tell_ready(sd_event_source *source, void *userdata)
{
	struct native *n = userdata;
	const struct driver_context *context = n->context;
	const struct err none = {0};

	(void)source;
	while (n->ready) {
		struct native_ready *first = n->ready;
		uint64_t handle = first->handle;

		n->ready = first->next;
		free(first);
		context->events->prepared(context->userdata, handle, 0, &none);
	}
	return 0;
}

void native_stacks_done(struct native *n)
{
	while (n->ready)
		native_prepare_stop(n, n->ready->handle);
	while (n->stacks) {
		struct native_stack *first = n->stacks;

		n->stacks = first->next;
		free(first->name);
		free(first);
	}
}
