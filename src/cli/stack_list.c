/* `hsup stack list` and `verify`. */
#include "cli/member.h"
#include "cli/stack.h"
#include "cli/table.h"

#include "base/fd.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

static const char *const kinds[] = {
	[STACK_KIND_NONE] = "",
	[STACK_KIND_ROOTFS] = "rootfs",
	[STACK_KIND_IMAGE] = "image",
	[STACK_KIND_CLASSIC] = "classic",
};

static int load(struct stacks *s, struct stack_entry **ret_entries, size_t *ret_n)
{
	struct err err = {0};

	if (stacks_open(s, false, &err) < 0 || stack_list(s->path, ret_entries, ret_n, &err) < 0)
		return command_error(&command_stack, "%s", err.text);
	return EXIT_OK;
}

static void add_row(struct table *t, const struct stacks *s, const struct stack_entry *e)
{
	_cleanup_json_ json_t *m = stack_manifest(s, e);
	const char *created = member_text(m, "created");
	char name[STACK_NAME + 1], size[24];

	(void)snprintf(name, sizeof name, "%.*s", (int)e->name, e->folder);
	table_cell(t, TONE_NONE, name);
	table_cell(t, TONE_NONE, e->folder + e->name + 1);
	table_cell(t, TONE_NONE, kinds[e->kind]);
	table_cell(t, TONE_NONE, m ? show_size(member_number(m, "bytes", 0), size) : "-");
	if (m)
		table_cellf(t, TONE_NONE, "%lld", (long long)member_int(m, "files"));
	else
		table_cell(t, TONE_NONE, "-");
	table_cellf(t, TONE_NONE, "%.10s %.8s", created, strlen(created) > 11 ? created + 11 : "");
	table_cell(t, m || !e->has_manifest ? TONE_NONE : TONE_BAD,
		m		  ? member_text(m, "from")
		: e->has_manifest ? "its manifest is damaged"
				  : "");
}

static int show_json(const struct stacks *s, const struct stack_entry *entries, size_t n)
{
	_cleanup_json_ json_t *all = json_array();

	for (size_t i = 0; i < n; i++) {
		const struct stack_entry *e = &entries[i];
		json_t *m = stack_manifest(s, e);

		if (!m)
			m = json_object();
		(void)json_object_set_new(m, "folder", json_string(e->folder));
		(void)json_object_set_new(m, "name", json_stringn(e->folder, e->name));
		(void)json_object_set_new(m, "version", json_string(e->folder + e->name + 1));
		(void)json_object_set_new(m, "kind", json_string(kinds[e->kind]));
		(void)json_object_set_new(
			m, "classic", json_boolean(e->kind == STACK_KIND_CLASSIC));
		(void)json_array_append_new(all, m);
	}
	if (json_dumpf(all, stdout, JSON_INDENT(2)) < 0)
		return command_error(&command_stack, "out of memory");
	(void)putchar('\n');
	return EXIT_OK;
}

int stack_show(struct stacks *s, int n_operands, char **operands)
{
	struct table t = {.columns = 7,
		.titles = {"STACK", "VERSION", "KIND", "SIZE", "FILES", "ADDED (UTC)", "FROM"},
		.right = {[3] = true, [4] = true}};
	_cleanup_free_ struct stack_entry *entries = NULL;
	size_t n = 0;

	(void)operands;
	if (n_operands > 0)
		return usage_error(&command_stack, "list takes no operands");
	int code = load(s, &entries, &n);
	if (code != EXIT_OK)
		return code;
	if (s->options->ask.json)
		return show_json(s, entries, n);
	for (size_t i = 0; i < n; i++)
		add_row(&t, s, &entries[i]);
	if (table_print(&t, stdout, color_wanted((int)s->options->color, 1)) < 0)
		code = command_error(&command_stack, "out of memory");
	table_done(&t);
	return code;
}

/* ---- verify ---- */

static int verify_one(const struct stacks *s, const struct stack_entry *e)
{
	_cleanup_json_ json_t *m = stack_manifest(s, e);
	_cleanup_close_ int fd = -1;
	struct stack_result found;
	struct err err = {0};

	if (!e->has_manifest) {
		(void)printf("%s: has no manifest to compare with: 'hsup stack add' did not make "
			     "it\n",
			e->folder);
		return EXIT_OK;
	}
	if (!m)
		return command_error(&command_stack, "%s: its manifest is damaged", e->folder);
	fd = stacks_enter(s, e->folder);
	if (fd < 0)
		return command_error(&command_stack, "%s: %s", e->folder, err_name(fd));
	(void)fflush(stdout);
	if (s->helper->verify(fd, member_text(m, "tree"), e->kind == STACK_KIND_IMAGE,
		    STDOUT_FILENO, &found, &err) < 0)
		return command_error(&command_stack, "%s: %s", e->folder, err.text);
	if (found.differences == 0) {
		(void)printf("%s: as it was added\n", e->folder);
		return EXIT_OK;
	}
	(void)printf("%s: %llu difference%s\n", e->folder, (unsigned long long)found.differences,
		found.differences == 1 ? "" : "s");
	return EXIT_REFUSED;
}

int stack_verify(struct stacks *s, int n_operands, char **operands)
{
	_cleanup_free_ struct stack_entry *entries = NULL;
	char folder[STACK_FOLDER] = "";
	struct err err = {0};
	int code, worst = EXIT_OK;
	size_t n = 0;

	if (n_operands > 1)
		return usage_error(&command_stack, "verify takes one NAME, or none for all");
	code = load(s, &entries, &n);
	if (code == EXIT_OK && n_operands == 1 &&
		stack_find(s->path, operands[0], folder, &err) < 0)
		code = command_error(&command_stack, "%s", err.text);
	for (size_t i = 0; code == EXIT_OK && i < n; i++)
		if ((!folder[0] || strcmp(folder, entries[i].folder) == 0) &&
			verify_one(s, &entries[i]) != EXIT_OK)
			worst = EXIT_REFUSED;
	return code == EXIT_OK ? worst : code;
}
