#include "cli/prompt.h"

#include "cli/private.h"
#include "cli/split.h"
#include "io/library.h"

#include <editline/readline.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define HISTORY 1000

static struct {
	__typeof__(&readline) readline;
	__typeof__(&add_history) add_history;
	__typeof__(&read_history) read_history;
	__typeof__(&write_history) write_history;
	__typeof__(&stifle_history) stifle_history;
	__typeof__(&using_history) using_history;
	__typeof__(&rl_completion_matches) matches;
	rl_completion_func_t **completion;
	int *completion_over;
	char **line;
	int *end;
} edit;

static bool load(void)
{
	static const struct library_symbol wanted[] = {
		{"readline", &edit.readline},
		{"add_history", &edit.add_history},
		{"read_history", &edit.read_history},
		{"write_history", &edit.write_history},
		{"stifle_history", &edit.stifle_history},
		{"using_history", &edit.using_history},
		{"rl_completion_matches", &edit.matches},
		{"rl_attempted_completion_function", &edit.completion},
		{"rl_attempted_completion_over", &edit.completion_over},
		{"rl_line_buffer", &edit.line},
		{"rl_point", &edit.end},
	};
	struct err err;

	return library_open("libedit.so.2", wanted, ARRAY_SIZE(wanted), &err) == 0;
}

/* What `hsup __complete` offers for the line so far: the same as in bash. */
static FILE *offers;

static int ask_offers(void)
{
	char *words[260], *line = strndup(*edit.line, (size_t)*edit.end);
	static char program[] = "hsup", command[] = "__complete", none[] = "";
	size_t n = 0;
	bool fresh = line && (!*line || line[strlen(line) - 1] == ' ');
	int pipes[2];

	if (!line || split_words(line, words + 2, 250, &n) < 0 || pipe2(pipes, O_CLOEXEC) < 0) {
		free(line);
		return -1;
	}
	words[0] = program;
	words[1] = command;
	if (fresh)
		words[2 + n++] = none;
	words[2 + n] = NULL;
	pid_t pid = fork();
	if (pid == 0) {
		(void)dup2(pipes[1], STDOUT_FILENO);
		(void)execv("/proc/self/exe", words);
		_exit(127);
	}
	(void)close(pipes[1]);
	free(line);
	offers = pid > 0 ? fdopen(pipes[0], "r") : NULL;
	if (!offers)
		(void)close(pipes[0]);
	return offers ? (int)pid : -1;
}

static char *next_offer(const char *prefix, int state)
{
	char line[4096];

	(void)prefix;
	(void)state;
	if (!offers || !fgets(line, sizeof line, offers))
		return NULL;
	line[strcspn(line, "\t\n")] = '\0';
	return strdup(line);
}

static char **complete(const char *word, int from, int to)
{
	(void)from;
	(void)to;
	*edit.completion_over = 1; /* never file names */
	int pid = ask_offers();
	if (pid < 0)
		return NULL;
	char **list = edit.matches(word, next_offer);
	(void)fclose(offers);
	offers = NULL;
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return list;
}

/* Else whose it is could have the history written over any file, by a link. */
static bool is_ours(const char *folder)
{
	struct stat st;

	return stat(folder, &st) == 0 && st.st_uid == geteuid() && !(st.st_mode & 022);
}

void prompt_open(struct prompt *p, const char *state_dir)
{
	*p = (struct prompt){.edits = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) && load()};
	if (!p->edits)
		return;
	edit.using_history();
	edit.stifle_history(HISTORY);
	*edit.completion = complete;
	if (!state_dir || !is_ours(state_dir) ||
		(size_t)snprintf(p->history, sizeof p->history, "%s/history", state_dir) >=
			sizeof p->history)
		p->history[0] = '\0';
	if (p->history[0])
		(void)edit.read_history(p->history);
}

static char *read_plain(void)
{
	char *line = NULL;
	size_t size = 0;
	ssize_t n;

	if (isatty(STDIN_FILENO)) {
		(void)fputs("hsup> ", stdout);
		(void)fflush(stdout);
	}
	n = getline(&line, &size, stdin);
	if (n < 0) {
		free(line);
		return NULL;
	}
	if (n > 0 && line[n - 1] == '\n')
		line[n - 1] = '\0';
	return line;
}

char *prompt_read(struct prompt *p)
{
	if (!p->edits)
		return read_plain();
	char *line = edit.readline("hsup> ");
	if (line && line[strspn(line, " \t")])
		(void)edit.add_history(line);
	return line;
}

void prompt_done(struct prompt *p)
{
	if (!p->edits || !p->history[0])
		return;
	mode_t mask = umask(077);
	(void)edit.write_history(p->history);
	(void)umask(mask);
}
