/* Which versions of their stacks the releases have that dynos run of: written down for the
 * supervisor that comes after this one. A line for each, VERSION STACK FOLDER, in the folder of
 * what this app runs, which is gone after a boot as its dynos are. */
#include "drivers/native/private.h"

#include "base/fd.h"
#include "base/file.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define NAME	   "stacks"
#define MODE	   0600
#define MOST_BYTES ((size_t)1 << 20)

static int open_folder(const struct native *n)
{
	int fd = open(n->context->app_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static bool is_kept(const struct native *n)
{
	return n->context->lasts && n->context->app_dir;
}

static void add_head(struct strbuf *text, const struct native *n, const struct release *release)
{
	(void)strbuf_printf(
		text, "%lld %s ", (long long)release->version, native_stack_name(n, release));
}

void native_stacks_save(const struct native *n)
{
	_cleanup_strbuf_ struct strbuf text = STRBUF(MOST_BYTES);

	if (!is_kept(n))
		return;
	for (const struct native_stack *s = n->stacks; s; s = s->next) {
		if (!s->used)
			continue;
		add_head(&text, n, s->release);
		(void)strbuf_printf(&text, "%s\n", s->folder);
	}
	_cleanup_close_ int folder = text.error ? text.error : open_folder(n);
	int r = folder < 0 ? folder : file_replace(folder, NAME, text.data, text.len, MODE);
	if (r < 0)
		native_note(n, "the versions of stacks could not be written down: %s", err_name(r));
}

void native_stacks_load(struct native *n)
{
	size_t len;

	/* Who has nothing to take over begins anew. */
	if (!is_kept(n) || n->n_lives == 0)
		return;
	_cleanup_close_ int folder = open_folder(n);
	int r = folder < 0 ? folder : file_read(folder, NAME, MOST_BYTES, &n->found_stacks, &len);
	if (r < 0 && r != -ENOENT)
		native_note(n, "the versions of stacks could not be read: %s", err_name(r));
}

void native_stacks_remove(const struct native *n)
{
	_cleanup_close_ int folder = is_kept(n) ? open_folder(n) : -1;

	if (folder >= 0)
		(void)unlinkat(folder, NAME, 0);
}

static bool take(const char *from, char ret_folder[STACK_FOLDER])
{
	size_t len = strcspn(from, "\n");

	if (len == 0 || len >= STACK_FOLDER)
		return false;
	(void)snprintf(ret_folder, STACK_FOLDER, "%.*s", (int)len, from);
	return stack_is_name(ret_folder) || strcmp(ret_folder, STACK_HOST) == 0;
}

/* What is in force, of which none may have been started yet, and what was before it, are made ready
 * first. Of a number that is none of these, though it is no later one, nothing is known any more:
 * the numbers have begun anew. */
bool native_stacks_recall(
	struct native *n, const struct release *release, char ret_folder[STACK_FOLDER])
{
	_cleanup_strbuf_ struct strbuf head = STRBUF(MOST_BYTES);

	long long last = 0;

	add_head(&head, n, release);
	for (const char *line = head.error ? NULL : n->found_stacks; line;) {
		if (strncmp(line, head.data, head.len) == 0 && take(line + head.len, ret_folder))
			return true;
		long long version = strtoll(line, NULL, 10);
		last = version > last ? version : last;
		line = strchr(line, '\n');
		line = line ? line + 1 : NULL;
	}
	if (release->version <= last)
		native_stacks_unlearn(n);
	return false;
}

void native_stacks_unlearn(struct native *n)
{
	free(n->found_stacks);
	n->found_stacks = NULL;
}
