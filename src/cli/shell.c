/* `hsup shell`: the same commands at a prompt.
 *
 * Every line is run by a process of its own, as if it had been typed after "hsup": what Ctrl-C ends
 * is that one, and whatever befalls it, the prompt is there again. */
#include "cli/prompt.h"
#include "cli/reach.h"
#include "cli/split.h"

#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#define WORDS 256

static const enum option_id takes[] = {
	OPT_CONTROL_DIR, OPT_APP, OPT_CONTROL_SOCKET, OPT_RUNTIME_DIR, OPT_STATE_DIR, OPT_DIR, 0};

static int export(const char *name, const char *value)
{
	return value ? setenv(name, value, 1) : 0;
}

/* The commands find the same app as the shell does. */
static int set_environment(const struct reach *r, const struct options *o)
{
	if (r->place || o->control_socket) {
		(void)unsetenv("HSUP_CONTROL_DIR");
		(void)unsetenv("HSUP_CONTROL_SOCKET");
	}
	if (export("HSUP_CONTROL_DIR", r->place) < 0 ||
		export("HSUP_CONTROL_SOCKET", o->control_socket) < 0 ||
		export("HSUP_RUNTIME_DIR", o->runtime_dir) < 0 ||
		export("HSUP_STATE_DIR", o->state_dir) < 0 ||
		export("HSUP_APPS_DIR", o->apps_dir) < 0)
		return command_error(&command_shell, "out of memory");
	return EXIT_OK;
}

static int run_words(char **words)
{
	int status = -1;

	(void)fflush(NULL);
	pid_t pid = fork();
	if (pid == 0) {
		/* What stands behind it is the next command, and not its input. */
		_cleanup_close_ int none =
			isatty(STDIN_FILENO) ? -1 : open("/dev/null", O_RDONLY | O_CLOEXEC);

		if (none >= 0)
			(void)dup2(none, STDIN_FILENO);
		(void)signal(SIGINT, SIG_DFL);
		(void)signal(SIGQUIT, SIG_DFL);
		(void)execv("/proc/self/exe", words);
		_exit(127);
	}
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (pid < 0)
		return command_error(&command_shell, "%s", err_name(errno));
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* What starts an hsup here would take the terminal: that belongs to a shell of the system. */
static int refuse(const char *name)
{
	const struct command *c = command_find(name);

	if (c == &command_shell)
		return usage_error(&command_shell, "this is it already");
	if (c && c->launches && c != &command_start)
		return usage_error(
			&command_shell, "'%s' is for the system's shell, not this one", c->name);
	return EXIT_OK;
}

static int run_line(char *line, int before)
{
	char *words[WORDS + 2];
	static char program[] = "hsup";
	size_t n;

	int r = split_words(line, words + 1, WORDS, &n);
	if (r < 0)
		return usage_error(&command_shell, "%s",
			r == -E2BIG ? "too many words" : "a quote has no end");
	if (n == 0)
		return before;
	words[0] = program;
	words[n + 1] = NULL;
	int code = refuse(words[1]);
	return code == EXIT_OK ? run_words(words) : code;
}

static bool is_leaving(const char *line)
{
	return strcmp(line, "exit") == 0 || strcmp(line, "quit") == 0;
}

/* The code of the last line that failed. */
static int at_prompt(struct prompt *p)
{
	int code = EXIT_OK;
	char *line;

	while ((line = prompt_read(p))) {
		bool leaving = is_leaving(line);
		int one = leaving ? EXIT_OK : run_line(line, EXIT_OK);

		free(line);
		if (leaving)
			break;
		if (one != EXIT_OK)
			code = one;
	}
	return code;
}

static int run(struct options *o, int n, char **operands)
{
	struct reach r = {0};
	struct prompt p;

	(void)operands;
	if (n > 0)
		return usage_error(&command_shell, "takes no operands: commands come on standard "
						   "input, one a line");
	int code = reach_open(&r, &command_shell, o);
	if (code == EXIT_OK)
		code = set_environment(&r, o);
	if (code == EXIT_OK) {
		(void)signal(SIGINT, SIG_IGN);
		(void)signal(SIGQUIT, SIG_IGN);
		prompt_open(&p, o->state_dir);
		code = at_prompt(&p);
		prompt_done(&p);
	}
	reach_done(&r);
	return code;
}

const struct command command_shell = {
	.name = "shell",
	.operands = "",
	.summary = "the same commands at a prompt",
	.help = "With completion (TAB) of commands, options and names of dynos, and a history that "
		"is\n"
		"kept in the state directory. 'exit', 'quit' or Ctrl-D leaves; Ctrl-C ends the "
		"command\n"
		"that runs. When standard input is no terminal there is no prompt: one command a "
		"line,\n"
		"and the exit code is that of the last that failed.\n"
		"\n"
		"Examples:\n"
		"  hsup shell -C /srv/shop\n"
		"  printf 'stop worker\\nscale web=2\\n' | hsup shell -a shop\n",
	.options = takes,
	.run = run,
};
