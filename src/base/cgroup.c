#include "base/cgroup.h"

#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define LINE 4096 /* of mountinfo; an overlay's may be longer, ours never are */

static const char *const names[CGROUP_CONTROLLERS] = {
	[CGROUP_MEMORY] = "memory",
	[CGROUP_CPU] = "cpu",
	[CGROUP_PIDS] = "pids",
	[CGROUP_CPUACCT] = "cpuacct",
};

/* Is `word` one of those of `list`, which are parted by `by`? */
static bool has_word(const char *list, const char *word, char by)
{
	size_t len = strlen(word);

	for (const char *p = list; p; p = strchr(p, by)) {
		if (*p == by)
			p++;
		if (strncmp(p, word, len) == 0 &&
			(p[len] == '\0' || p[len] == by || p[len] == '\n'))
			return true;
	}
	return false;
}

/* Spaces and the like are octal in mountinfo. */
static void unescape(char *text)
{
	char *out = text;

	for (const char *p = text; *p; out++) {
		if (p[0] == '\\' && p[1] >= '0' && p[1] <= '3' && p[2] >= '0' && p[2] <= '7' &&
			p[3] >= '0' && p[3] <= '7') {
			*out = (char)((p[1] - '0') << 6 | (p[2] - '0') << 3 | (p[3] - '0'));
			p += 4;
		} else {
			*out = *p++;
		}
	}
	*out = '\0';
}

static void take(char folder[CGROUP_PATH], const char *place)
{
	if (!folder[0])
		(void)snprintf(folder, CGROUP_PATH, "%s", place);
}

/* Something else was mounted there: what was is not to be reached any more. */
static void forget(struct cgroup_layout *l, const char *place)
{
	if (strcmp(l->unified, place) == 0)
		l->unified[0] = '\0';
	for (int c = 0; c < CGROUP_CONTROLLERS; c++)
		if (strcmp(l->v1[c], place) == 0)
			l->v1[c][0] = '\0';
}

/* id parent major:minor ROOT PLACE OPTIONS [optional]... - TYPE SOURCE SUPER */
void cgroup_layout_mount(struct cgroup_layout *l, char *line)
{
	char *fields[6], *rest = line;

	for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
		if (!(fields[i] = strsep(&rest, " ")))
			return;
	char *place = fields[4], *separator = rest ? strstr(rest, "- ") : NULL;
	if (!separator)
		return;
	unescape(place);
	rest = separator + 2;
	const char *type = strsep(&rest, " "), *source = strsep(&rest, " ");
	if (!source || !rest)
		return;
	forget(l, place);
	/* A container that may not write there: there is nothing to be made. */
	if (strlen(place) >= CGROUP_PATH || has_word(fields[5], "ro", ','))
		return;
	if (strcmp(type, "cgroup2") == 0) {
		take(l->unified, place);
	} else if (strcmp(type, "cgroup") == 0) {
		for (int c = 0; c < CGROUP_CONTROLLERS; c++)
			if (has_word(rest, names[c], ','))
				take(l->v1[c], place);
	}
}

void cgroup_layout_controllers(struct cgroup_layout *l, const char *text)
{
	l->controllers = 0;
	for (int c = 0; c < CGROUP_CONTROLLERS; c++)
		if (has_word(text, names[c], ' '))
			l->controllers |= 1U << c;
}

bool cgroup_own(const char *text, char ret_path[CGROUP_PATH])
{
	for (const char *p = text; p && *p; p = strchr(p, '\n')) {
		p += *p == '\n';
		if (strncmp(p, "0::/", 4) != 0)
			continue;
		size_t len = strcspn(p + 3, "\n");
		if (len >= CGROUP_PATH)
			return false;
		(void)snprintf(ret_path, CGROUP_PATH, "%.*s", (int)len, p + 3);
		return true;
	}
	return false;
}

/* The whole of a small file; "" when it cannot be read. */
static void read_text(const char *folder, const char *name, char *ret, size_t size)
{
	char path[CGROUP_PATH + 32];

	ret[0] = '\0';
	(void)snprintf(path, sizeof path, "%s/%s", folder, name);
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : fd_read_full(fd, ret, size - 1);
	ret[n < 0 ? 0 : n] = '\0';
}

/* Lines that do not fit are passed over: no hierarchy's is that long. */
static int read_mounts(struct cgroup_layout *l, int fd)
{
	char text[LINE];
	size_t len = 0;
	bool skipping = false;

	for (;;) {
		ssize_t n = read(fd, text + len, sizeof text - len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : 0;
		len += (size_t)n;
		char *at = text;
		for (char *end; (end = memchr(at, '\n', len)); at = end + 1) {
			*end = '\0';
			if (!skipping)
				cgroup_layout_mount(l, at);
			skipping = false;
			len -= (size_t)(end + 1 - at);
		}
		if (len == sizeof text) {
			skipping = true;
			len = 0;
		}
		memmove(text, at, len);
	}
}

/* Where there are processes, controllers for its children can be had by the root of all only, which
 * has no type: memory's are refused, and with the others' no process could be in a child. */
static void find_controllers(struct cgroup_layout *l)
{
	char text[512];

	read_text(l->unified, "cgroup.type", text, sizeof text);
	if (text[0])
		read_text(l->unified, "cgroup.procs", text, sizeof text);
	if (text[0])
		return;
	read_text(l->unified, "cgroup.controllers", text, sizeof text);
	cgroup_layout_controllers(l, text);
}

int cgroup_layout_load(struct cgroup_layout *ret)
{
	_cleanup_close_ int fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
	struct cgroup_layout l = {0};

	if (fd < 0)
		return -errno;
	int r = read_mounts(&l, fd);
	if (r < 0)
		return r;
	if (l.unified[0])
		find_controllers(&l);
	*ret = l;
	return 0;
}

void cgroup_layout_delegated(struct cgroup_layout *l)
{
	char text[2048] = "", own[CGROUP_PATH], folder[2 * CGROUP_PATH];

	memset(l->v1, 0, sizeof l->v1);
	l->controllers = 0;
	if (!l->unified[0])
		return;
	read_text("/proc/self", "cgroup", text, sizeof text);
	if (!cgroup_own(text, own))
		own[0] = '\0';
	(void)snprintf(folder, sizeof folder, "%s%s", l->unified, strcmp(own, "/") == 0 ? "" : own);
	if (!own[0] || strlen(folder) >= CGROUP_PATH || access(folder, W_OK) < 0) {
		l->unified[0] = '\0';
		return;
	}
	memcpy(l->unified, folder, strlen(folder) + 1);
	find_controllers(l);
}

const char *cgroup_folder(const struct cgroup_layout *l, enum cgroup_controller c)
{
	if (l->v1[c][0])
		return l->v1[c];
	return l->controllers & 1U << c ? l->unified : NULL;
}
