/* A file of log rings that was damaged: it is read, and written on. The first byte says how; then
 * come patches: region (header, directory, table, chunks), offset (two bytes), length, bytes. */
#include "logs/ring_private.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ENTRIES 8
#define CHUNKS	32

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Where every byte ends up that a reader of the log would look at. */
extern volatile unsigned fuzz_seen;
volatile unsigned fuzz_seen;

static char folder[64], path[128];
static char *base; /* a file that is well */
static size_t base_len, regions[4];

static void demand(bool holds)
{
	if (!holds)
		__builtin_trap();
}

static void add(struct rings *r, uint64_t at, const char *name, enum log_stream stream, size_t len)
{
	static char text[LIMIT_LINE];
	const struct log_line line = {
		.wall_ns = at,
		.source = "app",
		.procid = name,
		.stream = stream,
		.text = memset(text, 'a' + (int)(at % 26), len),
		.len = len,
	};

	rings_add(r, &line, 16384);
}

static void clean_up(void)
{
	(void)unlink(path);
	(void)rmdir(folder);
}

static struct rings *open_it(void)
{
	struct rings *r = NULL;
	struct err err;

	demand(rings_open_shape(path, ENTRIES, CHUNKS, &r, &err) == 0);
	return r;
}

static void make_base(void)
{
	const char *tmp = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";

	(void)snprintf(folder, sizeof folder, "%s/fuzz-ring-XXXXXX", tmp);
	demand(mkdtemp(folder) != NULL);
	(void)snprintf(path, sizeof path, "%s/log.rings", folder);
	(void)atexit(clean_up);
	struct rings *r = open_it();
	for (uint64_t i = 1; i < 60; i++) {
		add(r, i, i % 3 ? "web.1" : "web.2", i % 5 ? STREAM_OUT : STREAM_ERR, 8 * i);
		add(r, i, "web.1", STREAM_SYSTEM, 20);
	}
	add(r, 70, "big.1", STREAM_OUT, LIMIT_LINE);
	base_len = r->file.map_len;
	base = malloc(base_len);
	demand(base != NULL);
	memcpy(base, r->file.map, base_len);
	regions[1] = (size_t)((char *)r->file.entries - r->file.map);
	regions[2] = (size_t)((char *)r->file.table - r->file.map);
	regions[3] = (size_t)(r->file.chunks - r->file.map);
	rings_free(r);
}

static void write_damaged(const uint8_t *data, size_t size)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	demand(fd >= 0 && write(fd, base, base_len) == (ssize_t)base_len);
	while (size >= 4) {
		size_t at = regions[data[0] % 4] + data[1] + 256U * data[2], len = data[3];

		data += 4;
		size -= 4;
		len = len < size ? len : size;
		demand(pwrite(fd, data, len, (off_t)at) == (ssize_t)len);
		data += len;
		size -= len;
	}
	demand(close(fd) == 0);
}

static int look(void *userdata, const struct log_line *line)
{
	unsigned sum = 0;

	for (size_t i = 0; i < line->len; i++)
		sum += (unsigned char)line->text[i];
	fuzz_seen = sum;
	demand(line->len <= (size_t)3 * RING_LINE_MAX);
	demand(ring_name_valid(line->procid, strlen(line->procid)));
	++*(size_t *)userdata;
	return 0;
}

static void follow(void *userdata, const struct log_line *line)
{
	(void)look(userdata, line);
}

static size_t read_all(struct rings *r, size_t last, uint64_t since)
{
	static const char *const names[] = {"web"};
	struct ring_query q = {.last = last, .since = since};
	size_t n = 0, some = 0;

	demand(rings_read(r, &q, look, &n) == 0);
	demand(last == 0 || n <= last);
	q.names = names;
	q.n_names = 1;
	demand(rings_read(r, &q, look, &some) == 0 && (last > 0 || some <= n));
	return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct ring_query everything = {0};
	size_t n = 0;

	if (!base)
		make_base();
	if (size == 0)
		return 0;
	write_damaged(data + 1, size - 1);
	struct rings *r = open_it();
	(void)read_all(r, 0, 0);
	(void)read_all(r, data[0], 0);
	(void)read_all(r, 0, data[0]);
	(void)read_all(r, 20, 30);

	struct ring_reader *reader = ring_reader_new(r, &everything);
	struct ring_follower *f = rings_follow(r, &everything, follow, &n);
	struct log_line line;
	for (unsigned i = 0; i < 100 && ring_reader_next(reader, &line); i++) {
		(void)look(&n, &line);
		add(r, 100 + i, "web.1", i % 4 ? STREAM_OUT : STREAM_SYSTEM, data[0] * 16U);
		add(r, 100 + i, i % 2 ? "new.1" : "web.2", STREAM_OUT, i);
	}
	add(r, 300, "web.1", STREAM_OUT, 10);
	ring_reader_free(reader);
	rings_unfollow(f);
	n = 0;
	/* What was written last is there, whatever there was before; and in the next life. */
	demand(rings_read(r, &(struct ring_query){.since = 300}, look, &n) == 0 && n >= 1);
	n = read_all(r, 0, 0);
	rings_free(r);
	r = open_it();
	demand(read_all(r, 0, 0) == n);
	rings_free(r);
	return 0;
}
