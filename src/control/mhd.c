#include "control/mhd.h"

#include "io/library.h"

struct mhd mhd;

int mhd_load(struct err *err)
{
	static const struct library_symbol wanted[] = {
		{"MHD_stop_daemon", &mhd.stop_daemon},
		{"MHD_run", &mhd.run},
		{"MHD_get_timeout", &mhd.get_timeout},
		{"MHD_get_daemon_info", &mhd.get_daemon_info},
		{"MHD_get_connection_info", &mhd.get_connection_info},
		{"MHD_set_connection_option", &mhd.set_connection_option},
		{"MHD_add_connection", &mhd.add_connection},
		{"MHD_suspend_connection", &mhd.suspend_connection},
		{"MHD_resume_connection", &mhd.resume_connection},
		{"MHD_lookup_connection_value", &mhd.lookup_connection_value},
		{"MHD_create_response_from_buffer_with_free_callback_cls",
			&mhd.response_from_buffer},
		{"MHD_create_response_from_callback", &mhd.response_from_callback},
		{"MHD_add_response_header", &mhd.add_response_header},
		{"MHD_queue_response", &mhd.queue_response},
		{"MHD_destroy_response", &mhd.destroy_response},
		/* The last: it being there says that all are. */
		{"MHD_start_daemon", &mhd.start_daemon},
	};

	if (mhd.start_daemon)
		return 0;
	int r = library_open("libmicrohttpd.so.12", wanted, ARRAY_SIZE(wanted), err);
	return r < 0 ? err_wrap(err, "cannot serve") : 0;
}
