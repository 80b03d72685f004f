/* `hsup stack remove`. */
#include "cli/stack.h"

#include "base/fd.h"
#include "base/file.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

/* A name alone means the only version: which of several may go is not for us to guess. */
static int choose(
	const struct stacks *s, const char *name, char ret_folder[STACK_FOLDER], struct err *err)
{
	_cleanup_free_ struct stack_entry *entries = NULL;
	_cleanup_strbuf_ struct strbuf list = STRBUF(300);
	size_t n = 0, versions = 0;

	if (strcmp(name, STACK_HOST) == 0)
		return err_set(err, -EINVAL, "'" STACK_HOST "' is the machine's own root");
	int r = stack_find(s->path, name, ret_folder, err);
	if (r < 0 || strcmp(ret_folder, name) == 0)
		return r;
	r = stack_list(s->path, &entries, &n, err);
	for (size_t i = 0; r == 0 && i < n; i++) {
		if (entries[i].name != strlen(name) ||
			memcmp(entries[i].folder, name, entries[i].name) != 0)
			continue;
		(void)strbuf_printf(&list, "%s%s", versions++ ? ", " : "", entries[i].folder);
	}
	if (r == 0 && versions > 1)
		return err_set(err, -EINVAL, "which one? %s", list.data ? list.data : name);
	return r;
}

/* Out of sight by one rename; then nobody finds half of it, and a crash leaves what the next add
 * collects. */
static int remove_now(struct stacks *s, const char *folder, struct err *err)
{
	char aside[300];

	(void)snprintf(aside, sizeof aside, STACK_WORK "%s", folder);
	int r = file_remove_tree(s->fd, aside);
	if (r == 0 && renameat(s->fd, folder, s->fd, aside) < 0)
		r = -errno;
	/* We have it: whoever has opened it meanwhile sees that it has gone. */
	if (r == 0 && s->locks >= 0)
		(void)unlinkat(s->locks, folder, 0);
	if (r == 0)
		r = fsync(s->fd) < 0 ? -errno : file_remove_tree(s->fd, aside);
	return r < 0 ? err_errno(err, r, "%s", folder) : 0;
}

/* An exit code. */
static int remove_unused(struct stacks *s, const char *folder, struct stack_hold *ret_hold)
{
	_cleanup_strbuf_ struct strbuf users = STRBUF(4000);
	struct err err = {0};

	int r = stack_users(s, folder, &users, ret_hold);
	if (r < 0 && !s->options->force)
		return command_error(
			&command_stack, "%s: cannot see who uses it: %s", folder, err_name(r));
	if (users.len > 0 && !s->options->force)
		return command_error(&command_stack,
			"%s is in use by %s; stop them, or say --force, which breaks them", folder,
			users.data);
	if (remove_now(s, folder, &err) < 0)
		return command_error(&command_stack, "%s", err.text);
	(void)printf("%s: removed\n", folder);
	return EXIT_OK;
}

int stack_remove(struct stacks *s, int n, char **operands)
{
	struct stack_hold hold = {.lock = -1, .folder = -1};
	char folder[STACK_FOLDER];
	struct err err = {0};

	if (n != 1)
		return usage_error(&command_stack, "remove takes one NAME or NAME-VERSION");
	if (stacks_open(s, false, &err) < 0 || choose(s, operands[0], folder, &err) < 0)
		return command_error(&command_stack, "%s", err.text);
	int code = remove_unused(s, folder, &hold);
	stack_hold_done(&hold);
	return code;
}
