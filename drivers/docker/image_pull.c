#include "drivers/docker/image_pull.h"

#include "base/hash.h"
#include "drivers/docker/engine.h"

#include <errno.h>

void pull_init(struct pull *p)
{
	*p = (struct pull){.line = STRBUF(PULL_LINE)};
}

void pull_done(struct pull *p)
{
	strbuf_done(&p->line);
}

static struct pull_layer *layer_of(struct pull *p, const char *id)
{
	uint64_t key = hash_str(HASH_INIT, id);

	for (unsigned i = 0; i < p->n_layers; i++)
		if (p->layers[i].key == key)
			return &p->layers[i];
	if (p->n_layers == PULL_LAYERS)
		return NULL;
	p->layers[p->n_layers] = (struct pull_layer){.key = key};
	return &p->layers[p->n_layers++];
}

static void take_progress(struct pull *p, const json_t *o)
{
	const char *id = json_text_of(o, "id"), *status = json_text_of(o, "status");
	const json_t *detail = json_object_get(o, "progressDetail");
	bool loads = strcmp(status, "Downloading") == 0;
	bool ready =
		strcmp(status, "Download complete") == 0 || strcmp(status, "Pull complete") == 0;

	if (!*id || (!loads && !ready))
		return;
	struct pull_layer *l = layer_of(p, id);
	if (!l)
		return;
	int64_t done = json_number_of(detail, "current", 0);
	int64_t total = json_number_of(detail, "total", 0);
	if (loads && total > 0 && total <= INT64_MAX / 256 && done >= 0) {
		l->total = (uint64_t)total;
		l->done = done < total ? (uint64_t)done : l->total;
	} else if (ready) {
		l->done = l->total;
	}
}

static void take_line(struct pull *p, const char *text, size_t len)
{
	char shown[300];
	json_t *o = json_loadb(text, len, 0, NULL);

	if (!o)
		return;
	const char *error = json_text_of(o, "error");
	if (!*error)
		error = json_text_of(json_object_get(o, "errorDetail"), "message");
	if (*error && p->failed.code == 0)
		(void)err_set(&p->failed, -EIO, "%s",
			str_printable(error, strlen(error), shown, sizeof shown));
	else
		take_progress(p, o);
	json_decref(o);
}

void pull_end(struct pull *p)
{
	if (!p->skip && p->line.len > 0)
		take_line(p, p->line.data, p->line.len);
	strbuf_reset(&p->line);
	p->skip = false;
}

void pull_add(struct pull *p, const char *data, size_t len)
{
	while (len > 0) {
		const char *stop = memchr(data, '\n', len);
		size_t n = stop ? (size_t)(stop - data) : len;

		if (!p->skip && strbuf_add(&p->line, data, n) < 0) {
			p->line.error = 0;
			p->skip = true;
		}
		if (!stop)
			return;
		pull_end(p);
		data += n + 1;
		len -= n + 1;
	}
}

int pull_percent(const struct pull *p)
{
	uint64_t done = 0, total = 0;

	for (unsigned i = 0; i < p->n_layers; i++) {
		done += p->layers[i].done;
		total += p->layers[i].total;
	}
	return total > 0 ? (int)(100.0 * (double)done / (double)total) : -1;
}
