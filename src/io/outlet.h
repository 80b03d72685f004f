/* A descriptor that lines go out by, whatever it is, without waiting for whoever reads it. */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum way {
	WAY_DIRECT,   /* a regular file, /dev/null: write() does not wait for anyone */
	WAY_NONBLOCK, /* an open file of our own with O_NONBLOCK */
	WAY_SOCKET,   /* send(MSG_DONTWAIT) */
	WAY_POLL,     /* ask poll() before each small piece */
};

struct outlet {
	int fd; /* ours */
	enum way way;
	size_t piece; /* bytes per write at most; PIPE_BUF: of a pipe */
	size_t most;  /* bytes per splice at most: what poll() promises room for */
	bool regular; /* a file, which can be read again */
	bool nowhere; /* /dev/null */
	bool fed;     /* splice() may give to it */
};

/* fd stays the caller's, its flags are not changed. 0 or negative errno. */
int outlet_open(struct outlet *to, int fd);
void outlet_close(struct outlet *to);

/* How many of len bytes go at once. What a pipe gets at once is taken whole or not at all, and ends
 * with a line: what others write to it stands before or behind our lines, never in them. */
size_t outlet_piece(const struct outlet *to, const char *data, size_t len);

/* As write(2): bytes, or -1 and errno. The second takes from a pipe. */
ssize_t outlet_write(const struct outlet *to, const char *data, size_t len);
ssize_t outlet_splice(const struct outlet *to, int pipe, size_t len);
