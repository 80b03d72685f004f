/* The floor: the least that any supervisor must do, and nothing else.
 *
 * floor COUNT PROGRAM [ARGUMENT]...: prints the time it begins, spawns COUNT children with
 * posix_spawn, each with /dev/null as input and a pipe of its own for output and for errors, and
 * keeps the read ends. A child that ends is spawned again at once. SIGTERM: the same to every
 * child, waits for all of them, and leaves. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct child {
	pid_t pid;
	int out, err; /* read ends */
};

struct loop {
	struct child *children;
	size_t n;
	char **argv; /* of every child */
	int null;
	posix_spawnattr_t attributes;
};

static _Noreturn void die(const char *what, int error)
{
	(void)fprintf(stderr, "floor: %s: %s\n", what, strerror(error));
	exit(1);
}

static void spawn(struct loop *l, struct child *c)
{
	posix_spawn_file_actions_t actions;
	int out[2], err[2];

	if (pipe2(out, O_CLOEXEC) < 0 || pipe2(err, O_CLOEXEC) < 0)
		die("pipe", errno);
	int r = posix_spawn_file_actions_init(&actions);
	if (r == 0)
		r = posix_spawn_file_actions_adddup2(&actions, l->null, STDIN_FILENO);
	if (r == 0)
		r = posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
	if (r == 0)
		r = posix_spawn_file_actions_adddup2(&actions, err[1], STDERR_FILENO);
	if (r == 0)
		r = posix_spawn(&c->pid, l->argv[0], &actions, &l->attributes, l->argv, environ);
	if (r != 0)
		die(l->argv[0], r);
	(void)posix_spawn_file_actions_destroy(&actions);
	(void)close(out[1]);
	(void)close(err[1]);
	c->out = out[0];
	c->err = err[0];
}

static void replace_ended(struct loop *l)
{
	pid_t pid;

	while ((pid = waitpid(-1, NULL, WNOHANG)) > 0) {
		for (size_t i = 0; i < l->n; i++) {
			struct child *c = &l->children[i];
			if (c->pid != pid)
				continue;
			(void)close(c->out);
			(void)close(c->err);
			spawn(l, c);
			break;
		}
	}
}

static void stop(struct loop *l)
{
	for (size_t i = 0; i < l->n; i++)
		(void)kill(l->children[i].pid, SIGTERM);
	for (size_t i = 0; i < l->n; i++)
		(void)waitpid(-1, NULL, 0);
}

static void prepare(struct loop *l, const sigset_t *signals)
{
	sigset_t none;

	l->null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	l->children = calloc(l->n ? l->n : 1, sizeof *l->children);
	if (l->null < 0 || !l->children || sigprocmask(SIG_BLOCK, signals, NULL) < 0)
		die("start", errno);

	(void)sigemptyset(&none);
	int r = posix_spawnattr_init(&l->attributes);
	if (r == 0)
		r = posix_spawnattr_setsigmask(&l->attributes, &none);
	if (r == 0)
		r = posix_spawnattr_setflags(&l->attributes, POSIX_SPAWN_SETSIGMASK);
	if (r != 0)
		die("attributes", r);
}

static void print_now(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	(void)printf("%" PRIu64 "\n", (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec);
	(void)fflush(stdout);
}

int main(int argc, char **argv)
{
	struct loop l = {.argv = argv + 2};
	sigset_t signals;

	if (argc < 3) {
		(void)fprintf(stderr, "usage: floor COUNT PROGRAM [ARGUMENT]...\n");
		return 2;
	}
	l.n = strtoul(argv[1], NULL, 10);
	(void)sigemptyset(&signals);
	(void)sigaddset(&signals, SIGTERM);
	(void)sigaddset(&signals, SIGCHLD);
	prepare(&l, &signals);

	print_now();
	for (size_t i = 0; i < l.n; i++)
		spawn(&l, &l.children[i]);

	for (;;) {
		int signal = sigwaitinfo(&signals, NULL);
		if (signal == SIGTERM)
			break;
		if (signal == SIGCHLD)
			replace_ended(&l);
	}
	stop(&l);
	(void)posix_spawnattr_destroy(&l.attributes);
	free(l.children);
	return 0;
}
