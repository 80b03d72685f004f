/* Standard inputs that stay open, of the lives of this driver. */
#include "drivers/simple_private.h"
#include "drivers/stdin_fifo.h"

#include <unistd.h>

/* An earlier supervisor may have made it. */
void simple_stdin_begin(struct simple *s)
{
	s->has_stdin = s->context->stdin_dir && access(s->context->stdin_dir, F_OK) == 0;
}

/* Not when there are more: their dynos live on, for the next supervisor. */
void simple_stdin_end(struct simple *s)
{
	if (s->has_stdin)
		(void)rmdir(s->context->stdin_dir);
}

int simple_stdin_make(struct simple *s, uint64_t id, uint32_t generation)
{
	int fd = stdin_fifo_make(s->context->stdin_dir, id, generation);

	s->has_stdin = s->has_stdin || fd >= 0;
	return fd;
}

void simple_stdin_remove(struct simple *s, uint64_t id, uint32_t generation)
{
	if (s->has_stdin)
		stdin_fifo_remove(s->context->stdin_dir, id, generation);
}

int simple_open_stdin(void *state, uint64_t id, uint32_t generation)
{
	const struct simple *s = state;

	return stdin_fifo_open(s->context->stdin_dir, id, generation);
}
