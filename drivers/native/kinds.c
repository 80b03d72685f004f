/* The kinds of dynos that boxes are parked for: as long as dynos are of them. */
#include "drivers/native/private.h"

#include "base/clock.h"

#include <errno.h>

#define LOOK (5 * 60 * NSEC_PER_SEC) /* between two looks for kinds that nobody is of */

/* What was composed last is of this kind. */
static bool is_composed(const struct native *n, const struct native_kind *k)
{
	return n->spec.text.len == k->len && memcmp(n->spec.text.data, k->text, k->len) == 0;
}

static struct native_kind *find(const struct native *n)
{
	struct native_kind *k = n->warm.kinds;

	while (k && !is_composed(n, k))
		k = k->next;
	return k;
}

const struct native_kind *native_kind_of(struct native *n, const struct driver_start *start)
{
	struct err err;

	return native_compose_park(n, start, &err) < 0 ? NULL : find(n);
}

static void free_kind(struct native_kind *k)
{
	free(k->text);
	free(k->notify);
	free(k);
}

/* Of what was composed last. */
static struct native_kind *add(struct native *n, const char *notify)
{
	struct native_kind *k = calloc(1, sizeof *k);

	if (!k)
		return NULL;
	k->len = n->spec.text.len;
	k->text = malloc(k->len);
	k->notify = notify ? strdup(notify) : NULL;
	if (!k->text || (notify && !k->notify)) {
		free_kind(k);
		return NULL;
	}
	memcpy(k->text, n->spec.text.data, k->len);
	k->id = ++n->warm.n_kinds;
	k->next = n->warm.kinds;
	n->warm.kinds = k;
	return k;
}

static void drop(struct native *n, struct native_kind **at)
{
	struct native_kind *k = *at;

	*at = k->next;
	for (struct native_parked *p = n->warm.parked; p; p = p->next)
		if (p->kind == k)
			native_warm_end(n, p);
	free_kind(k);
}

static bool belongs(struct native *n, const struct native_kind *k, const struct release *release)
{
	struct err err;

	for (size_t i = 0; i < release->n_processes; i++) {
		const struct driver_start start = {
			.process = &release->processes[i],
			.release = release,
			.notify_socket = k->notify,
		};

		if (native_compose_park(n, &start, &err) == 0 && is_composed(n, k))
			return true;
	}
	return false;
}

/* Those of an older release have nobody left to wait for. */
void native_keep(void *state, const struct release *current)
{
	struct native *n = state;

	native_stacks_tidy(n);
	native_stacks_unlearn(n);
	for (struct native_kind **at = &n->warm.kinds; *at;) {
		if (belongs(n, *at, current))
			at = &(*at)->next;
		else
			drop(n, at);
	}
}

/* ---- who is of them ---- */

static void look_later(struct native *n);

/* What nobody was of at the last look, nor since. */
static int on_look(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct native *n = userdata;
	bool again = false;

	(void)source;
	(void)usec;
	n->warm.looking = sd_event_source_disable_unref(n->warm.looking);
	for (struct native_kind **at = &n->warm.kinds, *k; (k = *at);) {
		if (k->idle) {
			drop(n, at);
			continue;
		}
		k->idle = k->n_lives == 0;
		again |= k->idle;
		at = &k->next;
	}
	if (again)
		look_later(n);
	return 0;
}

/* Without a timer they stay until another release is in force. */
static void look_later(struct native *n)
{
	if (!n->warm.looking)
		(void)sd_event_add_time_relative(n->context->loop, &n->warm.looking,
			CLOCK_MONOTONIC, LOOK / NSEC_PER_USEC, 0, on_look, n);
}

int native_kind_join(struct native *n, const struct driver_start *start, struct native_life *life)
{
	struct native_kind *k;
	struct err err;

	int r = native_compose_park(n, start, &err);
	if (r < 0)
		return r;
	k = find(n);
	if (!k)
		k = add(n, start->notify_socket);
	if (!k)
		return -ENOMEM;
	k->n_lives++;
	k->idle = false;
	life->kind = k->id;
	return 0;
}

void native_kind_leave(struct native *n, struct native_life *life)
{
	struct native_kind *k = n->warm.kinds;

	while (k && k->id != life->kind)
		k = k->next;
	life->kind = 0;
	if (k && --k->n_lives == 0)
		look_later(n);
}

void native_kinds_done(struct native *n)
{
	for (struct native_kind *k = n->warm.kinds, *next; k; k = next) {
		next = k->next;
		free_kind(k);
	}
	n->warm.kinds = NULL;
	n->warm.looking = sd_event_source_disable_unref(n->warm.looking);
}
