/* The supervisor's life: wake up, find what runs, catch up, go on until all is done. */
#include "supervisor/private.h"

#include "supervisor/notify.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#define DRAIN_AT_END (2 * NSEC_PER_SEC)

const char *supervisor_app(const struct supervisor *s, const struct release *r)
{
	if (r && r->name)
		return r->name;
	if (s->options->app)
		return s->options->app;
	if (s->options->mode == MODE_UP)
		return "hsup";
	const char *slash = strrchr(s->options->control_dir, '/');
	return slash && slash[1] ? slash + 1 : s->options->control_dir;
}

void supervisor_begin_source(struct supervisor *s)
{
	struct err err = {0};

	if (s->source_begun || s->stopping)
		return;
	s->source_begun = true;
	if (s->setup->source->start(s->source_state, s->loop, &supervisor_source_events, s, &err) <
		0) {
		router_note(s->router, NULL, "error: %s", err.text);
		notify_failed(&err);
		supervisor_leave(s, 1);
		return;
	}
	tell_ready(s);
}

void supervisor_restored(struct supervisor *s, struct known_release *k)
{
	const struct known_release *before = release_known(s, s->fallback);

	if (k) {
		bool had_settled = s->had_settled && k->handle == s->restoring;

		s->restoring = 0;
		s->in_force = k->handle;
		feed(s, &(struct engine_event){.type = ENGINE_RESTORED,
				.release = k->handle,
				.formation = k->formation,
				.settled = before	 ? before->handle
					   : had_settled ? k->handle
							 : 0,
				.settled_formation = before ? before->formation : NULL});
	}
	lives_tell_engine(s);
	supervisor_begin_source(s);
}

/* With dynos running this is a crash to come back from: the launcher leaves them alone and starts
 * us again. With none it is the end, and the user's to mend. */
static void cannot_begin(struct supervisor *s, const struct err *err)
{
	router_note(s->router, NULL, "error: %s", err->text);
	notify_failed(err);
	if (s->n_adopted)
		supervisor_exit(s, 1);
	else
		supervisor_leave(s, 1);
}

static int open_house(struct supervisor *s, struct err *err)
{
	int r = s->setup->open_source(s->options, &s->source_state, &s->holds_source, err);

	if (r == 0)
		r = feed_start_engine(s, err);
	if (r < 0)
		return r;
	if ((s->setup->driver->caps & DRIVER_DRY) || s->options->mode == MODE_UP)
		return 0;
	s->slugs = slugs_open(s->loop, s->options->state_dir, s->options->control_dir,
		s->setup->slug_helper, s->options->supervisor_user, isatty(STDERR_FILENO), err);
	return s->slugs ? 0 : err->code;
}

/* Dynos do not depend on whether somebody can ask about them. */
static void open_control(struct supervisor *s)
{
	const struct control_ops *ops = s->setup->control;
	struct err err = {0};

	if (!ops || !run_mode_lasts(s->options->mode))
		return;
	int r = ops->open(s, s->loop, s->options, &s->control, &err);
	if (r < 0) {
		router_note(s->router, NULL, "error: there is no control API: %s", err.text);
		record_text(s, RECORD_SUPERVISOR, NULL, 0, "no control API: %s", err.text);
	}
}

/* Nothing is made ready any more, but what is written down of the releases says how each dyno wants
 * to be stopped. */
void supervisor_stop_found(struct supervisor *s)
{
	struct known_release *both[] = {
		release_known(s, s->restoring), release_known(s, s->fallback)};

	s->preparing = 0;
	for (size_t i = 0; i < ARRAY_SIZE(both); i++)
		if (both[i] && !both[i]->formation)
			both[i]->formation = formation_new(both[i]->release);
	if (both[1] && !both[1]->formation)
		s->fallback = 0;
	supervisor_restored(s, both[0] && both[0]->formation ? both[0] : NULL);
}

void supervisor_adopted(struct supervisor *s, int r)
{
	struct err err = {0};

	s->listed = true;

	if (r < 0) {
		router_note(s->router, NULL, "error: what runs cannot be listed: %s", err_name(r));
		supervisor_exit(s, 1);
		return;
	}
	if (s->n_adopted)
		router_note(s->router, NULL, "found %zu dynos running%s", s->n_found_running,
			s->n_found_running < s->n_adopted ? ", and some that have ended" : "");
	if (open_house(s, &err) < 0) {
		router_adopted(s->router);
		cannot_begin(s, &err);
		return;
	}
	logs_open_rings(s);
	open_control(s);
	if (!run_mode_lasts(s->options->mode)) {
		router_adopted(s->router);
		if (one_off_begin(s, &err) < 0)
			cannot_begin(s, &err);
		return;
	}
	r = release_restore(s, &err);
	if (r < 0)
		router_note(s->router, NULL, "error: %s", err.text);
	logs_adopted(s);
	if (s->stopping)
		supervisor_stop_found(s);
	else if (r <= 0)
		supervisor_restored(s, NULL);
}

/* What is wrong is said by the settings or the control directory: the next supervisor would find it
 * so, too. */
static int not_for_another_try(struct supervisor *s, int r)
{
	s->exit_code = SUPERVISOR_EXIT_FATAL;
	return r;
}

static int begin(struct supervisor *s, struct err *err)
{
	int r = sd_event_new(&s->loop);

	if (r < 0)
		return err_errno(err, r, "event loop");
	r = logs_open(s, err);
	if (r < 0)
		return r;
	r = events_begin(s);
	if (r < 0)
		return err_errno(err, r, "event loop");
	/* Ids are of microseconds of the wall clock: above all that an earlier supervisor gave. */
	s->recorder = recorder_new(clock_wall() / NSEC_PER_USEC);
	if (!s->recorder)
		return err_errno(err, -ENOMEM, "recorder");
	record_text(s, RECORD_SUPERVISOR, NULL, 0, "started, pid %d", (int)getpid());
	r = diag_begin(s);
	if (r < 0)
		return err_errno(err, r, "event loop");
	r = run_mode_lasts(s->options->mode) ? tell_begin(s) : 0;
	if (r < 0)
		return err_errno(err, r, "event loop");

	r = launch_open(
		s->loop, s->setup->launcher_fd, &supervisor_launch_events, s, &s->launch, err);
	if (r < 0)
		return r;
	if (s->options->app_dir && run_mode_lasts(s->options->mode) &&
		asprintf(&s->stdin_dir, "%s/stdin", s->options->app_dir) < 0)
		return err_errno(err, -ENOMEM, "runtime directory");
	if (s->setup->driver->caps & DRIVER_LEAVES) {
		r = owner_find(s->options->control_dir, s->owner, err);
		if (r < 0)
			return not_for_another_try(s, r);
	}
	s->driver_context = (struct driver_context){
		.loop = s->loop,
		.launch = s->launch,
		.shell = access("/bin/bash", X_OK) == 0 ? "/bin/bash" : "/bin/sh",
		/* The daemon's dynos are its apps' launchers, which stay who they are. */
		.dyno_user = s->options->mode == MODE_UP ? NULL : s->options->dyno_user,
		.dyno_ids = s->options->supervisor_user || geteuid() == 0 ? &s->options->dyno_ids
									  : NULL,
		.stdin_dir = s->stdin_dir,
		.warm = s->options->warm,
		.slug_helper = s->setup->slug_helper,
		.control_dir = s->options->control_dir,
		.owner = s->owner,
		.state_dir = s->options->state_dir,
		.app_dir = s->options->app_dir,
		.lasts = run_mode_lasts(s->options->mode),
		.events = &supervisor_driver_events,
		.userdata = s,
	};
	r = s->setup->driver->open(&s->driver_context, &s->driver_state, err);
	if (r < 0)
		return not_for_another_try(s, r);
	if (!s->setup->driver->adopt) {
		supervisor_adopted(s, 0);
		return 0;
	}
	r = s->setup->driver->adopt(s->driver_state);
	return r < 0 ? err_errno(err, r, "list of what runs") : 0;
}

static void end(struct supervisor *s)
{
	if (s->control)
		s->setup->control->close(s->control);
	if (s->router) {
		router_disown(s->router);
		router_flush(s->router, DRAIN_AT_END);
	}
	if (s->driver_state)
		s->setup->driver->close(TAKE_PTR(s->driver_state));
	/* What it has said at its end. */
	if (s->router)
		router_flush(s->router, 0);
	launch_close(s->launch);
	engine_free(s->engine);
	s->engine = NULL;
	while (s->releases) {
		/* What is still on its way in stays with the source: the next start takes it up. */
		s->releases->submission = NULL;
		release_forget(s, s->releases);
	}
	slugs_close(s->slugs);
	if (s->source_state)
		s->setup->source->close(s->source_state);
	lives_free(s);
	checks_close(s);
	usage_free(s);
	log_set_sink(NULL, NULL);
	router_free(s->router);
	logs_close_rings(s);
	/* Whatever is still in it is of somebody who wants it kept. */
	if (s->exit_code == SUPERVISOR_EXIT_DONE && s->options->app_dir)
		(void)rmdir(s->options->app_dir);
	answer_close(s->answer);
	sd_event_source_disable_unref(s->tell);
	sd_event_source_disable_unref(s->timer);
	sd_event_source_disable_unref(s->acknowledge);
	sd_event_source_disable_unref(s->retry);
	sd_event_source_disable_unref(s->progress);
	sd_event_source_disable_unref(s->linger);
	sd_event_source_disable_unref(s->one_off_idle);
	sd_event_source_disable_unref(s->restore_again);
	sd_event_unref(s->loop);
	diag_end();
	recorder_free(s->recorder);
	free(s->queue);
	free(s->sorted);
	free(s->stdin_dir);
	free(s->adopted);
	free(s->previous_digest);
	free(s);
}

int supervisor_run(const struct supervisor_setup *setup)
{
	struct supervisor *s = calloc(1, sizeof *s);
	struct err err = {0};

	if (!s) {
		log_error("out of memory");
		return SUPERVISOR_EXIT_FATAL;
	}
	s->setup = setup;
	s->options = setup->options;
	s->exit_code = 1;
	s->begun = clock_now();
	(void)signal(SIGPIPE, SIG_IGN);

	int r = begin(s, &err);
	if (r < 0)
		log_error("%s", err.text), notify_failed(&err);
	else
		(void)loop_run(s);

	/* Another version of the wire will not change by trying again. */
	int code = err.code == -EPROTO ? SUPERVISOR_EXIT_FATAL : s->exit_code;
	end(s);
	return code;
}
