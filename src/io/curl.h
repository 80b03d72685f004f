/* libcurl's functions, opened once and by whoever is the first to need them. No source file outside
 * those that include this one knows a type of libcurl's. */
#pragma once

#include "base/err.h"

#include <curl/curl.h>

struct curl_api {
	__typeof__(&curl_global_init) global_init;
	__typeof__(&curl_easy_init) easy_init;
	__typeof__(&curl_easy_setopt) setopt;
	__typeof__(&curl_easy_getinfo) getinfo;
	__typeof__(&curl_easy_cleanup) cleanup;
	__typeof__(&curl_easy_strerror) strerror;
	__typeof__(&curl_easy_pause) pause;
	__typeof__(&curl_easy_header) header;
	__typeof__(&curl_easy_send) send;
	__typeof__(&curl_easy_recv) recv;
	__typeof__(&curl_slist_append) slist_append;
	__typeof__(&curl_slist_free_all) slist_free_all;
	__typeof__(&curl_multi_init) multi_init;
	__typeof__(&curl_multi_cleanup) multi_cleanup;
	__typeof__(&curl_multi_setopt) multi_setopt;
	__typeof__(&curl_multi_add_handle) add;
	__typeof__(&curl_multi_remove_handle) remove;
	__typeof__(&curl_multi_perform) perform;
	__typeof__(&curl_multi_poll) poll;
	__typeof__(&curl_multi_info_read) info_read;
	__typeof__(&curl_multi_socket_action) socket_action;
	__typeof__(&curl_multi_assign) assign;
};

/* Of no use before curl_load() has returned 0. */
extern const struct curl_api *const curl;

/* -EOPNOTSUPP and err when there is no libcurl, or none that starts. Again is free. */
int curl_load(struct err *err) HSUP_MUST_CHECK;

/* Why nobody could be reached there: libcurl says that it could not connect, and not always why.
 * A negative errno. */
int curl_ask_socket(const char *path);
