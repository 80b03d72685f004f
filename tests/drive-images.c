/* The images of the docker driver alone, ordered by lines on standard input, for ftest/
 * test_docker_image.py:
 *
 *     prepare HANDLE APP STACK DIGEST PATH     stop HANDLE
 *     find STACK DIGEST     keep STACK DIGEST     sweep     busy
 *
 * ("-" = none.) What it is told goes to standard output, a line each. */
#include "base/fd.h"
#include "drivers/docker/image.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

static sd_event *loop;
static struct engine *engine;
static struct images *images;

static const char *none(const char *text)
{
	return strcmp(text, "-") == 0 ? NULL : text;
}

static void on_changed(void *userdata, bool up, const struct err *why)
{
	(void)userdata;
	printf("engine %s %s\n", up ? "up" : "down", up ? "" : why->text);
}

static void on_prepared(void *userdata, uint64_t handle, int r, const struct err *err)
{
	(void)userdata;
	printf("prepared %llu %d %s\n", (unsigned long long)handle, r, r < 0 ? err->text : "");
}

static void on_progress(void *userdata, uint64_t handle, const char *text)
{
	(void)userdata;
	printf("progress %llu %s\n", (unsigned long long)handle, text);
}

static void on_note(void *userdata, const char *text)
{
	(void)userdata;
	printf("note %s\n", text);
}

static struct release *release_of(const char *stack, const char *digest, const char *path)
{
	struct release *r = release_new();

	if (!r)
		abort();
	r->stack = none(stack) ? strdup(stack) : NULL;
	r->slug_digest = none(digest) ? strdup(digest) : NULL;
	r->slug_path = none(path) ? strdup(path) : NULL;
	return r;
}

static void prepare(char *const words[])
{
	uint64_t handle = strtoull(words[1], NULL, 10);
	struct release *r = release_of(words[3], words[4], words[5]);
	struct err err = {0};
	int e = images_prepare(images, handle, words[2], r, &err);

	if (e < 0)
		printf("refused %llu %d %s\n", (unsigned long long)handle, e, err.text);
	release_unref(r);
}

static void find(char *const words[])
{
	struct release *r = release_of(words[1], words[2], "-");
	const struct image *i = images_find(images, r);

	if (i)
		printf("found %s %s %s %u %u\n", i->id, i->tag, i->shell, i->uid, i->gid);
	else
		printf("found none\n");
	release_unref(r);
}

static void keep(char *const words[])
{
	struct release *r = release_of(words[1], words[2], "-");

	images_keep(images, r);
	release_unref(r);
}

static void obey(char *line)
{
	char *words[8] = {NULL}, *rest = NULL;
	size_t n = 0;

	for (char *w = strtok_r(line, " \n", &rest); w && n < 7; w = strtok_r(NULL, " \n", &rest))
		words[n++] = w;
	if (n == 6 && strcmp(words[0], "prepare") == 0)
		prepare(words);
	else if (n == 2 && strcmp(words[0], "stop") == 0)
		images_prepare_stop(images, strtoull(words[1], NULL, 10));
	else if (n == 3 && strcmp(words[0], "find") == 0)
		find(words);
	else if (n == 3 && strcmp(words[0], "keep") == 0)
		keep(words);
	else if (n == 1 && strcmp(words[0], "sweep") == 0)
		images_sweep(images);
	else if (n == 1 && strcmp(words[0], "busy") == 0)
		printf("busy %d\n", images_busy(images));
	else
		printf("what?\n");
}

static int on_input(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	static char line[8192];
	static size_t len;
	char c;

	(void)source;
	(void)revents;
	(void)userdata;
	if (read(fd, &c, 1) != 1)
		return sd_event_exit(loop, 0);
	if (c != '\n') {
		if (len < sizeof line - 1)
			line[len++] = c;
		return 0;
	}
	line[len] = '\0';
	len = 0;
	obey(line);
	return 0;
}

int main(int argc, char **argv)
{
	struct err err = {0};

	if (argc != 6) {
		(void)fprintf(
			stderr, "usage: drive-images HOST OWNER HELPER cache|anew lasts|once\n");
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	struct driver_context context = {
		.owner = argv[2],
		.slug_helper = argv[3],
		.control_dir = "/etc/app",
		.lasts = strcmp(argv[5], "lasts") == 0,
	};
	if (sd_event_new(&loop) < 0)
		return 1;
	context.loop = loop;
	const struct engine_setup to = {.loop = loop, .host = argv[1], .changed = on_changed};
	if (engine_open(&to, &engine, &err) < 0) {
		(void)fprintf(stderr, "%s\n", err.text);
		return 1;
	}
	const struct images_setup setup = {
		.engine = engine,
		.context = &context,
		.cache = strcmp(argv[4], "cache") == 0,
		.prepared = on_prepared,
		.progress = on_progress,
		.note = on_note,
	};
	if (images_open(&setup, &images, &err) < 0 ||
		sd_event_add_io(loop, NULL, STDIN_FILENO, EPOLLIN, on_input, NULL) < 0)
		return 1;
	int r = sd_event_loop(loop);
	images_close(images);
	engine_close(engine);
	sd_event_unref(loop);
	return r < 0;
}
