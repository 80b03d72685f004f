#include "logs/notes.h"

#include <stdlib.h>
#include <string.h>

void notes_init(struct notes *n)
{
	STAILQ_INIT(&n->list);
}

void notes_done(struct notes *n)
{
	while (notes_first(n))
		notes_pop(n);
}

static size_t weight(const struct note *note)
{
	return sizeof *note + note->len + strlen(note->procid) + 1;
}

void notes_add(struct notes *n, uint64_t wall_ns, const char *procid, const char *text, size_t len)
{
	size_t name = strlen(procid) + 1;
	struct note *note = NULL;

	/* Once one is dropped, all later ones are until the count is told: what was told last must
	 * not stand before what was lost. */
	if (!n->untold && n->bytes + sizeof *note + len + name <= NOTES_BYTES)
		note = malloc(sizeof *note + len + name);
	if (!note) {
		n->dropped++;
		n->untold++;
		return;
	}
	*note = (struct note){.wall_ns = wall_ns, .len = len};
	memcpy(note->text, text, len);
	memcpy(note->text + len, procid, name);
	note->procid = note->text + len;
	n->bytes += weight(note);
	STAILQ_INSERT_TAIL(&n->list, note, link);
}

struct note *notes_first(struct notes *n)
{
	return STAILQ_FIRST(&n->list);
}

void notes_pop(struct notes *n)
{
	struct note *note = STAILQ_FIRST(&n->list);

	STAILQ_REMOVE_HEAD(&n->list, link);
	n->bytes -= weight(note);
	free(note);
}
