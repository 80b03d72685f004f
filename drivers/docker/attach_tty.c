/* The caller's terminal, while the container's stands for it. */
#include "drivers/docker/attach_private.h"

#include "base/clock.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define AGAIN	  (20 * NSEC_PER_MSEC)
#define TRIES_MAX 20

bool attach_is_tty(const int stdio[3])
{
	return isatty(stdio[0]) && isatty(stdio[1]) && attach_is_ours(stdio[0]);
}

/* ---- what the container is to be created with ---- */

/* The member of that name, made when there is none. Borrowed; NULL = out of memory. */
static json_t *member(json_t *o, const char *name, json_t *(*make)(void))
{
	json_t *m = json_object_get(o, name);

	if (m)
		return m;
	return json_object_set_new(o, name, make()) == 0 ? json_object_get(o, name) : NULL;
}

/* LINES and COLUMNS would outlive the next resize, and programs believe them. */
static int add_term(json_t *create)
{
	json_t *env = member(create, "Env", json_array), *one;
	const char *term = getenv("TERM");
	char text[200];
	size_t i;

	if (!env)
		return -ENOMEM;
	json_array_foreach(
		env, i, one) if (json_is_string(one) &&
				 strncmp(json_string_value(one), "TERM=", 5) == 0) return 0;
	(void)snprintf(text, sizeof text, "TERM=%.100s", term && *term ? term : "xterm");
	json_t *value = json_string(text); /* NULL also when it is not UTF-8 */
	return json_array_append_new(env, value ? value : json_string("TERM=xterm")) == 0 ? 0
											  : -ENOMEM;
}

int attach_compose(json_t *create, const int stdio[3])
{
	static const char *const always[] = {
		"OpenStdin", "StdinOnce", "AttachStdin", "AttachStdout", "AttachStderr"};
	bool tty = attach_is_tty(stdio);
	json_t *host = member(create, "HostConfig", json_object);

	if (!host ||
		json_object_set_new(host, "LogConfig", json_pack("{s:s}", "Type", "none")) < 0 ||
		json_object_set_new(create, "Tty", json_boolean(tty)) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < ARRAY_SIZE(always); i++)
		if (json_object_set_new(create, always[i], json_true()) < 0)
			return -ENOMEM;
	return tty ? add_term(create) : 0;
}

/* ---- its size ---- */

static void resize(struct attach *a);

static int on_again(sd_event_source *source, uint64_t usec, void *userdata)
{
	(void)source;
	(void)usec;
	resize(userdata);
	return 0;
}

/* The engine may have started it and not know yet of a terminal to resize. */
static void on_resized(
	void *userdata, int r, unsigned status, json_t *answer, const struct err *err)
{
	struct attach *a = userdata;
	struct attach_tty *t = &a->tty;

	(void)status;
	(void)answer;
	(void)err;
	t->resizing = NULL;
	t->tries = r < 0 ? t->tries + 1 : 0;
	if (t->changed) {
		resize(a);
		return;
	}
	if (r == 0 || t->tries > TRIES_MAX || !t->again)
		return;
	(void)sd_event_source_set_time_relative(t->again, AGAIN / NSEC_PER_USEC);
	(void)sd_event_source_set_enabled(t->again, SD_EVENT_ONESHOT);
}

static void resize(struct attach *a)
{
	struct attach_tty *t = &a->tty;
	struct winsize size;
	char path[200];
	struct err err;

	t->changed = t->resizing != NULL;
	if (t->resizing)
		return;
	/* A serial line does not know. */
	if (ioctl(a->stdio[0], TIOCGWINSZ, &size) < 0 || size.ws_row == 0 || size.ws_col == 0)
		size = (struct winsize){.ws_row = 24, .ws_col = 80};
	(void)snprintf(path, sizeof path, "/containers/%.100s/resize?h=%u&w=%u", a->container,
		size.ws_row, size.ws_col);
	struct engine_request request = {.method = "POST", .path = path};
	/* Without it the terminal is of a wrong size: no reason to end. */
	if (engine_ask(a->engine, &request, on_resized, a, &t->resizing, &err) < 0)
		t->resizing = NULL;
}

static int on_winch(sd_event_source *source, const struct signalfd_siginfo *si, void *userdata)
{
	(void)source;
	(void)si;
	resize(userdata);
	return 0;
}

/* ---- raw ---- */

static void make_raw(struct attach_tty *t, int fd)
{
	if (tcgetattr(fd, &t->before) < 0)
		return;
	struct termios raw = t->before;
	cfmakeraw(&raw);
	t->raw = tcsetattr(fd, TCSANOW, &raw) == 0;
}

void attach_tty_begin(struct attach *a)
{
	struct attach_tty *t = &a->tty;
	sigset_t winch;

	if (!t->on || t->begun)
		return;
	t->begun = true;
	make_raw(t, a->stdio[0]);
	(void)sigemptyset(&winch);
	(void)sigaddset(&winch, SIGWINCH);
	(void)sigprocmask(SIG_BLOCK, &winch, NULL);
	(void)sd_event_add_signal(a->loop, &t->winch, SIGWINCH, on_winch, a);
	if (sd_event_add_time_relative(a->loop, &t->again, CLOCK_MONOTONIC, 0, 1000, on_again, a) >=
		0)
		(void)sd_event_source_set_enabled(t->again, SD_EVENT_OFF);
	resize(a);
}

/* TCSANOW: a terminal whose output somebody has stopped would have us wait. Not of another job's:
 * its shell has taken it from us, and has put it back itself. */
void attach_tty_end(struct attach *a)
{
	struct attach_tty *t = &a->tty;

	engine_cancel(TAKE_PTR(t->resizing));
	t->winch = sd_event_source_disable_unref(t->winch);
	t->again = sd_event_source_disable_unref(t->again);
	if (t->raw && attach_is_ours(a->stdio[0]))
		(void)tcsetattr(a->stdio[0], TCSANOW, &t->before);
	t->raw = false;
}
