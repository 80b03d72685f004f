/* What server.c (clients, the loop) and calls.c (requests) share. */
#pragma once

#include "control/mhd.h"
#include "control/server.h"

struct server {
	struct control *c;
	sd_event *loop;
	struct MHD_Daemon *daemon; /* NULL until somebody comes */
	sd_event_source *io, *timer, *kick, *beat, *pause;
	sd_event_source *listeners[2]; /* Unix, TCP: they own their descriptors */
	uint64_t timer_due;	       /* CLOCK_MONOTONIC ns; 0 = it is off */
	struct tokens *tokens;
	struct client *accepting; /* on its way into the library */
	size_t n_clients;
	size_t body_bytes; /* of all requests that are being read */
	uint64_t warned;   /* of somebody refused */
	bool told;	   /* that the library is missing */
};

struct client {
	unsigned refs; /* its connection, and its stream */
	struct server *server;
	struct peer peer;
	sd_event_source *hang_up; /* looked at while it waits for what is not there yet */
};

/* The library is to be run: connections were resumed. */
void server_kick(struct server *s);

struct client *client_unref(struct client *client); /* NULL allowed; returns NULL */

/* Of the sockets that listen: takes in who is there. */
int server_accept(sd_event_source *source, int fd, uint32_t revents, void *userdata);
int server_start_library(struct server *s, struct err *err) HSUP_MUST_CHECK;

/* Takes the stream, unless it fails (NULL). */
struct MHD_Response *stream_response(
	struct server *server, struct MHD_Connection *connection, struct stream *s);

/* The callbacks of the library. */
void *call_begin(void *server, const char *target, struct MHD_Connection *connection);
enum MHD_Result call_go_on(void *server, struct MHD_Connection *connection, const char *url,
	const char *method, const char *version, const char *data, size_t *size, void **call);
void call_end(void *server, struct MHD_Connection *connection, void **call,
	enum MHD_RequestTerminationCode how);
