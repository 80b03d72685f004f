/* The stacks that releases ask for. */
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

const char *native_stack_name(const struct native *n, const struct release *release)
{
	return n->all_on_host || !release->stack ? STACK_HOST : release->stack;
}

static struct native_stack *find(const struct native *n, const struct release *release)
{
	struct native_stack *s = n->stacks;

	while (s && s->release != release)
		s = s->next;
	return s;
}

static struct native_stack *add(struct native *n, const struct release *release)
{
	struct native_stack *s = calloc(1, sizeof *s);

	if (!s)
		return NULL;
	memcpy(&s->release, &release, sizeof release); /* shared, but for its count */
	(void)release_ref(s->release);
	s->next = n->stacks;
	n->stacks = s;
	return s;
}

static void forget(struct native_stack **at)
{
	struct native_stack *s = *at;

	*at = s->next;
	release_unref(s->release);
	free(s);
}

static int take(struct native *n, const struct release *release, const char *folder,
	struct native_stack **ret_stack, struct err *err)
{
	struct native_stack *s = find(n, release);
	const char *shell = NULL;

	int r = choose_shell(n, folder, &shell, err);
	if (r < 0)
		return r;
	if (!s)
		s = add(n, release);
	if (!s) {
		(void)err_errno(err, -ENOMEM, "Stack");
		return -ENOMEM;
	}
	(void)snprintf(s->folder, sizeof s->folder, "%s", folder);
	s->shell = shell;
	s->used = false;
	*ret_stack = s;
	return 0;
}

/* The newest there is now. */
static int look(struct native *n, const struct release *release, struct native_stack **ret_stack,
	struct err *err)
{
	char folder[STACK_FOLDER];

	int r = stack_find(n->settings.stacks, native_stack_name(n, release), folder, err);
	return r < 0 ? err_wrap(err, "Stack") : take(n, release, folder, ret_stack, err);
}

int native_stack_look(struct native *n, const struct release *release, struct err *err)
{
	char folder[STACK_FOLDER];
	struct native_stack *s;

	native_stacks_tidy(n);
	if (!native_stacks_recall(n, release, folder) || take(n, release, folder, &s, err) < 0)
		return look(n, release, &s, err);
	s->used = true;
	return 0;
}

void native_stack_use(struct native *n, const struct release *release)
{
	struct native_stack *s = find(n, release);

	if (!s || s->used)
		return;
	s->used = true;
	native_stacks_save(n);
}

int native_stack_of(struct native *n, const struct release *release,
	const struct native_stack **ret_stack, struct err *err)
{
	struct native_stack *s = find(n, release);
	char path[PATH_MAX + STACK_FOLDER];
	int r = 0;

	if (s)
		(void)snprintf(path, sizeof path, "%s/%s", n->settings.stacks, s->folder);
	if (!s || (strcmp(s->folder, STACK_HOST) != 0 && access(path, F_OK) < 0))
		r = look(n, release, &s, err);
	if (r == 0)
		*ret_stack = s;
	return r;
}

void native_stacks_tidy(struct native *n)
{
	bool save = false;

	for (struct native_stack **at = &n->stacks, *s; (s = *at);) {
		if (s->release->refs > 1) {
			at = &s->next;
			continue;
		}
		save |= s->used;
		forget(at);
	}
	if (save)
		native_stacks_save(n);
}

void native_stacks_done(struct native *n)
{
	while (n->stacks)
		forget(&n->stacks);
	native_stacks_unlearn(n);
}
