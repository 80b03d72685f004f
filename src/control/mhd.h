/* libmicrohttpd, opened when the first client comes: with it come a dozen libraries that would cost
 * every command 3 ms and every supervisor that nobody asks half a megabyte. */
#pragma once

#include "base/err.h"

#include <microhttpd.h>

struct mhd {
	__typeof__(&MHD_start_daemon) start_daemon;
	__typeof__(&MHD_stop_daemon) stop_daemon;
	__typeof__(&MHD_run) run;
	__typeof__(&MHD_get_timeout) get_timeout;
	__typeof__(&MHD_get_daemon_info) get_daemon_info;
	__typeof__(&MHD_get_connection_info) get_connection_info;
	__typeof__(&MHD_set_connection_option) set_connection_option;
	__typeof__(&MHD_add_connection) add_connection;
	__typeof__(&MHD_suspend_connection) suspend_connection;
	__typeof__(&MHD_resume_connection) resume_connection;
	__typeof__(&MHD_lookup_connection_value) lookup_connection_value;
	__typeof__(&MHD_create_response_from_buffer_with_free_callback_cls) response_from_buffer;
	__typeof__(&MHD_create_response_from_callback) response_from_callback;
	__typeof__(&MHD_add_response_header) add_response_header;
	__typeof__(&MHD_queue_response) queue_response;
	__typeof__(&MHD_destroy_response) destroy_response;
};

extern struct mhd mhd;

/* Once; again it is nothing. */
int mhd_load(struct err *err) HSUP_MUST_CHECK;
