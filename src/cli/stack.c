/* `hsup stack`: the roots that native dynos run on. */
#include "cli/stack.h"
#include "cli/member.h"

#include "base/fd.h"
#include "base/file.h"
#include "base/str.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define MANIFEST_MAX ((size_t)64 << 10)

static const enum option_id takes[] = {
	OPT_SET_VERSION, OPT_JSON, OPT_FORCE, OPT_COLOR, OPT_STATE_DIR, 0};

static const struct {
	const char *name, *help;
	int (*run)(struct stacks *s, int n, char **operands);
	bool names; /* its operands are stacks */
} words[] = {
	{"add", "make a stack of an archive, a folder or an image", stack_add, false},
	{"list", "show the stacks", stack_show, false},
	{"remove", "remove a stack that no dyno uses", stack_remove, true},
	{"verify", "see whether a stack is as it was added", stack_verify, true},
};

static const struct stack_helper *helper;

void cli_set_stack_helper(const struct stack_helper *of)
{
	helper = of;
}

/* An add in progress has it locked. */
static void remove_left(const struct stacks *s, const char *name)
{
	_cleanup_close_ int fd =
		openat(s->fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0)
		(void)file_remove_tree(s->fd, name);
}

static void collect(const struct stacks *s)
{
	int fd = openat(s->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);

	if (!d) {
		(void)fd_close(fd);
		return;
	}
	/* Nobody makes one, or has made one and not locked it yet. */
	if (flock(s->locks, LOCK_EX) == 0)
		for (struct dirent *e; (e = readdir(d));)
			if (strncmp(e->d_name, STACK_WORK, strlen(STACK_WORK)) == 0)
				remove_left(s, e->d_name);
	(void)flock(s->locks, LOCK_UN);
	(void)closedir(d);
}

int stacks_open(struct stacks *s, bool make, struct err *err)
{
	struct stat st;
	int r = make ? path_make(s->path, 0755, err) : 0;

	if (r < 0)
		return r;
	s->fd = open(s->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->fd < 0 && errno == ENOENT)
		return 0;
	if (s->fd < 0 || fstat(s->fd, &st) < 0)
		return err_errno(err, -errno, "%.300s", s->path);
	bool ours = st.st_uid == geteuid() && !(st.st_mode & 022);
	if (make && !ours)
		return err_set(err, -EPERM,
			"%.300s belongs to others or can be written by them: whoever may write "
			"there has the root of every dyno",
			s->path);
	if (!ours)
		return 0;
	r = stack_locks_open(s);
	if (r < 0)
		return make ? err_errno(err, r, "%.300s/" STACK_LOCKS, s->path) : 0;
	s->locks = r;
	collect(s);
	return 0;
}

void stacks_done(struct stacks *s)
{
	s->fd = fd_close(s->fd);
	s->locks = fd_close(s->locks);
}

int stacks_enter(const struct stacks *s, const char *folder)
{
	int fd = openat(s->fd, folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

json_t *stack_manifest(const struct stacks *s, const struct stack_entry *entry)
{
	_cleanup_close_ int dir = stacks_enter(s, entry->folder);
	_cleanup_close_ int fd = -1;
	_cleanup_free_ char *text = NULL;
	size_t len;

	if (dir >= 0)
		fd = openat(dir, STACK_MANIFEST,
			O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0 || file_read_fd(fd, MANIFEST_MAX, &text, &len) < 0)
		return NULL;
	json_t *manifest = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
	if (!json_is_object(manifest)) {
		json_decref(manifest);
		return NULL;
	}
	return manifest;
}

static int set_path(struct stacks *s, struct err *err)
{
	const char *why;

	return cli_box_place(s->options, BOX_PLACE_STACKS, s->path, &why, err);
}

static int run(struct options *o, int n, char **operands)
{
	struct stacks s = {.options = o, .helper = helper, .fd = -1, .locks = -1};
	struct err err = {0};
	char shown[60];
	size_t i = 0;

	if (n == 0)
		return usage_error(&command_stack, "say what: add, list, remove or verify");
	while (i < ARRAY_SIZE(words) && strcmp(words[i].name, operands[0]) != 0)
		i++;
	if (i == ARRAY_SIZE(words))
		return usage_error(&command_stack, "'%s' is none of add, list, remove and verify",
			str_printable(operands[0], strlen(operands[0]), shown, sizeof shown));
	if ((o->ask.json && words[i].run != stack_show) ||
		(o->force && words[i].run != stack_remove) ||
		(o->set_version && words[i].run != stack_add))
		return usage_error(&command_stack,
			"--json is for list, --force for remove, --set-version for add");
	int r = options_complete(o, &err);
	if (r == 0)
		r = set_path(&s, &err);
	if (r < 0)
		return options_error(&command_stack, r, &err);
	int code = words[i].run(&s, n - 1, operands + 1);
	stacks_done(&s);
	return code;
}

void offer_stacks(struct options *o, const char *first, int operands, const char *prefix)
{
	_cleanup_free_ struct stack_entry *entries = NULL;
	struct stacks s = {.options = o, .fd = -1, .locks = -1};
	struct err err;
	size_t n = 0;
	bool names = false;

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (operands == 0)
			offer(prefix, words[i].name, words[i].help);
		else if (strcmp(words[i].name, first) == 0)
			names = words[i].names;
	}
	if (!names || options_complete(o, &err) < 0 || set_path(&s, &err) < 0 ||
		stack_list(s.path, &entries, &n, &err) < 0)
		return;
	for (size_t i = 0; i < n; i++)
		offer(prefix, entries[i].folder, "a stack");
}

const struct command command_stack = {
	.name = "stack",
	.operands = "add NAME FROM | list | remove NAME[-VERSION] | verify [NAME]",
	.summary = "add, list, remove and verify the roots of native dynos",
	.help = "A stack is what a release's Stack names: the root that its dynos run on, "
		"read-only.\n"
		"FROM is a tar archive (also packed by gzip, zstd, xz or bzip2), a folder, an "
		"image of\n"
		"a file system (squashfs, erofs, ext4), an OCI layout or what 'docker save' wrote: "
		"its\n"
		"content says which. Stacks lie in HSUP_BOX_STACKS, else in stacks/ of the state "
		"directory,\n"
		"as NAME-VERSION.\n"
		"\n"
		"Examples:\n"
		"  hsup stack add heroku-24 heroku-24.tar.zst\n"
		"  hsup stack add heroku-24 saved.tar --set-version 3\n"
		"  hsup stack list\n"
		"  hsup stack verify heroku-24\n"
		"  hsup stack remove heroku-24-3\n",
	.options = takes,
	.run = run,
};
