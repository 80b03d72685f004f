/* `run` and `build`: take what the control directory has (a waiting submission before the release
 * in force), make it ready, then run one command of it, or be done. */
#include "supervisor/private.h"

#include <errno.h>

void one_off_failed(struct supervisor *s, const char *why)
{
	router_note(s->router, NULL, "error: %s", why);
	supervisor_leave(s, 1);
}

static int copy_command(struct process *p, char *const *words, size_t n)
{
	p->args = calloc(n + 1, sizeof *p->args);
	if (!p->args)
		return -ENOMEM;
	for (; p->n_args < n; p->n_args++) {
		p->args[p->n_args] = strdup(words[p->n_args]);
		if (!p->args[p->n_args])
			return -ENOMEM;
	}
	return 0;
}

static int copy_text(char **to, const char *from)
{
	*to = from ? strdup(from) : NULL;
	return from && !*to ? -ENOMEM : 0;
}

static int copy_binds(struct release *r, const struct release *base)
{
	int e = 0;

	for (size_t i = 0; e == 0 && i < base->n_binds; i++)
		e = release_bind(r, &base->binds[i]);
	return e;
}

static int fill(struct release *r, const struct release *base, const struct options *o)
{
	r->processes = calloc(1, sizeof *r->processes);
	if (!r->processes)
		return -ENOMEM;
	r->n_processes = 1;
	r->version = base->version;

	struct process *p = r->processes;
	process_init(p);
	p->restart = RESTART_NEVER;
	p->start_time = 0;
	int e = copy_text(&p->type, "run");
	if (e == 0)
		e = copy_command(p, o->command, o->n_command);
	if (e == 0)
		e = copy_text(&r->name, base->name);
	if (e == 0)
		e = copy_text(&r->slug_digest, base->slug_digest);
	if (e == 0)
		e = copy_text(&r->slug_path, base->slug_path);
	if (e == 0)
		e = copy_text(&r->stack, base->stack);
	if (e == 0)
		e = copy_binds(r, base);
	for (size_t i = 0; e == 0 && i < base->env.n; i++)
		e = env_append(&r->env, base->env.vars[i].name, base->env.vars[i].value);
	return e;
}

/* The same app with the operator's command as its only process. */
static struct release *command_release(const struct release *base, const struct options *o)
{
	struct release *r = release_new();

	if (!r)
		return NULL;
	if (fill(r, base, o) < 0)
		return release_unref(r);
	return r;
}

static void run_command(struct supervisor *s, const struct release *base)
{
	struct release *r = command_release(base, s->options);
	struct known_release *run = r ? release_learn(s, r, NULL) : NULL;

	if (run)
		run->formation = formation_new(r);
	if (!run || !run->formation) {
		one_off_failed(s, "out of memory");
		return;
	}
	/* What runs already is the command, of whatever release it was started. */
	for (size_t i = 0; i < s->n_adopted; i++)
		s->adopted[i].fingerprint = run->formation->types[0].fingerprint;
	feed(s, &(struct engine_event){.type = ENGINE_RESTORED,
			.release = run->handle,
			.formation = run->formation});
	lives_tell_engine(s);
}

void one_off_ready(struct supervisor *s, struct known_release *k)
{
	struct err err = {0};

	if (k->submission) {
		struct submission *submission = TAKE_PTR(k->submission);

		if (s->setup->source->commit(s->source_state, submission, &err) < 0) {
			one_off_failed(s, err.text);
			return;
		}
		s->setup->source->settled(s->source_state);
		release_committed(s, k);
	}
	s->in_force = k->handle;
	if (s->options->mode == MODE_BUILD)
		supervisor_leave(s, 0);
	else
		run_command(s, k->release);
}

/* All that the source had to deliver at its start has been delivered. */
static int on_idle(sd_event_source *source, void *userdata)
{
	struct supervisor *s = userdata;
	struct err err = {0};

	(void)source;
	if (s->one_off) {
		release_prepare(s, TAKE_PTR(s->one_off));
		return 0;
	}
	int r = release_restore(s, &err);
	if (r < 0)
		one_off_failed(s, err.text);
	else if (r == 0)
		one_off_failed(s, "the control directory has no release that could be used");
	return 0;
}

/* An earlier supervisor has started the command: it is waited for, and needs no release for that.
 */
static int wait_for_command(struct supervisor *s, struct err *err)
{
	struct release *none = release_new();

	if (!none)
		return err_errno(err, -ENOMEM, "command");
	run_command(s, none);
	release_unref(none);
	return 0;
}

int one_off_begin(struct supervisor *s, struct err *err)
{
	if (s->n_adopted)
		return wait_for_command(s, err);
	if (s->holds_source) {
		int r = s->setup->source->start(
			s->source_state, s->loop, &supervisor_source_events, s, err);
		if (r < 0)
			return r;
	}
	int r = sd_event_add_defer(s->loop, &s->one_off_idle, on_idle, s);
	if (r >= 0)
		r = sd_event_source_set_priority(s->one_off_idle, SD_EVENT_PRIORITY_IDLE);
	return r < 0 ? err_errno(err, r, "event loop") : 0;
}
