#include "io/stack_dir.h"

#include "base/fd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define LIMIT_STACKS 10000

static bool is_word(const char *text, const char *more)
{
	static const char allowed[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
	size_t len = strlen(text);

	if (len == 0 || len > STACK_NAME || text[0] == '.')
		return false;
	for (const char *c = text; *c; c++)
		if (!strchr(allowed, *c) && !strchr(more, *c))
			return false;
	return true;
}

bool stack_is_name(const char *text)
{
	return is_word(text, "._-") && strcmp(text, STACK_HOST) != 0;
}

bool stack_is_version(const char *text)
{
	return is_word(text, "._");
}

static mode_t type_of(int dir, const char *name)
{
	struct stat st;

	return fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 ? st.st_mode & S_IFMT : 0;
}

/* Fills *ret in for one name of the folder `at`; false: it is no stack. */
static bool look(int at, const char *name, struct stack_entry *ret)
{
	const char *dash = strrchr(name, '-');

	if (!stack_is_name(name) || !dash || dash == name || !stack_is_version(dash + 1))
		return false;
	_cleanup_close_ int dir = openat(at, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir < 0)
		return false;
	*ret = (struct stack_entry){.name = (size_t)(dash - name)};
	memcpy(ret->folder, name, strlen(name) + 1);
	ret->has_manifest = S_ISREG(type_of(dir, STACK_MANIFEST));
	if (S_ISDIR(type_of(dir, STACK_ROOTFS)))
		ret->kind = STACK_KIND_ROOTFS;
	else if (S_ISREG(type_of(dir, STACK_IMAGE)))
		ret->kind = STACK_KIND_IMAGE;
	else if (type_of(dir, "bin") || type_of(dir, "usr"))
		ret->kind = STACK_KIND_CLASSIC;
	return ret->kind != STACK_KIND_NONE;
}

static const char *version_of(const struct stack_entry *e)
{
	return e->folder + e->name + 1;
}

/* By name, then the newest version first. */
static int compare(const void *a, const void *b)
{
	const struct stack_entry *x = a, *y = b;
	size_t shorter = x->name < y->name ? x->name : y->name;
	int order = strncmp(x->folder, y->folder, shorter);

	if (order == 0)
		order = (x->name > y->name) - (x->name < y->name);
	if (order == 0)
		order = strverscmp(version_of(y), version_of(x));
	/* 1.0 and 1.00 are the same version to some; which is newer must not depend on the disk. */
	return order ? order : strcmp(y->folder, x->folder);
}

static int collect(DIR *d, struct stack_entry **entries, size_t *n)
{
	struct stack_entry one;
	size_t cap = 0;

	for (;;) {
		errno = 0;
		const struct dirent *e = readdir(d);
		if (!e)
			return -errno;
		if (!look(dirfd(d), e->d_name, &one))
			continue;
		int r = mem_grow(entries, &cap, *n + 1, LIMIT_STACKS, sizeof **entries);
		if (r < 0)
			return r;
		(*entries)[(*n)++] = one;
	}
}

int stack_list(const char *folder, struct stack_entry **ret_entries, size_t *ret_n, struct err *err)
{
	_cleanup_free_ struct stack_entry *entries = NULL;
	size_t n = 0;
	DIR *d = opendir(folder);

	if (!d && errno != ENOENT)
		return err_errno(err, -errno, "%.300s", folder);
	int r = d ? collect(d, &entries, &n) : 0;
	if (d)
		(void)closedir(d);
	if (r < 0)
		return err_errno(err, r, "%.300s", folder);
	if (n > 0)
		qsort(entries, n, sizeof *entries, compare);
	*ret_entries = TAKE_PTR(entries);
	*ret_n = n;
	return 0;
}

int stack_find(const char *folder, const char *name, char ret_dir[STACK_FOLDER], struct err *err)
{
	_cleanup_free_ struct stack_entry *entries = NULL;
	const struct stack_entry *found = NULL;
	size_t n = 0, len = strlen(name);

	if (strcmp(name, STACK_HOST) == 0) {
		memcpy(ret_dir, STACK_HOST, sizeof STACK_HOST);
		return 0;
	}
	if (!stack_is_name(name))
		return err_set(err, -EINVAL,
			"a stack's name is letters, digits, '.', '_' and '-', at most %d",
			STACK_NAME);
	int r = stack_list(folder, &entries, &n, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++) {
		const struct stack_entry *e = &entries[i];

		if (strcmp(e->folder, name) == 0) {
			found = e;
			break;
		}
		/* The newest comes first. */
		if (!found && e->name == len && memcmp(e->folder, name, len) == 0)
			found = e;
	}
	if (!found)
		return err_set(err, -ENOENT,
			"there is no stack '%s' in %.200s; add it: hsup stack add %s FROM", name,
			folder, name);
	memcpy(ret_dir, found->folder, sizeof found->folder);
	return 0;
}
