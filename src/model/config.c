#include "model/config.h"

#include "model/reader.h"

#include <errno.h>
#include <stddef.h>

static void read_name(struct reader *rd, uint32_t node)
{
	struct config *c = rd->config;
	const char *name = reader_string(rd, node, rule_type);

	if (!name)
		return;
	for (size_t i = 0; i < c->n_autolaunch; i++) {
		if (strcmp(c->autolaunch[i], name) == 0) {
			reader_error(rd, reader_node(rd, node)->value,
				"is the same as Autolaunch[%zu]", i);
			return;
		}
	}
	char *copy = reader_copy(rd, name);
	if (copy)
		c->autolaunch[c->n_autolaunch++] = copy;
}

static void read_autolaunch(struct reader *rd, uint32_t node, const struct field *f HSUP_UNUSED,
	void *member HSUP_UNUSED)
{
	struct config *c = rd->config;
	size_t at = 0, n = reader_list(rd, node, LIMIT_APPS, "apps");

	if (n == SIZE_MAX)
		return;
	c->has_autolaunch = true;
	c->autolaunch = calloc(n + 1, sizeof *c->autolaunch);
	if (!c->autolaunch) {
		rd->fault = -ENOMEM;
		return;
	}
	for (uint32_t i = reader_node(rd, node)->child; i; i = reader_node(rd, i)->next) {
		size_t mark = reader_enter_index(rd, at++);

		read_name(rd, i);
		reader_leave(rd, mark);
	}
}

static const struct field config_fields[] = {
	{"Autolaunch", read_autolaunch, 0},
};

void read_config(struct reader *rd)
{
	reader_object(rd, 0, config_fields, ARRAY_SIZE(config_fields), rd->config);
}

bool config_launches(const struct config *c, const char *app)
{
	for (size_t i = 0; i < c->n_autolaunch; i++)
		if (strcmp(c->autolaunch[i], app) == 0)
			return true;
	return !c->has_autolaunch;
}

void config_done(struct config *c)
{
	for (size_t i = 0; i < c->n_autolaunch; i++)
		free(c->autolaunch[i]);
	free(c->autolaunch);
	*c = (struct config){0};
}
