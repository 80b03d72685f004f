/* What is done by other programs: a crontab, systemctl. */
#include "cli/boot.h"

#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

HSUP_NORETURN static void become(const char *const *words, int input, int output)
{
	char **list;

	memcpy(&list, &words, sizeof list);
	if (dup2(input, STDIN_FILENO) >= 0 && (output < 0 || dup2(output, STDOUT_FILENO) >= 0))
		(void)execvp(words[0], list);
	_exit(127);
}

static void read_all(int fd, struct strbuf *output)
{
	char piece[4096];
	ssize_t n;

	while ((n = read(fd, piece, sizeof piece)) > 0 || (n < 0 && errno == EINTR))
		if (n > 0)
			(void)strbuf_add(output, piece, (size_t)n);
}

int boot_run(const char *const *words, const char *input, struct strbuf *output)
{
	int in[2], out[2] = {-1, -1}, status = -1;

	if (pipe2(in, O_CLOEXEC) < 0)
		return 127;
	_cleanup_close_ int in_read = in[0], in_write = in[1];
	if (output && pipe2(out, O_CLOEXEC) < 0)
		return 127;
	_cleanup_close_ int out_read = out[0], out_write = out[1];
	(void)fflush(NULL);
	pid_t pid = fork();
	if (pid == 0)
		become(words, in_read, out_write);
	fd_close(TAKE_FD(in_read));
	fd_close(TAKE_FD(out_write));
	if (pid < 0)
		return 127;
	/* One that does not read all must not end us. */
	void (*before)(int) = signal(SIGPIPE, SIG_IGN);
	if (input && fd_write_all(in_write, input, strlen(input)) < 0)
		errno = 0;
	fd_close(TAKE_FD(in_write));
	(void)signal(SIGPIPE, before);
	if (output)
		read_all(out_read, output);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 127;
}

/* ---- a line in the user's crontab ---- */

/* The crontab without our line. */
static int read_crontab(struct strbuf *ret, bool *ret_had)
{
	static const char *const words[] = {"crontab", "-l", NULL};
	struct strbuf HSUP_CLEANUP(strbuf_done) all = STRBUF(BOOT_FILE_BYTES);

	/* 1: there is none yet. */
	int code = boot_run(words, NULL, &all);
	if (code > 1)
		return command_error(&command_boot,
			"neither systemd nor crontab can be used: crontab -l: exit code %d", code);
	for (const char *line = all.data, *end; line && *line; line = end) {
		const char *mark = strstr(line, BOOT_MARK);

		end = strchrnul(line, '\n');
		end += *end == '\n';
		if (mark && mark < end)
			*ret_had = true;
		else
			(void)strbuf_add(ret, line, (size_t)(end - line));
	}
	return all.error || ret->error ? command_error(&command_boot, "crontab is too large")
				       : EXIT_OK;
}

int boot_change_crontab(struct boot *b, bool install)
{
	static const char *const words[] = {"crontab", "-", NULL};
	struct strbuf HSUP_CLEANUP(strbuf_done) text = STRBUF(BOOT_FILE_BYTES);
	bool had = false;

	int code = read_crontab(&text, &had);
	if (code != EXIT_OK)
		return code;
	if (!install && !had) {
		(void)printf("the crontab has no line of hsup\n");
		return EXIT_OK;
	}
	if (install)
		(void)strbuf_add(&text, b->text.data, b->text.len);
	code = boot_run(words, text.data ? text.data : "", NULL);
	if (code != 0)
		return command_error(&command_boot, "crontab: exit code %d", code);
	(void)printf(
		install ? "the crontab starts hsup when the machine starts; 'hsup up' starts it "
			  "now\n"
			: "the crontab starts hsup no more; a daemon that runs is not stopped\n");
	return EXIT_OK;
}
