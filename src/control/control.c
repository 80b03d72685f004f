#include "control/control.h"

#include "base/fd.h"
#include "base/log.h"
#include "control/listen.h"
#include "control/server.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>

#define CLOCK_STEP (NSEC_PER_MSEC) /* less is not a clock that was set, but how long it took */

struct control_state {
	struct control control;
	struct server *server;
	char *path; /* of the Unix socket that is served; NULL = none */
	ino_t inode;
};

uint64_t control_wall(struct control *c, uint64_t mono)
{
	uint64_t now = clock_wall() - clock_now();
	int64_t moved = (int64_t)(now - c->wall_minus_mono);

	if (moved > (int64_t)CLOCK_STEP || moved < -(int64_t)CLOCK_STEP)
		c->wall_minus_mono = now;
	return mono ? mono + c->wall_minus_mono : 0;
}

static int owner_of(const char *text, struct listen_rights *rights, struct err *err)
{
	const char *colon = strchr(text, ':');
	char user[64];

	(void)snprintf(
		user, sizeof user, "%.*s", colon ? (int)(colon - text) : (int)strlen(text), text);
	if (*user) {
		const struct passwd *p = getpwnam(user);

		if (!p)
			return err_set(err, -ENOENT, "--socket-owner: no user %s", user);
		rights->owner = p->pw_uid;
	}
	if (colon && colon[1]) {
		const struct group *g = getgrnam(colon + 1);

		if (!g)
			return err_set(err, -ENOENT, "--socket-owner: no group %.60s", colon + 1);
		rights->group = g->gr_gid;
	}
	return 0;
}

static int open_unix(
	struct control_state *st, const struct options *o, int *ret_fd, struct err *err)
{
	struct listen_rights rights = {
		.mode = o->socket_mode >= 0   ? (mode_t)o->socket_mode
			: o->n_control_grants ? 0666 /* who is who, the kernel says */
					      : 0600,
		.owner = (uid_t)-1,
		.group = (gid_t)-1,
	};

	if (o->control_socket ? !strcmp(o->control_socket, "none") : !o->app_dir)
		return 0;
	_cleanup_free_ char *path = NULL;
	if (o->control_socket)
		path = strdup(o->control_socket);
	else if (asprintf(&path, "%s/control.sock", o->app_dir) < 0)
		path = NULL;
	if (!path)
		return err_errno(err, -ENOMEM, "control socket");
	int r = o->socket_owner ? owner_of(o->socket_owner, &rights, err) : 0;
	if (r == 0)
		r = listen_unix(path, &rights, ret_fd, err);
	if (r < 0)
		return r;
	st->inode = listen_inode(path);
	st->control.socket = st->path = TAKE_PTR(path);
	return 0;
}

static int open_tcp(
	const struct options *o, int *ret_fd, struct tokens **ret_tokens, struct err *err)
{
	unsigned port = 0;

	if (!o->listen)
		return 0;
	if (!o->token_file)
		return err_set(err, -EINVAL, "--listen needs --token-file");
	struct tokens *tokens = tokens_new(o->token_file);
	if (!tokens)
		return err_errno(err, -ENOMEM, "token file");
	int r = tokens_check(tokens, err);
	if (r == 0)
		r = listen_tcp(o->listen, ret_fd, &port, err);
	if (r < 0) {
		(void)tokens_free(tokens);
		return r;
	}
	log_info("control: listens at %.*s:%u", (int)(strrchr(o->listen, ':') - o->listen),
		o->listen, port);
	*ret_tokens = tokens;
	return 0;
}

static void close_control(void *state)
{
	struct control_state *st = state;

	if (!st)
		return;
	/* First: who comes now is not to find a door that nobody opens. */
	if (st->path)
		listen_unlink(st->path, st->inode);
	(void)server_close(st->server);
	(void)page_unref(st->control.dynos);
	if (st->control.s)
		events_close(&st->control);
	free(st->path);
	free(st);
}

static int open_control(struct supervisor *s, sd_event *loop, const struct options *options,
	void **ret_state, struct err *err)
{
	struct tokens *tokens = NULL;
	int unix_fd = -1, tcp_fd = -1;
	struct err other;

	*ret_state = NULL;
	if (!run_mode_lasts(options->mode))
		return 0;
	struct control_state *st = calloc(1, sizeof *st);
	if (!st)
		return err_errno(err, -ENOMEM, "control API");
	st->control = (struct control){.options = options};
	int r = open_unix(st, options, &unix_fd, err);
	int q = open_tcp(options, &tcp_fd, &tokens, r < 0 ? &other : err);
	if (r < 0 && q < 0)
		log_error("control: %s", other.text);
	if (unix_fd < 0 && tcp_fd < 0) {
		close_control(st);
		return r < 0 ? r : q;
	}
	/* One of two is there. */
	if (r < 0 || q < 0)
		log_error("%s", err->text);
	r = server_open(&st->control, loop, unix_fd, tcp_fd, tokens, &st->server, err);
	if (r < 0) {
		close_control(st);
		return r;
	}
	st->control.s = s;
	st->control.server = st->server;
	events_open(&st->control);
	*ret_state = st;
	return 0;
}

const struct control_ops control_api = {
	.open = open_control,
	.close = close_control,
};
