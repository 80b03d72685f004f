/* What the commands share that change something and wait until it is so. */
#pragma once

#include "cli/await.h"

#include "model/options.h"

#define OPERATE_PATIENCE 300 /* seconds, unless told otherwise */

enum awaited {
	AWAITED_UP,	 /* runs, or has ended well */
	AWAITED_NEW,	 /* the same, as another life than before */
	AWAITED_STOPPED, /* or is no more */
};

/* One dyno that is waited for. */
struct target {
	struct app *app;
	char *name;
	json_int_t id, generation; /* of its life before; 0 = it had none */
	bool settled, failed;
};

struct operation {
	struct reach *reach;
	const struct options *options;
	enum awaited awaited;
	struct target *targets;
	size_t n, cap;
	uint64_t *events; /* of each app: where to listen from */
	bool progress;	  /* a line of it is on the terminal */
	int code;
};

/* Sends method and path to each app (its body is in app->body), and takes "event" of the answers.
 * EXIT_OK when one at least has taken it. */
int operation_send(struct operation *op, const char *path);

/* The dynos that are about to change: those named, with the lives they have now. */
int operation_before(struct operation *op);

/* Of "dynos" in an answer: waits for it too, when operation_before() did not know it. */
int operation_add(struct operation *op, struct app *app, const char *name);

/* Waits until every target is as awaited, and says so. The exit code. */
int operation_wait(struct operation *op);
void operation_done(struct operation *op);

unsigned patience_of(const struct options *o);

/* On a terminal: one line that replaces itself. */
void progress_show(bool *shown, const char *fmt, ...) HSUP_PRINTF(2, 3);

void progress_clear(bool *shown);

/* The whole of a command that changes dynos: `path` of the API with {"names": [...]}. */
int dynos_change(const struct command *c, struct options *o, int n_operands, char **operands,
	const char *path, enum awaited awaited);
