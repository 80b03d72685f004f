#include "drivers/stdin_dir.h"

#include "drivers/stdin_fifo.h"

#include <unistd.h>

/* An earlier supervisor may have made it. */
void stdin_dir_begin(struct stdin_dir *d, const char *path)
{
	d->path = path;
	d->used = path && access(path, F_OK) == 0;
}

/* Not when there are more: their dynos live on, for the next supervisor. */
void stdin_dir_end(struct stdin_dir *d)
{
	if (d->used)
		(void)rmdir(d->path);
}

int stdin_dir_make(struct stdin_dir *d, uint64_t id, uint32_t generation)
{
	int fd = stdin_fifo_make(d->path, id, generation);

	d->used = d->used || fd >= 0;
	return fd;
}

void stdin_dir_remove(struct stdin_dir *d, uint64_t id, uint32_t generation)
{
	if (d->used)
		stdin_fifo_remove(d->path, id, generation);
}

int stdin_dir_open(const struct stdin_dir *d, uint64_t id, uint32_t generation)
{
	return stdin_fifo_open(d->path, id, generation);
}
