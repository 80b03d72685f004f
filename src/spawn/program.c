#include "spawn/program.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

/* A spec that could still change would be checked as one thing and executed as another. */
int program_read(int fd, struct spec *ret_spec, void **ret_text, size_t *ret_size)
{
	struct stat st;
	int seals = fcntl(fd, F_GET_SEALS);

	if (seals < 0 || (seals & SEALS) != SEALS)
		return seals < 0 ? -errno : -EPERM;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_size <= 0 || (unsigned long long)st.st_size > LIMIT_SPEC)
		return -EBADMSG;
	void *text = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	if (text == MAP_FAILED)
		return -errno;
	int r = spec_parse(text, (size_t)st.st_size, ret_spec);
	if (r < 0) {
		(void)munmap(text, (size_t)st.st_size);
		return r;
	}
	*ret_text = text;
	*ret_size = (size_t)st.st_size;
	return 0;
}

static const char *search_path(const struct spec *spec)
{
	for (char *const *e = spec->env; *e; e++)
		if (strncmp(*e, "PATH=", 5) == 0)
			return *e + 5;
	return "/usr/local/bin:/usr/bin:/bin";
}

/* execvpe()'s search, without its memory: a candidate that is not there or not ours to run is
 * passed over, and a refusal is remembered in case nothing better comes. Returns the errno. */
static int search(const struct spec *spec)
{
	char candidate[PATH_MAX];
	size_t len = strlen(spec->program);
	bool denied = false;

	for (const char *p = search_path(spec), *next; p; p = next) {
		const char *colon = strchr(p, ':');
		size_t dir = colon ? (size_t)(colon - p) : strlen(p);
		size_t slash = dir > 0 ? 1 : 0;

		next = colon ? colon + 1 : NULL;
		if (dir + slash + len >= sizeof candidate)
			continue;
		memcpy(candidate, p, dir);
		candidate[dir] = '/';
		memcpy(candidate + dir + slash, spec->program, len + 1);
		(void)execve(candidate, spec->argv, spec->env);
		if (errno == EACCES)
			denied = true;
		else if (errno != ENOENT && errno != ENOTDIR && errno != ESTALE &&
			 errno != ENODEV && errno != ETIMEDOUT && errno != ELOOP &&
			 errno != ENAMETOOLONG)
			return errno;
	}
	return denied ? EACCES : ENOENT;
}

int program_execute(const struct spec *spec)
{
	if (!strchr(spec->program, '/'))
		return search(spec);
	(void)execve(spec->program, spec->argv, spec->env);
	return errno;
}
