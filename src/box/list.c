#include "box/list.h"

#include <dirent.h>
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

/* As the kernel has it: libc's opendir() would allocate. */
struct entry {
	uint64_t inode;
	int64_t offset;
	uint16_t size;
	uint8_t type;
	char name[];
};

const char *list_next(struct list *l, bool *ret_folder)
{
	for (;;) {
		if (l->at == l->len) {
			long n = syscall(SYS_getdents64, l->fd, l->data, sizeof l->data);

			l->failed = n < 0;
			if (n <= 0)
				return NULL;
			l->at = 0;
			l->len = (size_t)n;
		}
		const struct entry *e = (const void *)(l->data + l->at);
		l->at += e->size;
		if (strcmp(e->name, ".") == 0 || strcmp(e->name, "..") == 0)
			continue;
		*ret_folder = e->type == DT_DIR;
		return e->name;
	}
}

/* One byte of the file; -1: no more. */
static int next_byte(struct list *l)
{
	if (l->at == l->len) {
		ssize_t n;

		do
			n = read(l->fd, l->data, sizeof l->data);
		while (n < 0 && errno == EINTR);
		l->failed = n < 0;
		if (n <= 0)
			return -1;
		l->at = 0;
		l->len = (size_t)n;
	}
	return (unsigned char)l->data[l->at++];
}

pid_t list_next_pid(struct list *l)
{
	pid_t pid = 0;

	for (;;) {
		int c = next_byte(l);
		if (c >= '0' && c <= '9') {
			pid = pid * 10 + (c - '0');
			continue;
		}
		if (pid > 1)
			return pid;
		if (c < 0)
			return 0;
		pid = 0;
	}
}
