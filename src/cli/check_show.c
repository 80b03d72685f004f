#include "cli/check_show.h"

#include "base/clock.h"
#include "base/str.h"

#include <inttypes.h>
#include <stdio.h>

static bool is_plain(const char *word)
{
	return *word && !word[strspn(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
					   "0123456789_-+=./:,@%^")];
}

/* A word as a shell would want it. */
static void add_word(struct strbuf *b, const char *word)
{
	if (is_plain(word)) {
		(void)strbuf_puts(b, word);
		return;
	}
	(void)strbuf_puts(b, "'");
	for (const char *p = word; *p; p++)
		(void)strbuf_add(b, *p == '\'' ? "'\\''" : p, *p == '\'' ? 4 : 1);
	(void)strbuf_puts(b, "'");
}

const char *check_command(char *const *args, size_t n_args, char ret_text[CHECK_SHOWN])
{
	struct strbuf HSUP_CLEANUP(strbuf_done) b = {0};

	if (n_args == 1)
		(void)strbuf_puts(&b, args[0]);
	for (size_t i = 0; n_args > 1 && i < n_args; i++) {
		(void)strbuf_puts(&b, i ? " " : "");
		add_word(&b, args[i]);
	}
	return str_printable(b.data ? b.data : "", b.len, ret_text, CHECK_SHOWN);
}

static double seconds(uint64_t ns)
{
	return (double)ns / (double)NSEC_PER_SEC;
}

static void show_after(int indent, const struct process *p)
{
	static const char *const conditions[AFTER_CONDITION_MAX] = {
		[AFTER_STARTED] = " (started)",
		[AFTER_READY] = "",
		[AFTER_SUCCEEDED] = " (succeeded)",
	};

	for (size_t i = 0; i < p->n_after; i++) {
		if (i == 0)
			(void)printf("%*safter: ", indent, "");
		(void)printf("%s%s%s", i ? ", " : "", p->after[i].type,
			conditions[p->after[i].condition]);
	}
	(void)printf("%s", p->n_after ? "\n" : "");
}

/* False: there is none. */
static bool show_check(int indent, const char *key, const struct check *c)
{
	char text[CHECK_SHOWN];

	if (c->kind == CHECK_NONE)
		return false;
	(void)printf("%*s%s: ", indent, "", key);
	if (c->kind == CHECK_NOTIFY)
		(void)printf("it says so (NOTIFY_SOCKET)");
	else if (c->kind == CHECK_COMMAND)
		(void)printf("%s", check_command(c->args, c->n_args, text));
	else if (c->kind == CHECK_HTTP)
		(void)printf("GET %s at ", c->path);
	else
		(void)printf("listens at ");
	if (c->kind == CHECK_LISTEN || c->kind == CHECK_HTTP) {
		if (c->port)
			(void)printf("port %u", c->port);
		else
			(void)printf("its PORT");
	}
	return true;
}

static void show_checks(int indent, const struct process *p)
{
	if (show_check(indent, "ready", &p->ready))
		(void)printf(", within %g s\n", seconds(p->start_timeout));
	if (show_check(indent, "healthy", &p->healthy))
		(void)printf(", every %g s; restarted after %u failures\n",
			seconds(p->healthy.interval), p->healthy.threshold);
}

static const char *size_text(uint64_t size, char ret_text[24])
{
	static const char units[] = "\0KMGT";
	unsigned i = 0;

	for (; i < 4 && size > 0 && size % 1024 == 0; i++)
		size /= 1024;
	(void)snprintf(ret_text, 24, "%" PRIu64 "%.1s", size, &units[i]);
	return ret_text;
}

static void show_limits(int indent, const struct process *p)
{
	struct strbuf HSUP_CLEANUP(strbuf_done) b = {0};
	char text[24];

	if (p->memory)
		(void)strbuf_printf(&b, ", memory %s", size_text(p->memory, text));
	if (p->disk)
		(void)strbuf_printf(&b, ", disk %s", size_text(p->disk, text));
	if (p->cpu > 0)
		(void)strbuf_printf(&b, ", %g cores", p->cpu);
	if (p->processes)
		(void)strbuf_printf(&b, ", %" PRIu64 " processes", p->processes);
	if (p->open_files)
		(void)strbuf_printf(&b, ", %" PRIu64 " open files", p->open_files);
	if (b.data && b.len > 2)
		(void)printf("%*slimits: %s\n", indent, "", b.data + 2);
}

static void show_log(int indent, const struct process *p)
{
	const struct log_options *l = &p->log;
	char path[CHECK_SHOWN], text[24];

	if (!l->file)
		return;
	(void)printf("%*slog: %s", indent, "",
		str_printable(l->file, strlen(l->file), path, sizeof path));
	if (l->max_bytes)
		(void)printf(", rotated at %s", size_text(l->max_bytes, text));
	if (l->max_age)
		(void)printf(
			"%severy %g s", l->max_bytes ? " and " : ", rotated ", seconds(l->max_age));
	(void)printf(", %u kept\n", l->keep);
}

void check_show(int indent, const struct process *p)
{
	if (process_is_phase(p))
		(void)printf("%*sthe release phase: runs once before the release is in force\n",
			indent, "");
	show_after(indent, p);
	show_checks(indent, p);
	show_limits(indent, p);
	show_log(indent, p);
	if (p->essential)
		(void)printf(
			"%*sessential: hsup ends when one of it has ended for good\n", indent, "");
}
