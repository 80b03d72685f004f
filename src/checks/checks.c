/* Whose turn it is. */
#include "checks/private.h"

#include "base/limits.h"

#include <errno.h>

/* That many are begun in a turn of the loop; then the others have theirs. */
#define PER_TURN 16

static int on_pump(sd_event_source *source, void *userdata)
{
	struct checks *all = userdata;

	for (unsigned i = 0; i < PER_TURN && all->first && all->n_busy < LIMIT_CHECKS_AT_ONCE;
		i++) {
		struct checker *c = all->first;

		checks_unqueue(c);
		c->has_slot = true;
		all->n_busy++;
		checker_try(c);
	}
	if (all->first && all->n_busy < LIMIT_CHECKS_AT_ONCE)
		(void)sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
	return 0;
}

struct checks *checks_new(sd_event *loop)
{
	struct checks *all = calloc(1, sizeof *all);

	if (!all)
		return NULL;
	all->loop = loop;
	if (sd_event_add_defer(loop, &all->pump, on_pump, all) < 0 ||
		sd_event_source_set_enabled(all->pump, SD_EVENT_OFF) < 0)
		return checks_free(all);
	return all;
}

struct checks *checks_free(struct checks *all)
{
	if (all)
		sd_event_source_disable_unref(all->pump);
	free(all);
	return NULL;
}

void checks_queue(struct checker *c)
{
	struct checks *all = c->all;

	c->try = TRY_WAITS;
	c->next = NULL;
	c->before = all->last;
	if (all->last)
		all->last->next = c;
	else
		all->first = c;
	all->last = c;
	if (all->n_busy < LIMIT_CHECKS_AT_ONCE)
		(void)sd_event_source_set_enabled(all->pump, SD_EVENT_ONESHOT);
}

void checks_unqueue(struct checker *c)
{
	struct checks *all = c->all;

	if (c->try != TRY_WAITS)
		return;
	c->try = TRY_NONE;
	if (c->before)
		c->before->next = c->next;
	else
		all->first = c->next;
	if (c->next)
		c->next->before = c->before;
	else
		all->last = c->before;
	c->before = c->next = NULL;
}

void checks_done(struct checker *c)
{
	c->try = TRY_NONE;
	if (!c->has_slot)
		return;
	c->has_slot = false;
	c->all->n_busy--;
	if (c->all->first)
		(void)sd_event_source_set_enabled(c->all->pump, SD_EVENT_ONESHOT);
}
